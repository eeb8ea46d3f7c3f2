//! How near the agent's figures come to the truth: the real agent beside a [`power truth`](crate::truth), under
//! workloads that are hard in different ways. `cargo xtask bench accuracy` runs the program of this name.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::errors::{Figures, errors};
use self::site::Site;
use self::workload::{WORKLOADS, Workload};

pub mod errors;
pub mod interrupt;
pub mod load;
pub mod short_processes;
pub mod site;
pub mod workload;

/// How long a workload runs.
pub const LENGTH: Duration = Duration::from_secs(16);

/// Intervals in a row in which nothing may run before the first workload, so that idle power is learned.
const QUIET_INTERVALS: u32 = 10;

/// The machine is quiet while what is in no group uses less than this of one CPU, in percent.
const QUIET_CPU: f64 = 15.0;

/// How long the bench waits for that.
const QUIET_PATIENCE: Duration = Duration::from_secs(120);

/// Where the programs are: the agent, the truth, and this one for its loads.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Their folder.
    pub directory: PathBuf,
}

impl Programs {
    /// One of them.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Runs all workloads, or those that were named, with the agent counting by `usage`.
///
/// # Errors
/// Where a program or a cgroup fails, or the bench is interrupted; what it made is removed.
pub fn run(programs: &Programs, usage: &str, named: &[String]) -> anyhow::Result<Vec<Value>> {
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    let mut site = Site::start(programs, usage)?;
    wait_until_quiet(&mut site)?;
    eprintln!("{usage}: the agent says {}", site.detail()?);
    let mut rows = Vec::new();
    for workload in WORKLOADS.iter().filter(|w| is_wanted(w.name)) {
        rows.push(measure(&mut site, workload)?);
    }
    if is_wanted(short_processes::NAME) && usage == "ebpf" {
        rows.push(short_processes::measure(&mut site)?);
    }
    site.stop()?;
    Ok(rows)
}

/// Waits until nothing else has run for a while; goes on after a time where it does, and says so.
fn wait_until_quiet(site: &mut Site) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut quiet = 0;
    let mut before = site.aligned()?;
    while quiet < QUIET_INTERVALS {
        let after = site.aligned()?;
        let is_quiet = errors(&before, &after, &[]).rest_cpu < QUIET_CPU;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        before = after;
        if begin.elapsed() > QUIET_PATIENCE {
            eprintln!(
                "{}: the machine does not become quiet: idle power is not learned well",
                site.usage()
            );
            return Ok(());
        }
    }
    eprintln!("{}: the machine is quiet", site.usage());
    Ok(())
}

fn measure(site: &mut Site, workload: &Workload) -> anyhow::Result<Value> {
    let before = site.aligned()?;
    let groups = (workload.run)(site)?;
    let after = site.aligned()?;
    let stages: Vec<_> = groups.iter().map(|group| group.named(site.run())).collect();
    drop(groups);
    let Figures {
        groups: worst,
        all,
        rest,
        idle,
        rest_cpu,
    } = errors(&before, &after, &stages);
    eprintln!(
        "{}: {}: worst group off by {:.2} points ({} in {}), the rest by {:.2}, idle by {:.2} %",
        site.usage(),
        workload.name,
        worst.points,
        worst.name,
        worst.zone,
        rest.points,
        idle.points
    );
    Ok(json!({
        "usage": site.usage(),
        "workload": workload.name,
        "groups": stages.len(),
        "worst_group_points": worst.points,
        "worst_group": worst.name,
        "worst_zone": worst.zone,
        "all_groups_points": all.points,
        "rest_points": rest.points,
        "idle_percent": idle.points,
        "idle_origin": after.idle_origin(),
        "rest_cpu_percent": rest_cpu,
    }))
}
