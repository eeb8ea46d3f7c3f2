//! `agent-cost [scenes PART]`: what the agent costs in several scenes, or in those with this in their name, as JSON; see
//! `e2e::agent_cost`.
//! `agent-cost load IDLE BUSY`, `agent-cost wake`: its loads.

use std::process::ExitCode;

use anyhow::Context;
use e2e::accuracy::interrupt;
use e2e::agent_cost::{Scene, become_load, measure, wake};

const DEFAULT: &str = "node,pod";
const ALL: &str = "node,pod,container,process";

const NOBODY: Scene = Scene {
    idle: 0,
    busy: 0,
    containers: 0,
    usage: "ebpf",
    power: "rapl",
    levels: DEFAULT,
    seconds: 30,
};

/// An idle machine, one that works, and one full of containers; each by both counters of CPU time.
const SCENES: [Scene; 6] = [
    Scene {
        idle: 2000,
        seconds: 60,
        ..NOBODY
    },
    Scene {
        idle: 2000,
        usage: "accounting",
        seconds: 60,
        ..NOBODY
    },
    Scene {
        idle: 1800,
        busy: 200,
        levels: ALL,
        seconds: 60,
        ..NOBODY
    },
    Scene {
        idle: 1800,
        busy: 200,
        usage: "accounting",
        levels: ALL,
        seconds: 60,
        ..NOBODY
    },
    Scene {
        idle: 500,
        ..NOBODY
    },
    Scene {
        containers: 200,
        ..NOBODY
    },
];

/// Each power source alone, on an empty machine; then the best of each domain, on an idle one.
const SOURCES: [&str; 7] = ["model", "rapl", "perf", "hwmon", "nvml", "acpi", "redfish"];
const EVERY_DOMAIN: Scene = Scene {
    idle: 2000,
    power: "auto",
    seconds: 60,
    ..NOBODY
};

fn scenes() -> impl Iterator<Item = Scene> {
    let sources = SOURCES.iter().map(|&power| Scene { power, ..NOBODY });
    SCENES.into_iter().chain(sources).chain([EVERY_DOMAIN])
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["scenes", _] => {}
        ["wake"] => wake(),
        ["load", idle, busy] => return become_load(idle.parse()?, busy.parse()?),
        _ => anyhow::bail!("usage: agent-cost"),
    }
    interrupt::watch()?;
    let own = std::env::current_exe()?;
    let programs = own.parent().context("a program lies in a folder")?;
    let mut rows = Vec::new();
    let part = args.get(1).map_or("", String::as_str);
    for scene in scenes().filter(|scene| scene.name().contains(part)) {
        eprintln!("{}", scene.name());
        rows.extend(measure(programs, &scene)?);
    }
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
