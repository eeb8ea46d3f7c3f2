//! Records as the spool and the wire have them: one measured interval with its dictionaries, and the counters that it
//! ends with.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::info;
use wire::Energy;
use wire::limits::MAX_INTERVAL_NS;
use wire::v1::{Interval, Workload, WorkloadKind, Zone, ZoneSample};

use crate::clock::Moment;
use crate::idle::Origin;
use crate::node::ZoneState;
use crate::run::{Record, ZoneRecord};
use crate::sensor::Reading;
use crate::spool::{Counter, Measured, Standing};

/// Digits of a container's id that tell it from the others of a node.
const SHORT_ID: usize = 12;

/// One interval that ended at `end`.
#[must_use]
pub fn measured(zones: &[ZoneState], record: &Record, end: Moment) -> Measured {
    let told = Told::new(record.parties.workloads());
    Measured {
        zones: zones.iter().map(zone).collect(),
        interval: interval(record, &told),
        workloads: told.workloads,
        end: standing(zones, end),
        renames: record.names.clone(),
        site: String::new(),
    }
}

/// A workload with what names it and no more. Of a container's id the first twelve digits do, as everybody cuts it;
/// where all names are known, there are no ids: random digits cannot be packed, and would be most of a batch.
#[must_use]
pub fn told(workload: &Workload) -> Workload {
    let mut told = workload.clone();
    if told.kind() != WorkloadKind::Container {
        return told;
    }
    let is_pods_own = told.container_id.is_empty();
    if !told.container.is_empty() || (is_pods_own && !told.pod.is_empty()) {
        told.container_id.clear();
        if !told.pod.is_empty() {
            told.pod_uid.clear();
        }
    }
    told.container_id = told.container_id.chars().take(SHORT_ID).collect();
    told
}

/// Workloads as they are told: several may be one then, such as a container and the one that it was restarted as, which
/// have one name.
struct Told {
    workloads: Vec<Workload>,
    /// Of each party's workload, its place among them.
    places: Vec<usize>,
}

impl Told {
    fn new(workloads: &[Arc<Workload>]) -> Self {
        let mut all = Self {
            workloads: Vec::new(),
            places: Vec::new(),
        };
        let mut known = HashMap::new();
        for workload in workloads {
            let told = told(workload);
            let next = all.workloads.len();
            let place = *known.entry(told).or_insert_with_key(|told| {
                all.workloads.push(told.clone());
                next
            });
            all.places.push(place);
        }
        all
    }

    /// Amounts of the parties' workloads, summed up.
    fn sums(&self, amounts: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut sums = vec![0; self.workloads.len()];
        for (place, amount) in self.places.iter().zip(amounts) {
            sums[*place] += amount;
        }
        sums
    }
}

/// How the counters stand, as far as was told of them.
#[must_use]
pub fn standing(zones: &[ZoneState], now: Moment) -> Standing {
    let counter = |state: &ZoneState| {
        let reading = state.last_reading()?;
        Some(Counter {
            zone: state.zone.name.clone(),
            source: state.zone.source.clone(),
            counter_uj: reading.counter_uj,
            boottime_ns: reading.boottime_ns,
            awake_ns: reading.awake_ns,
        })
    };
    Standing {
        counters: zones.iter().filter_map(counter).collect(),
        boottime_ns: now.boottime_ns,
        unix_ms: now.unix_ms,
    }
}

/// The time between the end of what an earlier process of this boot has told of and now: its energy is known, who
/// used it is not. `None` where there is no such time, or more than an interval may have.
#[must_use]
pub fn gap(zones: &mut [ZoneState], earlier: &Standing, now: Moment) -> Option<Measured> {
    let duration_ns = now.boottime_ns.checked_sub(earlier.boottime_ns)?;
    let seconds = duration_ns / 1_000_000_000;
    if duration_ns > MAX_INTERVAL_NS {
        info!("{seconds} s since an earlier agent's last interval are too long to be booked");
    }
    if !(1..=MAX_INTERVAL_NS).contains(&duration_ns) {
        return None;
    }
    let samples = zones.iter_mut().enumerate();
    let samples = samples.map(|(index, state)| gap_sample(index, state, earlier, duration_ns));
    let interval = Interval {
        start_unix_ms: now.unix_ms - (duration_ns / 1_000_000) as i64,
        duration_ns,
        zones: samples.collect(),
        unwatched: true,
        ..Interval::default()
    };
    let gap = Measured {
        workloads: Vec::new(),
        zones: zones.iter().map(zone).collect(),
        interval,
        end: standing(zones, now),
        renames: Vec::new(),
        site: String::new(),
    };
    let energy = gap.energy();
    info!("{seconds} s since an earlier agent's last interval: {energy} are the system's and idle");
    Some(gap)
}

fn gap_sample(
    index: usize,
    state: &mut ZoneState,
    earlier: &Standing,
    duration_ns: u64,
) -> ZoneSample {
    let (sample, idle) = state.resume(reading(earlier, state));
    let sample = sample.within(duration_ns);
    let idle = idle.min(sample.energy);
    let of_sample = ZoneSample {
        zone: index as u32,
        outcome: sample.outcome.into(),
        measured_uj: sample.energy.microjoules(),
        ..ZoneSample::default()
    };
    if !state.zone.parent.is_empty() {
        return of_sample;
    }
    let active = sample.energy.checked_sub(idle).unwrap_or(Energy::ZERO);
    ZoneSample {
        idle_uj: idle.microjoules(),
        system_uj: active.microjoules(),
        idle_seeded: state.idle.origin() == Origin::Seeded,
        ..of_sample
    }
}

/// The zone's counter as an earlier process has told of it; `None` also where it was that process's own.
fn reading(earlier: &Standing, state: &ZoneState) -> Option<Reading> {
    if !state.zone.is_lasting {
        return None;
    }
    let is_it =
        |counter: &&Counter| counter.zone == state.zone.name && counter.source == state.zone.source;
    let counter = earlier.counters.iter().find(is_it)?;
    Some(Reading {
        counter_uj: counter.counter_uj,
        boottime_ns: counter.boottime_ns,
        awake_ns: counter.awake_ns,
    })
}

fn zone(state: &ZoneState) -> Zone {
    Zone {
        name: state.zone.name.clone(),
        parent: state.zone.parent.clone(),
        basis: state.zone.basis.into(),
        low_percent: state.zone.range_percent.map_or(0, |(low, _)| low),
        high_percent: state.zone.range_percent.map_or(0, |(_, high)| high),
    }
}

fn interval(record: &Record, told: &Told) -> Interval {
    let (cpu_ns, system_cpu_ns) = record.parties.cpu_ns();
    Interval {
        start_unix_ms: record.start_unix_ms,
        duration_ns: record.duration_ns,
        workloads: (0..told.workloads.len() as u32).collect(),
        cpu_ns: told.sums(cpu_ns.into_iter()),
        system_cpu_ns,
        unwatched: false,
        zones: record
            .zones
            .iter()
            .enumerate()
            .map(|(index, zone)| sample(index, zone, told))
            .collect(),
    }
}

fn sample(index: usize, record: &ZoneRecord, told: &Told) -> ZoneSample {
    let sample = ZoneSample {
        zone: index as u32,
        outcome: record.sample.outcome.into(),
        measured_uj: record.sample.energy.microjoules(),
        ..ZoneSample::default()
    };
    let Some(shares) = &record.shares else {
        return sample;
    };
    ZoneSample {
        idle_uj: shares.idle.microjoules(),
        system_uj: shares.system.microjoules(),
        active_uj: told.sums(shares.active.iter().map(|share| share.microjoules())),
        idle_seeded: record.idle_seeded,
        ..sample
    }
}

#[cfg(test)]
mod tests {
    use wire::v1::{Basis, Outcome};

    use super::*;
    use crate::sensor::{IdleSource, SensorError};

    const SECOND: u64 = 1_000_000_000;
    const RANGE: u64 = 262_143_328_850;

    fn reading(counter_uj: u64, seconds: u64) -> Reading {
        Reading {
            counter_uj,
            boottime_ns: seconds * SECOND,
            awake_ns: seconds * SECOND,
        }
    }

    /// A zone of 2 W idle, as a new process finds it after its first reading.
    fn zone(name: &str, parent: &str, first: Result<Reading, SensorError>) -> ZoneState {
        let zone = crate::sensor::Zone {
            name: name.into(),
            parent: parent.into(),
            basis: Basis::Measured,
            package: Some(0),
            range_uj: Some(RANGE),
            is_lasting: true,
            range_percent: None,
            idle: IdleSource::Exact(2.0),
            source: format!("/{name}"),
            reason: String::new(),
        };
        let mut state = ZoneState::new(zone, "rapl");
        state.sample([first].iter());
        state
    }

    fn moment(seconds: u64) -> Moment {
        Moment {
            boottime_ns: seconds * SECOND,
            awake_ns: seconds * SECOND,
            unix_ms: 1_790_000_000_000 + seconds as i64 * 1_000,
        }
    }

    /// How an earlier process has left these zones at the 100th second.
    fn earlier(counters: &[(&str, u64)]) -> Standing {
        let counter = |&(zone, counter_uj): &(&str, u64)| Counter {
            zone: zone.into(),
            source: format!("/{zone}"),
            counter_uj,
            boottime_ns: 100 * SECOND,
            awake_ns: 100 * SECOND,
        };
        Standing {
            counters: counters.iter().map(counter).collect(),
            boottime_ns: 100 * SECOND,
            unix_ms: 0,
        }
    }

    #[test]
    fn more_than_a_gap_may_hold_is_not_known_and_not_idle_either() {
        let mut zones = [zone("gpu-0", "", Ok(reading(20_000_000_000_000, 3_000)))];
        zones[0].zone.range_uj = None;
        zones[0].idle.configure(2.0);
        let mut before = earlier(&[("gpu-0", 5)]);
        before.boottime_ns = 2_999 * SECOND;
        let gap = gap(&mut zones, &before, moment(3_000)).unwrap();
        let sample = &gap.interval.zones[0];
        assert_eq!(sample.outcome(), Outcome::Failed);
        assert_eq!(
            (sample.measured_uj, sample.idle_uj, sample.system_uj),
            (0, 0, 0)
        );
    }

    #[test]
    fn the_time_without_an_agent_is_idle_and_the_system_s_zone_by_zone() {
        let mut zones = [
            zone("package-0", "", Ok(reading(1_000_000, 110))),
            zone("core-0", "package-0", Ok(reading(60_000_000, 110))),
            zone("dram-0", "", Ok(reading(5, 110))),
            zone("package-1", "", Ok(reading(7, 110))),
        ];
        let before = [
            ("package-0", RANGE - 49_000_000),
            ("core-0", 50_000_000),
            ("package-1", 6),
        ];
        let gap = gap(&mut zones, &earlier(&before), moment(111)).unwrap();
        let interval = &gap.interval;
        assert!(interval.unwatched && gap.workloads.is_empty());
        assert_eq!(interval.duration_ns, 11 * SECOND);
        assert_eq!(interval.start_unix_ms, moment(100).unix_ms);
        let found: Vec<(Outcome, [u64; 3])> = interval
            .zones
            .iter()
            .map(|sample| {
                (
                    sample.outcome(),
                    [sample.measured_uj, sample.idle_uj, sample.system_uj],
                )
            })
            .collect();
        let expected = [
            (Outcome::Wrapped, [50_000_000, 20_000_000, 30_000_000]),
            (Outcome::Sampled, [10_000_000, 0, 0]),
            (Outcome::First, [0; 3]),
            (Outcome::Sampled, [1, 1, 0]),
        ];
        assert_eq!(found, expected);
        assert_eq!(gap.end, standing(&zones, moment(111)));
    }

    #[test]
    fn a_counter_that_began_with_its_agent_tells_nothing_of_the_gap() {
        let mut zones = [zone("package-0", "", Ok(reading(60, 110)))];
        zones[0].zone.is_lasting = false;
        let gap = gap(&mut zones, &earlier(&[("package-0", 50)]), moment(111)).unwrap();
        let sample = &gap.interval.zones[0];
        assert_eq!((sample.outcome(), sample.measured_uj), (Outcome::First, 0));
    }

    #[test]
    fn a_gap_in_which_a_counter_may_have_wrapped_twice_is_a_hole() {
        let mut zones = [zone("package-0", "", Ok(reading(70_000_000, 500)))];
        let before = earlier(&[("package-0", 60_000_000)]);
        let gap = gap(&mut zones, &before, moment(500)).unwrap();
        assert_eq!(gap.interval.zones[0].outcome(), Outcome::Reset);
        assert_eq!(gap.energy(), Energy::ZERO);
    }

    #[test]
    fn a_zone_that_cannot_be_read_at_the_start_is_booked_when_it_can() {
        let failed = || Err(SensorError::Failed("hangs".into()));
        let mut zones = [zone("package-0", "", failed())];
        let before = earlier(&[("package-0", 60_000_000)]);
        let gap = gap(&mut zones, &before, moment(110)).unwrap();
        assert_eq!(gap.interval.zones[0].outcome(), Outcome::Failed);
        assert_eq!(
            gap.end.counters, before.counters,
            "as long as nothing else was told"
        );
        let later = zones[0].sample([Ok(reading(90_000_000, 115))].iter());
        assert_eq!(
            (later.outcome, later.energy.microjoules()),
            (Outcome::Sampled, 30_000_000)
        );
    }

    #[test]
    fn a_container_is_told_by_its_name_or_by_twelve_digits() {
        let told_of = |kind: WorkloadKind, container: &str| {
            let workload = Workload {
                kind: kind.into(),
                container: container.to_owned(),
                container_id: "0123456789abcdef".repeat(4),
                ..Workload::default()
            };
            told(&workload).container_id
        };
        assert_eq!(told_of(WorkloadKind::Container, ""), "0123456789ab");
        assert_eq!(told_of(WorkloadKind::Container, "main"), "");
        assert_eq!(told_of(WorkloadKind::Exec, "").len(), 64);
    }

    #[test]
    fn a_restarted_container_is_told_once_with_all_that_it_used() {
        let container = |id: &str, uid: &str| {
            Arc::new(Workload {
                kind: WorkloadKind::Container.into(),
                namespace: "ml".into(),
                pod: "web-0".into(),
                container: "main".into(),
                container_id: id.repeat(64),
                pod_uid: uid.into(),
                ..Workload::default()
            })
        };
        let told = Told::new(&[
            container("a", "u1"),
            container("b", "u1"),
            container("c", "u2"),
        ]);
        assert_eq!(told.workloads.len(), 1);
        assert_eq!(told.sums([1, 2, 4].into_iter()), [7]);
    }

    #[test]
    fn there_is_no_gap_of_no_time_or_of_months() {
        let months = 40 * 24 * 3_600;
        for seconds in [100, 99, 100 + months] {
            let mut zones = [zone("package-0", "", Ok(reading(2, seconds)))];
            let before = earlier(&[("package-0", 1)]);
            assert_eq!(gap(&mut zones, &before, moment(seconds)), None);
        }
    }
}
