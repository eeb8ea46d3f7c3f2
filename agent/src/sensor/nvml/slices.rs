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
    /// The driver's number of it; `None`: it is the whole of a GPU that is not cut.
    pub(super) number: Option<u32>,
    /// In slices as the driver counts them; the whole of a GPU that is not cut is one.
    pub(super) size: u32,
    /// Those who are there; `None` where the driver does not tell.
    pub(super) pids: Option<BTreeSet<u32>>,
}

/// What the slices of each number have used since the agent started.
///
/// Invariant: while the GPU is cut, they use between two readings what the GPU uses, to the microjoule.
#[derive(Debug, Default)]
pub(super) struct Shares {
    slices: Vec<Share>,
    /// The GPU's counter when it was last shared out.
    last_uj: Option<u64>,
}

#[derive(Debug)]
struct Share {
    number: u32,
    used_uj: u64,
}

impl Slice {
    /// Somebody is there, or may be.
    pub(super) fn is_used(&self) -> bool {
        self.pids.as_ref().is_none_or(|pids| !pids.is_empty())
    }
}

impl Shares {
    /// Takes up the slices whose number was not seen before; returns a zone of each inside the zone `gpu`.
    pub(super) fn take_up(&mut self, now: &[Slice], gpu: &str) -> Vec<Zone> {
        let mut zones = Vec::new();
        for number in now.iter().filter_map(|slice| slice.number) {
            if self.slices.iter().all(|share| share.number != number) {
                self.slices.push(Share { number, used_uj: 0 });
                zones.push(zone(number, gpu));
            }
        }
        zones
    }

    /// Gives what the GPU has used since the last time to the slices that it has `now`: by their sizes among those that
    /// somebody uses, and among all where nobody does. Where it is not known what there is, that waits.
    pub(super) fn read(
        &mut self,
        gpu: Reading,
        now: Option<&[Slice]>,
    ) -> Vec<Result<Reading, SensorError>> {
        let Some(now) = now else {
            let untold =
                SensorError::Failed("the driver does not tell what slices there are".into());
            return vec![Err(untold); self.slices.len()];
        };
        let parts = self.share_out(gpu.counter_uj, now);
        let read = |share: &mut Share| {
            let place = now
                .iter()
                .position(|slice| slice.number == Some(share.number));
            let none = || SensorError::Absent(format!("slice {}", share.number));
            let part = parts.get(place.ok_or_else(none)?);
            let part_uj = part.map_or(0, |part| part.microjoules());
            share.used_uj = share.used_uj.saturating_add(part_uj);
            Ok(Reading {
                counter_uj: share.used_uj,
                ..gpu
            })
        };
        self.slices.iter_mut().map(read).collect()
    }

    /// The part of each of `now`.
    fn share_out(&mut self, counter_uj: u64, now: &[Slice]) -> Vec<Energy> {
        let last_uj = self.last_uj.replace(counter_uj);
        let used_uj = last_uj.map_or(0, |last_uj| counter_uj.saturating_sub(last_uj));
        let is_used = now.iter().any(Slice::is_used);
        let weight = |slice: &Slice| {
            if slice.is_used() || !is_used {
                u64::from(slice.size)
            } else {
                0
            }
        };
        let weights: Vec<u64> = now.iter().map(weight).collect();
        apportion(Energy::from_microjoules(used_uj), &weights).unwrap_or_default()
    }
}

fn zone(number: u32, parent: &str) -> Zone {
    Zone {
        name: format!("{parent}-mig-{number}"),
        parent: parent.to_owned(),
        basis: Basis::Modelled,
        package: None,
        range_percent: None,
        range_uj: None,
        is_lasting: false,
        idle: IdleSource::Seed(0.0),
        source: format!("{parent}'s energy, by size among its slices in use"),
        reason: String::new(),
    }
}

/// Who is on the GPU now, slice by slice; one slice where it is not cut. `None` where that is not told.
pub(super) fn slices(gpu: &Device<'_>) -> Option<Vec<Slice>> {
    const ENABLED: u32 = 1;
    match gpu.mig_mode() {
        Ok(mode) if mode.current == ENABLED => cut(gpu).ok(),
        Err(error) if !super::is_unsupported(&error) => None,
        _ => {
            let pids = Some(pids(gpu).ok()?);
            Some(vec![Slice {
                number: None,
                size: 1,
                pids,
            }])
        }
    }
}

fn cut(gpu: &Device<'_>) -> Result<Vec<Slice>, NvmlError> {
    let mut slices = Vec::new();
    for number in 0..gpu.mig_device_count()? {
        let slice = match gpu.mig_device_by_index(number) {
            // Of the most that there may be, these are not there.
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => continue,
            slice => slice?,
        };
        slices.push(Slice {
            number: Some(number),
            size: slice.attributes()?.compute_instance_slice_count,
            pids: pids(&slice).ok(),
        });
    }
    Ok(slices)
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

    fn slice(number: u32, size: u32, pids: Option<&[u32]>) -> Slice {
        Slice {
            number: Some(number),
            size,
            pids: pids.map(|pids| pids.iter().copied().collect()),
        }
    }

    fn read(shares: &mut Shares, counter_uj: u64, now: Option<&[Slice]>) -> Vec<Option<u64>> {
        shares.take_up(now.unwrap_or_default(), "gpu-0");
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
        let mut shares = Shares::default();
        let mut check = |counter_uj, now: Option<&[Slice]>, expected: &[Option<u64>]| {
            assert_eq!(
                read(&mut shares, counter_uj, now),
                expected,
                "at {counter_uj}"
            );
        };
        let used = [
            slice(0, 3, Some(&[1])),
            slice(1, 1, None),
            slice(2, 4, Some(&[])),
        ];
        check(1_000, Some(&used), &[Some(0); 3]);
        check(1_400, Some(&used), &[Some(300), Some(100), Some(0)]);
        let unused = [(0, 3), (1, 1), (2, 4)].map(|(number, size)| slice(number, size, Some(&[])));
        check(2_200, Some(&unused), &[Some(600), Some(200), Some(400)]);
        // A counter that began again tells nothing of the time before.
        check(8, Some(&unused), &[Some(600), Some(200), Some(400)]);
        // What there is cannot be told: that waits.
        check(10, None, &[None; 3]);
        // One is gone, and one has come.
        let others = [
            slice(0, 3, Some(&[])),
            slice(2, 4, Some(&[])),
            slice(5, 1, Some(&[])),
        ];
        check(16, Some(&others), &[Some(603), None, Some(404), Some(1)]);
        // Not cut, and cut again.
        let whole = Slice {
            number: None,
            ..slice(0, 1, Some(&[1]))
        };
        check(1_016, Some(&[whole]), &[None; 4]);
        check(
            1_024,
            Some(&unused),
            &[Some(606), Some(201), Some(408), None],
        );
    }

    #[test]
    fn a_number_is_one_zone_inside_its_gpu() {
        let mut shares = Shares::default();
        let names =
            |zones: Vec<Zone>| -> Vec<String> { zones.into_iter().map(|zone| zone.name).collect() };
        let first = shares.take_up(&[slice(2, 3, None)], "gpu-1");
        assert_eq!(
            (&*first[0].parent, names(first.clone())),
            ("gpu-1", vec!["gpu-1-mig-2".to_owned()])
        );
        let more = [slice(2, 1, None), slice(0, 1, None)];
        assert_eq!(names(shares.take_up(&more, "gpu-1")), ["gpu-1-mig-0"]);
        assert!(shares.take_up(&more, "gpu-1").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn slices_use_what_their_gpu_uses(
            steps in prop::collection::vec((any::<u32>(), prop::collection::vec((0_u32..8, 0_u32..8, any::<bool>()), 0..4)), 1..20),
        ) {
            let mut shares = Shares::default();
            let (mut counter_uj, mut told_uj) = (0_u64, 0_u64);
            let last = [slice(0, 1, None)];
            read(&mut shares, counter_uj, Some(&last));
            for (step_uj, slices) in steps {
                let slices = slices.into_iter().map(|(number, size, is_used)| {
                    slice(number, 1 + size, Some(if is_used { &[1] } else { &[] }))
                });
                let mut slices: Vec<Slice> = slices.collect();
                slices.sort_by_key(|slice| slice.number);
                slices.dedup_by_key(|slice| slice.number);
                counter_uj += u64::from(step_uj);
                // None stands for a reading that could not tell.
                let now = (!slices.is_empty()).then_some(&*slices);
                read(&mut shares, counter_uj, now);
                if now.is_some() {
                    told_uj = counter_uj;
                }
            }
            let sum: u64 = shares.slices.iter().map(|share| share.used_uj).sum();
            prop_assert_eq!(sum, told_uj);
        }
    }
}
