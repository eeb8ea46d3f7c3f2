//! By how much two figures differ. Pure.

use super::site::{Named, Snapshot, zones};
use crate::metric_sum;

/// One difference; where there are several, the largest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// In percentage points of the zone's true active energy (idle: of all its true energy).
    pub points: f64,
    /// In which zone.
    pub zone: &'static str,
    /// Whose.
    pub name: String,
}

/// A workload's differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The worst of all groups.
    pub groups: Difference,
    /// All groups together.
    pub all: Difference,
    /// All that is in no group: the system, and workloads of others.
    pub rest: Difference,
    /// Idle.
    pub idle: Difference,
    /// CPU time outside of all groups, in percent of one CPU: how quiet the machine was.
    pub rest_cpu: f64,
}

/// Compares what was booked between two snapshots with what was used.
#[must_use]
pub fn errors(before: &Snapshot, after: &Snapshot, groups: &[Named]) -> Figures {
    let mut figures = Figures::default();
    for zone in zones() {
        let truth = |of: &dyn Fn(&Snapshot) -> f64| of(after) - of(before);
        let booked = |family: &str, labels: &[&str]| {
            let zone = format!("zone=\"{zone}\"");
            let labels = [labels, &[zone.as_str()]].concat();
            let name = format!("hxmlops_{family}energy_joules_total");
            metric_sum(&after.metrics, &name, &labels) - metric_sum(&before.metrics, &name, &labels)
        };
        let total = truth(&|at| at.truth.total(zone));
        let idle = truth(&|at| at.truth.idle(zone));
        let active = total - idle;
        let worse = |worst: &mut Difference, name: &str, booked: f64, used: f64, of: f64| {
            let points = (booked - used).abs() / of * 100.0;
            if points >= worst.points {
                *worst = Difference {
                    points,
                    zone,
                    name: name.to_owned(),
                };
            }
        };
        let (mut all_booked, mut all_used) = (0.0, 0.0);
        for group in groups {
            let labels = [
                format!("pod=\"{}\"", group.run),
                format!("stage=\"{}\"", group.stage),
            ];
            let booked = booked("pod_", &labels.each_ref().map(String::as_str));
            let used = truth(&|at| at.truth.group(zone, &group.path));
            worse(&mut figures.groups, &group.stage, booked, used, active);
            (all_booked, all_used) = (all_booked + booked, all_used + used);
        }
        worse(&mut figures.all, "all", all_booked, all_used, active);
        let rest = truth(&|at| at.truth.rest(zone));
        let booked_idle = booked("node_idle_", &[]);
        // Workloads that others run here are the rest's too.
        let others = booked("node_", &[]) - booked_idle - all_booked;
        worse(&mut figures.rest, "rest", others, rest, active);
        worse(&mut figures.idle, "idle", booked_idle, idle, total);
    }
    let seconds = after.truth.elapsed_seconds() - before.truth.elapsed_seconds();
    let rest = after.truth.rest_seconds() - before.truth.rest_seconds();
    figures.rest_cpu = rest / seconds * 100.0;
    figures
}
