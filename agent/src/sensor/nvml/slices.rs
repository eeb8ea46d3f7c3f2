//! The slices of a GPU in MIG mode, and each one's part of the GPU's energy, which nothing measures.

use std::collections::BTreeSet;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use wire::v1::Basis;
use wire::{Energy, apportion};

use crate::sensor::{IdleSource, Reading, SensorError, Zone};

/// Processes that share a slice of the GPU, or all of it, alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// A slice's own; empty: it is the whole of a GPU that is not cut.
    pub(super) uuid: String,
    /// In slices as the driver counts them; the whole of a GPU that is not cut is one.
    pub(super) size: u32,
    /// Those who are there; `None` where the driver does not tell.
    pub(super) pids: Option<BTreeSet<u32>>,
}

/// A slice that was there at the start, as a zone.
struct Known {
    number: u32,
    slice: Slice,
}

/// What each slice that was there at the start has used since.
///
/// Invariant: between two readings the slices that are there use what the GPU uses, to the microjoule.
#[derive(Debug, Default)]
pub(super) struct Shares {
    slices: Vec<Share>,
    /// The GPU's counter at the last reading.
    last_uj: Option<u64>,
}

#[derive(Debug)]
struct Share {
    uuid: String,
    used_uj: u64,
}

impl Slice {
    /// Somebody is there, or may be.
    pub(super) fn is_used(&self) -> bool {
        self.pids.as_ref().is_none_or(|pids| !pids.is_empty())
    }
}

impl Shares {
    /// Of the slices that a GPU has now, with a zone of each inside the zone `gpu`.
    pub(super) fn find(gpu: &Device<'_>, zone: &str) -> (Self, Vec<Zone>) {
        let known = if is_cut(gpu) { known(gpu) } else { Vec::new() };
        let whole: u32 = known.iter().map(|known| known.slice.size).sum();
        let zones = known.iter().map(|known| known.zone(zone, whole)).collect();
        let slices = known.into_iter().map(|known| Share {
            uuid: known.slice.uuid,
            used_uj: 0,
        });
        let shares = Self {
            slices: slices.collect(),
            last_uj: None,
        };
        (shares, zones)
    }

    /// Gives what the GPU has used since the last reading to the slices that it has now: by their sizes among those that
    /// somebody uses, and among all where nobody does.
    pub(super) fn read(
        &mut self,
        gpu: Reading,
        now: &[Slice],
    ) -> Vec<Result<Reading, SensorError>> {
        let last_uj = self.last_uj.replace(gpu.counter_uj);
        let used_uj = last_uj.map_or(0, |last_uj| gpu.counter_uj.saturating_sub(last_uj));
        let is_used = now.iter().any(Slice::is_used);
        let weight = |slice: &Slice| {
            if slice.is_used() || !is_used {
                u64::from(slice.size)
            } else {
                0
            }
        };
        let weights: Vec<u64> = now.iter().map(weight).collect();
        let parts = apportion(Energy::from_microjoules(used_uj), &weights).unwrap_or_default();
        let read = |share: &mut Share| {
            let place = now.iter().position(|slice| slice.uuid == share.uuid);
            let place =
                place.ok_or_else(|| SensorError::Absent(format!("slice {}", share.uuid)))?;
            let part = parts.get(place).map_or(0, |part| part.microjoules());
            share.used_uj = share.used_uj.saturating_add(part);
            Ok(Reading {
                counter_uj: share.used_uj,
                ..gpu
            })
        };
        self.slices.iter_mut().map(read).collect()
    }
}

impl Known {
    fn zone(&self, parent: &str, whole: u32) -> Zone {
        let Slice { uuid, size, .. } = &self.slice;
        Zone {
            name: format!("{parent}-mig-{}", self.number),
            parent: parent.to_owned(),
            basis: Basis::Modelled,
            package: None,
            range_percent: None,
            range_uj: None,
            is_lasting: false,
            idle: IdleSource::Seed(0.0),
            source: format!("{uuid}, {size} of {whole} slices: its part by size of those in use"),
            reason: String::new(),
        }
    }
}

/// Who is on the GPU now, slice by slice; one slice where it is not cut. `None` where that is not told.
pub(super) fn slices(gpu: &Device<'_>) -> Option<Vec<Slice>> {
    if is_cut(gpu) {
        return Some(known(gpu).into_iter().map(|known| known.slice).collect());
    }
    let pids = pids(gpu).ok()?;
    Some(vec![Slice {
        uuid: String::new(),
        size: 1,
        pids: Some(pids),
    }])
}

fn is_cut(gpu: &Device<'_>) -> bool {
    const ENABLED: u32 = 1;
    gpu.mig_mode().is_ok_and(|mode| mode.current == ENABLED)
}

fn known(gpu: &Device<'_>) -> Vec<Known> {
    let numbers = 0..gpu.mig_device_count().unwrap_or_default();
    let slice = |number| -> Result<Known, NvmlError> {
        let slice = gpu.mig_device_by_index(number)?;
        let slice = Slice {
            uuid: slice.uuid()?,
            size: slice.attributes()?.compute_instance_slice_count,
            pids: pids(&slice).ok(),
        };
        Ok(Known { number, slice })
    };
    // Numbers that have no slice are errors.
    numbers.filter_map(|number| slice(number).ok()).collect()
}

fn pids(gpu: &Device<'_>) -> Result<BTreeSet<u32>, NvmlError> {
    let compute = gpu.running_compute_processes()?;
    let graphics = gpu.running_graphics_processes().unwrap_or_default();
    let both = compute.iter().chain(&graphics);
    Ok(both.map(|process| process.pid).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice(uuid: &str, size: u32, pids: Option<&[u32]>) -> Slice {
        Slice {
            uuid: uuid.to_owned(),
            size,
            pids: pids.map(|pids| pids.iter().copied().collect()),
        }
    }

    fn shares(uuids: &[&str]) -> Shares {
        let share = |uuid: &&str| Share {
            uuid: (*uuid).to_owned(),
            used_uj: 0,
        };
        Shares {
            slices: uuids.iter().map(share).collect(),
            last_uj: None,
        }
    }

    fn read(shares: &mut Shares, counter_uj: u64, now: &[Slice]) -> Vec<Option<u64>> {
        let gpu = Reading {
            counter_uj,
            boottime_ns: 1,
            awake_ns: 1,
        };
        let readings = shares.read(gpu, now).into_iter();
        readings
            .map(|reading| Some(reading.ok()?.counter_uj))
            .collect()
    }

    #[test]
    fn those_in_use_share_by_size_and_all_do_where_none_is() {
        let mut shares = shares(&["a", "b", "c"]);
        let mut now = [
            slice("a", 3, Some(&[1])),
            slice("b", 1, None),
            slice("c", 4, Some(&[])),
        ];
        assert_eq!(read(&mut shares, 1_000, &now), [Some(0); 3]);
        assert_eq!(
            read(&mut shares, 1_400, &now),
            [Some(300), Some(100), Some(0)]
        );
        (now[0].pids, now[1].pids) = (Some(BTreeSet::new()), Some(BTreeSet::new()));
        assert_eq!(
            read(&mut shares, 2_200, &now),
            [Some(600), Some(200), Some(400)]
        );
        // A counter that began again tells nothing of the time before.
        assert_eq!(
            read(&mut shares, 8, &now),
            [Some(600), Some(200), Some(400)]
        );
        // One is gone, and another has come that has no zone.
        now[1].uuid = "d".to_owned();
        assert_eq!(read(&mut shares, 16, &now), [Some(603), None, Some(404)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn slices_use_what_their_gpu_uses(
            steps in prop::collection::vec((any::<u32>(), prop::collection::vec((0_u32..8, any::<bool>()), 3)), 1..20),
        ) {
            let names = ["a", "b", "c"];
            let mut shares = shares(&names);
            let (mut counter_uj, mut used_uj) = (0_u64, 0_u64);
            let mut last = read(&mut shares, counter_uj, &[]);
            for (step_uj, sizes) in steps {
                let slices = names.iter().zip(&sizes);
                let slices: Vec<Slice> = slices
                    .map(|(name, &(size, is_used))| slice(name, 1 + size, Some(if is_used { &[1] } else { &[] })))
                    .collect();
                counter_uj += u64::from(step_uj);
                used_uj += u64::from(step_uj);
                last = read(&mut shares, counter_uj, &slices);
            }
            let sum: Option<u64> = last.into_iter().sum();
            prop_assert_eq!(sum, Some(used_uj));
        }
    }
}
