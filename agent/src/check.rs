//! `--check`: what this node has, for the person who installs the agent.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use std::{mem, thread};

use anyhow::Context;
use tokio::net::TcpSocket;

use crate::config::{Config, SiteSource, UsageSource};
use crate::kube;
use crate::kube::node::Label;
use crate::node::{Node, hierarchies};
use crate::sensor::select::FIRST_CHOICE;
use crate::sensor::source::SOURCES;
use crate::sensor::{
    Finding, Reading, Selection, Sensor, SensorError, Source, Surroundings, Zone, select,
};
use crate::spool::lock;
use crate::usage::Usage as _;
use crate::usage::accounting::Accounting;
use crate::usage::ebpf::{EbpfUsage, Options};

/// How long a management controller, or Kubernetes, may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// What was found, as text, and whether the agent can run with it.
#[must_use]
pub fn check(config: &Config) -> (String, bool) {
    let mut text = String::new();
    let around = config.surroundings();
    let mut selection = select(&config.power, &around);
    for source in SOURCES {
        let tried = selection
            .findings
            .iter()
            .find(|finding| finding.source == source);
        describe(source, tried, &around, &mut text);
    }
    describe_silent(&mut selection, &mut text);
    describe_usage(config, &mut text);
    // The verdict is that of the start itself.
    let missing = [
        Node::with(config, selection).err(),
        check_kube(config, &mut text).err(),
        check_site(config, &mut text).err(),
        check_spool(config, &mut text).err(),
        check_listen(config, &mut text).err(),
    ];
    let missing: Vec<_> = missing.into_iter().flatten().collect();
    for error in &missing {
        let _ = writeln!(text, "something needed is missing: {error:#}");
    }
    if missing.is_empty() {
        let _ = writeln!(text, "ready to run");
    }
    (text, missing.is_empty())
}

/// Asks for this node's pods as the agent would.
fn check_kube(config: &Config, text: &mut String) -> anyhow::Result<()> {
    let Some(access) = &config.kube else {
        let _ = writeln!(
            text,
            "Kubernetes: not asked, pods go by their uids (--kube)"
        );
        return Ok(());
    };
    let who = access.way().name();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async {
        let asked = kube::count_pods(access, &config.node_name);
        tokio::time::timeout(PATIENCE, asked).await
    });
    let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")));
    let pods = asked.with_context(|| format!("{who} does not tell of pods"))?;
    let hint = if pods == 0 {
        ": is --node-name its name in the cluster?"
    } else {
        ""
    };
    let node = &config.node_name;
    let _ = writeln!(
        text,
        "Kubernetes: {who} tells of {pods} pods on {node}{hint}"
    );
    Ok(())
}

/// Asks for the label that names this node's site.
fn check_site(config: &Config, text: &mut String) -> anyhow::Result<()> {
    let SiteSource::Label(key, kubeconfig) = &config.site else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let node = &config.node_name;
    let asked = runtime.block_on(async {
        let asked = async {
            Label::new(kubeconfig.as_deref(), node, key)
                .await?
                .ask()
                .await
        };
        tokio::time::timeout(PATIENCE, asked).await
    });
    let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")));
    let site = asked.with_context(|| format!("the API server does not tell of node {node}"))?;
    let said = site.map_or_else(
        || format!("node {node} has no label {key}: the aggregator goes by its name"),
        |site| format!("{site}, by the label {key} of node {node}"),
    );
    let _ = writeln!(text, "site: {said}");
    Ok(())
}

fn check_spool(config: &Config, text: &mut String) -> anyhow::Result<()> {
    let Some(directory) = &config.spool_dir else {
        let _ = writeln!(text, "spool: in memory");
        return Ok(());
    };
    lock::check(directory)?;
    let _ = writeln!(text, "spool: {} can be written", directory.display());
    Ok(())
}

/// Takes the address without listening, so that nobody finds it taken meanwhile.
fn check_listen(config: &Config, text: &mut String) -> anyhow::Result<()> {
    let Some(address) = config.listen else {
        return Ok(());
    };
    let taken = || -> std::io::Result<()> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)
    };
    taken().with_context(|| format!("cannot listen on {address}"))?;
    let _ = writeln!(text, "address: {address} is free");
    Ok(())
}

/// A source: whether it is there, what it would give, and how to get it. `tried`: what the selection found of it.
fn describe(
    source: &'static Source,
    tried: Option<&Finding>,
    around: &Surroundings,
    text: &mut String,
) {
    if tried.is_none() && source.is_remote {
        let _ = writeln!(text, "power {}: not asked for by --power", source.name);
        return;
    }
    let untried = || source.find(around).map(|sensor| sensor.zones().to_vec());
    let found = tried.map_or_else(untried, |finding| finding.found.clone());
    let zones = match found {
        Ok(zones) => zones,
        Err(error) => {
            let verdict = match error {
                SensorError::Absent(_) => "absent",
                SensorError::NotPermitted(_) => "not permitted",
                SensorError::Failed(_) => "failed",
            };
            let _ = writeln!(text, "power {}: {verdict}: {error}", source.name);
            let _ = writeln!(
                text,
                "  would give: {}\n  needs: {}",
                source.gives, source.needs
            );
            return;
        }
    };
    let use_of_it = match tried {
        Some(finding) if finding.used.is_empty() => ", not used: what it gives is given by others",
        Some(_) => "",
        None => ", not asked for by --power",
    };
    let _ = writeln!(text, "power {}: found{use_of_it}", source.name);
    for zone in zones {
        let place = if zone.parent.is_empty() {
            String::new()
        } else {
            format!(" (inside {})", zone.parent)
        };
        let used = tried.and_then(|finding| finding.using(&zone));
        let is_left = used.is_none() && tried.is_some_and(|finding| !finding.used.is_empty());
        let left = if is_left { ", not used" } else { "" };
        let _ = writeln!(text, "  {zone}{place}: {}{left}", zone.source);
        let reason = used.map_or("", |zone| &*zone.reason);
        if !(reason.is_empty() || reason == FIRST_CHOICE) {
            let _ = writeln!(text, "    because {reason}");
        }
    }
    for error in tried.map_or(&[][..], |finding| &finding.left_out) {
        let _ = writeln!(text, "  left out: {error}");
    }
}

/// Zones that are used and cannot be read now. A sensor that hangs is given up.
fn describe_silent(selection: &mut Selection, text: &mut String) {
    let (sender, answers) = channel();
    let mut silent = BTreeMap::new();
    for (place, mut sensor) in mem::take(&mut selection.sensors).into_iter().enumerate() {
        let (name, zones) = (sensor.name(), sensor.zones().to_vec());
        silent.insert(place, Silent { name, zones });
        let sender = sender.clone();
        thread::spawn(move || {
            sensor.wait_for_answer(PATIENCE);
            let readings = sensor.read();
            sender.send((place, readings, sensor))
        });
    }
    drop(sender);
    let deadline = Instant::now() + 2 * PATIENCE;
    let next = || {
        let left = deadline.saturating_duration_since(Instant::now());
        answers.recv_timeout(left).ok()
    };
    let answers: BTreeMap<usize, _> = std::iter::from_fn(next)
        .map(|(place, readings, sensor)| (place, (readings, sensor)))
        .collect();
    for (place, (readings, sensor)) in answers {
        silent.remove(&place);
        for (zone, reading) in sensor.zones().iter().zip(readings) {
            if let Err(error) = reading {
                let name = sensor.name();
                let _ = writeln!(text, "power {name}: no reading of {zone} yet: {error}");
            }
        }
        selection.sensors.push(sensor);
    }
    for silent in silent.into_values() {
        for zone in &silent.zones {
            let name = silent.name;
            let _ = writeln!(text, "power {name}: no reading of {zone} yet: {HANGS}");
        }
        selection.sensors.push(Box::new(silent));
    }
}

const HANGS: &str = "it does not answer";

/// Stands for a sensor that hangs: the agent starts with such a one, too.
struct Silent {
    name: &'static str,
    zones: Vec<Zone>,
}

impl Sensor for Silent {
    fn name(&self) -> &'static str {
        self.name
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        vec![Err(SensorError::Failed(HANGS.to_owned())); self.zones.len()]
    }
}

fn describe_usage(config: &Config, text: &mut String) {
    let hierarchies = || hierarchies(config);
    let options = Options {
        v1_cgroups: hierarchies().is_ok_and(|found| found.cpuacct.is_some()),
        ..Options::new(&config.sys_root)
    };
    let ebpf = (config.usage != UsageSource::Accounting).then(|| EbpfUsage::load(&options));
    match &ebpf {
        Some(Ok(ebpf)) => {
            let _ = writeln!(text, "CPU time by eBPF: found ({})", ebpf.detail());
        }
        Some(Err(error)) => {
            let _ = writeln!(text, "CPU time by eBPF: none: {error}");
        }
        None => {}
    }
    let accounting = hierarchies().and_then(|found| {
        Accounting::new(&config.proc_root, found.clone())?;
        Ok(found)
    });
    match &accounting {
        Ok(found) => {
            let trees = [
                ("cgroup v2", &found.unified),
                ("cgroup v1 cpuacct", &found.cpuacct),
            ];
            let trees = trees
                .iter()
                .filter_map(|(name, root)| Some(format!("{name} at {}", root.as_ref()?.display())));
            let trees: Vec<String> = trees.collect();
            let trees = if trees.is_empty() {
                "no cgroup tree, processes alone".to_owned()
            } else {
                trees.join(", ")
            };
            let _ = writeln!(text, "CPU time by accounting: found ({trees})");
        }
        Err(error) => {
            let _ = writeln!(text, "CPU time by accounting: none: {error:#}");
        }
    }
}
