//! Several measured intervals as one: into a batch with one dictionary, or into an interval in which nobody
//! watched. Pure.

use std::collections::HashMap;

use prost::Message as _;
use wire::StreamId;
use wire::limits::{
    MAX_BATCH_BYTES, MAX_INTERVAL_NS, MAX_SAMPLE_UJ, MAX_SAMPLES, MAX_UNPACKED_BYTES,
};
use wire::limits::{MAX_WORKLOADS, MAX_ZONES};
use wire::v1::{
    Batch, CounterReading, Interval, Loss, LostEnergy, Outcome, Rename, Workload, Zone, ZoneSample,
};

use super::entry::{Lost, Measured, Named, Origin, Standing};

/// A batch is sealed with so many intervals: its dictionary of names is then paid for once in as many samples.
const MAX_INTERVALS: usize = 6;
/// Or once it is of so long a time.
const MAX_SPAN_NS: u64 = 60_000_000_000;
/// Names that an interval gives at most.
const MAX_NAMES: usize = 4_000;
/// Room for what losses and wider indexes add.
const SPARE: usize = 2;

/// What the batch to come has taken in.
#[derive(Debug, Default)]
pub(super) struct Filling {
    measured: Vec<Measured>,
    unpacked_bytes: usize,
    packed_bytes: usize,
}

impl Filling {
    /// Takes in an interval whose frame has `packed_bytes`.
    pub(super) fn push(&mut self, measured: Measured, packed_bytes: usize) {
        self.unpacked_bytes += measured.encoded_len();
        self.packed_bytes += packed_bytes;
        self.measured.push(measured);
    }

    pub(super) fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// Time enough, or intervals enough.
    pub(super) fn is_full(&self) -> bool {
        let spans = self.measured.iter().map(|one| one.interval.duration_ns);
        self.measured.len() >= MAX_INTERVALS || spans.sum::<u64>() >= MAX_SPAN_NS
    }

    /// Whether one more stays well within what a batch may hold.
    pub(super) fn has_room_for(&self, next: &Measured, packed_bytes: usize) -> bool {
        let all = || self.measured.iter().chain([next]);
        let of_one = |one: &Measured| one.workloads.len() + 2 * one.renames.len();
        let workloads: usize = all().map(of_one).sum();
        let zones: usize = all().map(|one| one.zones.len()).sum();
        self.measured.is_empty()
            || (workloads <= MAX_WORKLOADS
                && zones <= MAX_ZONES.min(MAX_SAMPLES)
                && self.unpacked_bytes + next.encoded_len() <= MAX_UNPACKED_BYTES / SPARE
                && self.packed_bytes + packed_bytes <= MAX_BATCH_BYTES / SPARE)
    }
}

/// Whether a batch of this interval alone would be taken.
pub(super) fn is_acceptable(origin: &Origin, measured: &Measured, packed_bytes: usize) -> bool {
    let key = (StreamId([0; 16]), 1);
    let alone = batch(
        origin,
        key,
        std::slice::from_ref(measured),
        &measured.end,
        &[],
    );
    packed_bytes <= MAX_BATCH_BYTES / SPARE
        && measured.encoded_len() <= MAX_UNPACKED_BYTES / SPARE
        && wire::validate(&alone).is_ok()
}

/// Messages of one kind, each once, by index.
struct Dictionary<T> {
    entries: Vec<T>,
    positions: HashMap<T, u32>,
}

impl<T: Clone + Eq + std::hash::Hash> Dictionary<T> {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            positions: HashMap::new(),
        }
    }

    fn index(&mut self, entry: &T) -> u32 {
        if let Some(&index) = self.positions.get(entry) {
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(entry.clone());
        self.positions.insert(entry.clone(), index);
        index
    }
}

/// The batch of these intervals, with the counters as they `stood` at its end, that tells `losses`.
pub(super) fn batch(
    origin: &Origin,
    (stream_id, sequence): (StreamId, u64),
    measured: &[Measured],
    stood: &Standing,
    losses: &[Lost],
) -> Batch {
    let mut workloads = Dictionary::<Workload>::new();
    let mut zones = Dictionary::<Zone>::new();
    let intervals = measured.iter().map(|one| {
        let own_workloads: Vec<u32> = one.workloads.iter().map(|it| workloads.index(it)).collect();
        let own_zones: Vec<u32> = one.zones.iter().map(|it| zones.index(it)).collect();
        renumbered(&one.interval, &own_workloads, &own_zones)
    });
    let intervals = intervals.collect();
    let renames = measured.iter().flat_map(|one| &one.renames);
    let renames = renames.map(|rename| renamed(rename, &mut workloads));
    let renames = renames.collect();
    let losses = losses.iter().map(|lost| loss(lost, stream_id, &mut zones));
    let losses = losses.collect();
    Batch {
        version: wire::VERSION,
        cluster: origin.cluster.clone(),
        node: origin.node.clone(),
        // As it was known last: a batch has one site.
        site: measured
            .last()
            .map(|last| last.site.clone())
            .unwrap_or_default(),
        stream_id: stream_id.to_vec(),
        sequence,
        boot_id: origin.boot_id.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        workloads: workloads.entries,
        readings: readings(stood, &zones.entries),
        zones: zones.entries,
        intervals,
        losses,
        renames,
    }
}

fn renamed(named: &Named, workloads: &mut Dictionary<Workload>) -> Rename {
    Rename {
        was: workloads.index(&named.was),
        is: workloads.index(&named.is),
    }
}

fn renumbered(interval: &Interval, workloads: &[u32], zones: &[u32]) -> Interval {
    let mut interval = interval.clone();
    for index in &mut interval.workloads {
        *index = workloads[*index as usize];
    }
    for sample in &mut interval.zones {
        sample.zone = zones[sample.zone as usize];
    }
    interval
}

fn loss(lost: &Lost, stream_id: StreamId, zones: &mut Dictionary<Zone>) -> Loss {
    let zone = |zone: &super::entry::LostZone| LostEnergy {
        zone: zones.index(&Zone {
            name: zone.name.clone(),
            parent: String::new(),
            basis: zone.basis,
            ..Zone::default()
        }),
        measured_uj: zone.measured_uj,
    };
    let is_own = lost.stream_id == stream_id.0;
    Loss {
        sequence: lost.sequence,
        stream_id: if is_own {
            Vec::new()
        } else {
            lost.stream_id.clone()
        },
        reason: lost.reason,
        start_unix_ms: lost.start_unix_ms,
        duration_ns: lost.duration_ns,
        zones: lost.zones.iter().map(zone).collect(),
    }
}

fn readings(stood: &Standing, zones: &[Zone]) -> Vec<CounterReading> {
    let reading = |counter: &super::entry::Counter| {
        let zone = zones.iter().position(|zone| zone.name == counter.zone)?;
        Some(CounterReading {
            zone: zone as u32,
            counter_uj: counter.counter_uj,
            boottime_ns: counter.boottime_ns,
            awake_ns: counter.awake_ns,
        })
    };
    stood.counters.iter().filter_map(reading).collect()
}

/// Intervals, one after the other, as one in which nobody watched: the energy stays, who used it does not. `None`
/// where they are too much for one, or none.
pub(super) fn unwatched(parts: &[&Measured]) -> Option<Measured> {
    let (first, last) = (parts.first()?, parts.last()?);
    let mut zones = Dictionary::<Zone>::new();
    let mut samples: Vec<ZoneSample> = Vec::new();
    let mut system_cpu_ns = 0;
    for part in parts {
        let interval = &part.interval;
        system_cpu_ns += interval.system_cpu_ns + interval.cpu_ns.iter().sum::<u64>();
        for sample in &interval.zones {
            let zone = zones.index(&part.zones[sample.zone as usize]);
            let sample = ZoneSample {
                zone,
                system_uj: sample.system_uj + sample.active_uj.iter().sum::<u64>(),
                active_uj: Vec::new(),
                ..sample.clone()
            };
            match samples.iter_mut().find(|sum| sum.zone == zone) {
                Some(sum) => add(sum, &sample),
                None => samples.push(sample),
            }
        }
    }
    let duration_ns = parts.iter().map(|part| part.interval.duration_ns).sum();
    let mut energies = samples.iter().map(|sample| sample.measured_uj);
    if duration_ns > MAX_INTERVAL_NS || energies.any(|energy| energy > MAX_SAMPLE_UJ) {
        return None;
    }
    Some(Measured {
        workloads: Vec::new(),
        zones: zones.entries,
        interval: Interval {
            start_unix_ms: first.interval.start_unix_ms,
            duration_ns,
            system_cpu_ns,
            zones: samples,
            unwatched: true,
            ..Interval::default()
        },
        end: last.end.clone(),
        renames: parts
            .iter()
            .flat_map(|part| part.renames.clone())
            .take(MAX_NAMES)
            .collect(),
        site: last.site.clone(),
    })
}

/// What is known stays known: an unknown part is a time without coverage, as all of it is.
fn add(sum: &mut ZoneSample, sample: &ZoneSample) {
    let is_known =
        |sample: &ZoneSample| matches!(sample.outcome(), Outcome::Sampled | Outcome::Wrapped);
    if is_known(sample) && (!is_known(sum) || sample.outcome() == Outcome::Wrapped) {
        sum.outcome = sample.outcome;
    }
    sum.measured_uj += sample.measured_uj;
    sum.idle_uj += sample.idle_uj;
    sum.system_uj += sample.system_uj;
    sum.idle_seeded |= sample.idle_seeded;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(pod: &str, uid: &str) -> Workload {
        Workload {
            kind: wire::v1::WorkloadKind::Container.into(),
            pod: pod.to_owned(),
            pod_uid: uid.to_owned(),
            ..Workload::default()
        }
    }

    fn measured(ran: &str, names: &[(&str, &str)]) -> Measured {
        let named = |&(uid, pod): &(&str, &str)| Named {
            was: workload("", uid),
            is: workload(pod, ""),
        };
        Measured {
            workloads: vec![workload(ran, "")],
            interval: Interval {
                start_unix_ms: 1,
                duration_ns: 1_000_000_000,
                workloads: vec![0],
                cpu_ns: vec![7],
                ..Interval::default()
            },
            renames: names.iter().map(named).collect(),
            ..Measured::default()
        }
    }

    /// (uid, pod) of each name that a batch gives.
    fn told(batch: &Batch) -> Vec<(&str, &str)> {
        let of = |index: u32| &batch.workloads[index as usize];
        let renames = batch.renames.iter();
        renames
            .map(|rename| (&*of(rename.was).pod_uid, &*of(rename.is).pod))
            .collect()
    }

    #[test]
    fn names_are_in_the_batch_of_their_interval_also_where_nobody_watched() {
        let parts = [
            measured("web-0", &[("u1", "web-0")]),
            measured("web-1", &[]),
            Measured {
                site: "paris".to_owned(),
                ..measured("web-1", &[("u2", "db-0"), ("u3", "web-1")])
            },
        ];
        let origin = Origin {
            cluster: "c".to_owned(),
            node: "n".to_owned(),
            ..Origin::default()
        };
        let names = [("u1", "web-0"), ("u2", "db-0"), ("u3", "web-1")];
        let key = (StreamId([7; 16]), 1);
        let whole = batch(&origin, key, &parts, &Standing::default(), &[]);
        assert_eq!(wire::validate(&whole), Ok(()));
        assert_eq!(told(&whole), names);
        assert_eq!(whole.workloads.len(), 2 + 3 + 1, "each once");
        assert_eq!(whole.site, "paris", "as it was known last");

        let parts: Vec<&Measured> = parts.iter().collect();
        let merged = unwatched(&parts).unwrap();
        let whole = batch(&origin, key, &[merged], &Standing::default(), &[]);
        assert_eq!(wire::validate(&whole), Ok(()));
        assert_eq!(told(&whole), names);
    }
}
