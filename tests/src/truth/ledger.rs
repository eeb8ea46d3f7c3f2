//! How much energy each zone has used, and whose it was. Pure: every figure is a function of CPU time and time.

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use super::command::{GroupLine, ZoneLine};

/// Picojoules in a microjoule: milliwatts x nanoseconds are picojoules.
const PJ_PER_UJ: u128 = 1_000_000;

/// CPU time since the start, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Time that has passed.
    pub elapsed_ns: u64,
    /// By group, in the order in which they were added; by package.
    pub groups: Vec<Vec<u64>>,
    /// All busy time, by package.
    pub busy: Vec<u64>,
}

/// Zones, groups, and the times that were seen last.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    zones: Vec<Zone>,
    groups: Vec<GroupLine>,
    times: Times,
    /// Busy time in no group, by package.
    rest: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Zone {
    line: ZoneLine,
    package: usize,
    is_dram: bool,
    /// A counter never goes back, whatever the order in which the kernel updates cgroups.
    total_pj: u128,
}

impl Ledger {
    /// Adds a zone: a package, or `dram` inside one that was added before.
    ///
    /// # Errors
    /// Where it is neither, or there is one in that directory.
    pub fn add_zone(&mut self, line: ZoneLine) -> anyhow::Result<()> {
        ensure!(
            self.zone(&line.directory).is_err(),
            "zone {} is there already",
            line.directory
        );
        let (package, is_dram) = match line.name.strip_prefix("package-") {
            Some(number) => (number.parse().context("package-NUMBER")?, false),
            None if line.name == "dram" => (self.parent_of(&line.directory)?, true),
            None => bail!("a zone is package-NUMBER or dram, not {}", line.name),
        };
        self.zones.push(Zone {
            line,
            package,
            is_dram,
            total_pj: 0,
        });
        Ok(())
    }

    /// Adds a group, whose time is the next in [`Times::groups`].
    ///
    /// # Errors
    /// Where it is there already.
    pub fn add_group(&mut self, line: GroupLine) -> anyhow::Result<()> {
        let is_known = self.groups.iter().any(|group| group.path == line.path);
        ensure!(!is_known, "group {} is there already", line.path);
        self.groups.push(line);
        Ok(())
    }

    /// The position of the zone in a directory.
    ///
    /// # Errors
    /// Where there is none.
    pub fn zone(&self, directory: &str) -> anyhow::Result<usize> {
        let is_it = |zone: &Zone| zone.line.directory == directory;
        let position = self.zones.iter().position(is_it);
        position.with_context(|| format!("no zone {directory}"))
    }

    /// Each zone's line, in order.
    pub fn zones(&self) -> impl Iterator<Item = &ZoneLine> {
        self.zones.iter().map(|zone| &zone.line)
    }

    /// Takes the times as they are now.
    pub fn update(&mut self, times: Times) {
        self.rest.resize(times.busy.len(), 0);
        for (package, rest) in self.rest.iter_mut().enumerate() {
            let in_groups: u64 = times.groups.iter().map(|group| group[package]).sum();
            *rest = (*rest).max(times.busy[package].saturating_sub(in_groups));
        }
        self.times = times;
        for position in 0..self.zones.len() {
            let zone = &self.zones[position];
            let groups = 0..self.times.groups.len();
            let of_groups: u128 = groups.map(|group| self.group_pj(zone, group)).sum();
            let total = self.idle_pj(zone) + self.rest_pj(zone) + of_groups;
            let zone = &mut self.zones[position];
            zone.total_pj = zone.total_pj.max(total);
        }
    }

    /// A zone's energy since the start.
    #[must_use]
    pub fn total_uj(&self, position: usize) -> u64 {
        microjoules(self.zones[position].total_pj)
    }

    /// All of it: `{elapsed_ns, zones: {NAME: {total_uj, idle_uj, rest_uj, groups: {PATH: UJ}}}, groups: {PATH: NS},
    /// rest_ns}`; a memory zone is named `dram-PACKAGE`.
    #[must_use]
    pub fn truth(&self) -> Value {
        let zones = self.zones.iter().map(|zone| {
            let groups = self.groups.iter().enumerate();
            let groups: Map<String, Value> = groups
                .map(|(at, group)| {
                    let uj = microjoules(self.group_pj(zone, at));
                    (group.path.clone(), uj.into())
                })
                .collect();
            let name = if zone.is_dram {
                format!("dram-{}", zone.package)
            } else {
                zone.line.name.clone()
            };
            let figures = json!({
                "total_uj": microjoules(zone.total_pj),
                "idle_uj": microjoules(self.idle_pj(zone)),
                "rest_uj": microjoules(self.rest_pj(zone)),
                "groups": groups,
            });
            (name, figures)
        });
        let groups = self.groups.iter().zip(&self.times.groups);
        let groups = groups.map(|(group, ns)| (group.path.clone(), ns.iter().sum::<u64>().into()));
        json!({
            "elapsed_ns": self.times.elapsed_ns,
            "zones": zones.collect::<Map<String, Value>>(),
            "groups": groups.collect::<Map<String, Value>>(),
            "rest_ns": self.rest.iter().sum::<u64>(),
        })
    }

    fn parent_of(&self, directory: &str) -> anyhow::Result<usize> {
        let parent = directory.rsplit_once(':').map(|(parent, _)| parent);
        let position = self.zone(parent.context("dram lies inside a package")?)?;
        Ok(self.zones[position].package)
    }

    fn idle_pj(&self, zone: &Zone) -> u128 {
        product(zone.line.idle_mw, self.times.elapsed_ns)
    }

    fn rest_pj(&self, zone: &Zone) -> u128 {
        let ns = self.rest.get(zone.package).copied().unwrap_or(0);
        product(zone.line.rest_mw, ns)
    }

    fn group_pj(&self, zone: &Zone, group: usize) -> u128 {
        let line = &self.groups[group];
        let mw = if zone.is_dram {
            line.dram_mw
        } else {
            line.package_mw
        };
        let ns = self.times.groups.get(group);
        let ns = ns.and_then(|packages| packages.get(zone.package).copied());
        product(mw, ns.unwrap_or(0))
    }
}

fn product(mw: u64, ns: u64) -> u128 {
    u128::from(mw) * u128::from(ns)
}

fn microjoules(pj: u128) -> u64 {
    (pj / PJ_PER_UJ) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::truth::command::Command;

    const SECOND: u64 = 1_000_000_000;

    fn ledger(lines: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        for line in lines {
            match line.parse().unwrap() {
                Command::Zone(zone) => ledger.add_zone(zone).unwrap(),
                Command::Group(group) => ledger.add_group(group).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        ledger
    }

    #[test]
    fn energy_is_idle_and_each_ones_cpu_time() {
        let mut ledger = ledger(&[
            "zone intel-rapl:0 package-0 10 4",
            "zone intel-rapl:0:0 dram 1 2",
            "zone intel-rapl:1 package-1 20 5",
            "group a 3 0.5",
            "group b 7",
        ]);
        ledger.update(Times {
            elapsed_ns: 10 * SECOND,
            groups: vec![vec![SECOND, 0], vec![0, 2 * SECOND]],
            busy: vec![3 * SECOND, 2 * SECOND],
        });
        let totals: Vec<u64> = (0..3).map(|zone| ledger.total_uj(zone)).collect();
        let joules = [100 + 3 + 2 * 4, 10 + 2 * 2, 200 + 2 * 7];
        assert_eq!(
            totals,
            [
                joules[0] * 1_000_000,
                joules[1] * 1_000_000 + 500_000,
                joules[2] * 1_000_000
            ]
        );
        let truth = ledger.truth();
        assert_eq!(truth["zones"]["package-0"]["groups"]["a"], 3_000_000);
        assert_eq!(truth["zones"]["dram-0"]["groups"]["a"], 500_000);
        assert_eq!(truth["zones"]["package-0"]["rest_uj"], 8_000_000);
        assert_eq!(truth["zones"]["package-1"]["idle_uj"], 200_000_000);
        assert_eq!(truth["groups"]["b"], 2 * SECOND);
        assert_eq!(truth["rest_ns"], 2 * SECOND);
    }

    #[test]
    fn no_counter_goes_back_when_a_group_catches_up() {
        let mut ledger = ledger(&["zone intel-rapl:0 package-0 0 9", "group a 1"]);
        let times = |group, busy| Times {
            elapsed_ns: SECOND,
            groups: vec![vec![group]],
            busy: vec![busy],
        };
        ledger.update(times(0, 4 * SECOND));
        let before = ledger.total_uj(0);
        ledger.update(times(4 * SECOND, 4 * SECOND));
        assert!(ledger.total_uj(0) >= before);
    }

    #[test]
    fn zones_that_are_none_are_refused() {
        let mut ledger = ledger(&["zone intel-rapl:0 package-0 10 4"]);
        for line in [
            "zone intel-rapl:0 package-0 1 1",
            "zone intel-rapl:9 psys 1 1",
            "zone intel-rapl:1:0 dram 1 1",
            "zone x package-x 1 1",
        ] {
            let Ok(Command::Zone(zone)) = line.parse() else {
                panic!("{line}")
            };
            assert!(ledger.add_zone(zone).is_err(), "{line}");
        }
    }
}
