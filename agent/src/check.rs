//! `--check`: what this node has, for the person who installs the agent.

use std::fmt::Write;

use crate::config::{Config, UsageSource};
use crate::node::{Node, hierarchies};
use crate::sensor::{Finding, select};
use crate::usage::Usage as _;
use crate::usage::accounting::Accounting;
use crate::usage::ebpf::{EbpfUsage, Options};

/// What was found, as text, and whether the agent can run with it.
#[must_use]
pub fn check(config: &Config) -> (String, bool) {
    let mut text = String::new();
    for finding in select(&config.power, &config.proc_root, &config.sys_root).findings {
        describe(&finding, &mut text);
    }
    describe_usage(config, &mut text);
    // The verdict is that of the start itself.
    let started = Node::find(config);
    let _ = match &started {
        Ok(_) => writeln!(text, "ready to run"),
        Err(error) => writeln!(text, "something needed is missing: {error:#}"),
    };
    (text, started.is_ok())
}

fn describe(finding: &Finding, text: &mut String) {
    let name = finding.source.name();
    match &finding.found {
        Ok(zones) => {
            let _ = writeln!(text, "power {name}: found");
            for zone in zones {
                let place = if zone.parent.is_empty() {
                    String::new()
                } else {
                    format!(" (inside {})", zone.parent)
                };
                let _ = writeln!(text, "  {zone}{place}: {}", zone.source);
            }
        }
        Err(error) => {
            let _ = writeln!(text, "power {name}: none: {error}");
        }
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
