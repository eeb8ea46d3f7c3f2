//! The workloads. To add one: a function, and a line in [`WORKLOADS`].

use std::collections::VecDeque;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::LENGTH;
use super::interrupt::{self, Process, pause};
use super::site::{Group, Site, WATTS};

/// One workload.
pub struct Workload {
    /// As it is printed.
    pub name: &'static str,
    /// Runs it to its end, and returns its groups.
    pub run: fn(&mut Site) -> anyhow::Result<Vec<Group>>,
}

/// All of them.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "idle",
        run: idle,
    },
    Workload {
        name: "steady",
        run: steady,
    },
    Workload {
        name: "bursts",
        run: bursts,
    },
    Workload {
        name: "fork storm",
        run: fork_storm,
    },
    Workload {
        name: "300 short cgroups",
        run: short_cgroups,
    },
    Workload {
        name: "moving process",
        run: moving_process,
    },
    Workload {
        name: "full load",
        run: full_load,
    },
    Workload {
        name: "memory and compute",
        run: |site| memory_and_compute(site, "equal", WATTS),
    },
    Workload {
        name: "memory at twice the watts",
        run: |site| memory_and_compute(site, "twice", (2 * WATTS.0, 2 * WATTS.1)),
    },
];

/// Time between the end of a container's process and the removal of its cgroup. A shim has to reap the process, tell
/// its runtime and start the program that deletes: tens of milliseconds where nothing is in the way.
const REMOVAL: Duration = Duration::from_millis(50);

/// As a load's argument.
fn length_ms() -> String {
    LENGTH.as_millis().to_string()
}

fn wait(mut processes: Vec<Process>) -> anyhow::Result<()> {
    processes.iter_mut().try_for_each(Process::wait)
}

fn idle(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let group = site.group("idle")?;
    pause(LENGTH)?;
    Ok(vec![group])
}

fn steady(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let (mut groups, mut processes) = (Vec::new(), Vec::new());
    for percent in ["100", "50", "15"] {
        let group = site.group(&format!("steady-{percent}"))?;
        processes.push(site.load(&group, &["steady", &length_ms(), percent])?);
        groups.push(group);
    }
    wait(processes)?;
    Ok(groups)
}

fn bursts(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let (mut groups, mut processes) = (Vec::new(), Vec::new());
    for seed in ["1", "2", "3"] {
        let group = site.group(&format!("bursts-{seed}"))?;
        processes.push(site.load(&group, &["bursts", &length_ms(), seed])?);
        groups.push(group);
    }
    wait(processes)?;
    Ok(groups)
}

fn fork_storm(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let (storm, calm) = (site.group("storm")?, site.group("storm-calm")?);
    let beside = site.load(&calm, &["steady", &length_ms(), "40"])?;
    let cgroup = storm.cgroup.as_ref().context("it has not ended")?;
    let mut forking = cgroup.command(Path::new("sh"));
    let forking = forking.args(["-c", "while :; do /bin/true; done"]).spawn();
    let forking = Process(forking.context("cannot start sh")?);
    wait(vec![beside])?;
    drop(forking);
    Ok(vec![storm, calm])
}

fn short_cgroups(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let mut groups = Vec::new();
    let mut ended: VecDeque<(Instant, Group)> = VecDeque::new();
    for number in 0..300 {
        let group = site.group(&format!("short-{number}"))?;
        let ms = (20 + number % 31).to_string();
        wait(vec![site.load(&group, &["cpu", &ms])?])?;
        ended.push_back((Instant::now(), group));
        while ended
            .front()
            .is_some_and(|(end, _)| end.elapsed() >= REMOVAL)
        {
            let (_, mut group) = ended.pop_front().context("there is one")?;
            site.end(&mut group)?;
            groups.push(group);
        }
        interrupt::check()?;
    }
    for (end, mut group) in ended {
        pause(REMOVAL.saturating_sub(end.elapsed()))?;
        site.end(&mut group)?;
        groups.push(group);
    }
    Ok(groups)
}

/// Moved from outside, and longer in one than in the other: a count that gives the time since the last task switch to
/// the new cgroup would not cancel out.
fn moving_process(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let groups = vec![site.group("moving-a")?, site.group("moving-b")?];
    let mut process = site.load(&groups[0], &["steady", &length_ms(), "100"])?;
    pause(Duration::from_millis(100))?;
    for step in 0.. {
        let group = &groups[step % 2];
        let cgroup = group.cgroup.as_ref().context("it has not ended")?;
        if process.0.try_wait()?.is_some() || cgroup.take(process.0.id()).is_err() {
            break;
        }
        pause(Duration::from_millis([130, 70][step % 2]))?;
    }
    process.wait()?;
    Ok(groups)
}

fn full_load(site: &mut Site) -> anyhow::Result<Vec<Group>> {
    let cpus = available_parallelism()?.get();
    let (mut groups, mut processes) = (Vec::new(), Vec::new());
    for (stage, of_each) in [("full-one", 1), ("full-two", 2)] {
        let group = site.group(stage)?;
        for _ in 0..cpus * of_each {
            processes.push(site.load(&group, &["steady", &length_ms(), "100"])?);
        }
        groups.push(group);
    }
    wait(processes)?;
    Ok(groups)
}

fn memory_and_compute(
    site: &mut Site,
    name: &str,
    watts: (u32, u32),
) -> anyhow::Result<Vec<Group>> {
    let memory = site.group_of_watts(&format!("memory-{name}"), watts)?;
    let compute = site.group(&format!("compute-{name}"))?;
    let processes = vec![
        site.load(&memory, &["memory", &length_ms()])?,
        site.load(&compute, &["steady", &length_ms(), "100"])?,
    ];
    wait(processes)?;
    Ok(vec![memory, compute])
}
