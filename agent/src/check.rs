//! `--check`: what this node has, for the person who installs the agent.

use std::fmt::Write;

use crate::config::{Config, UsageSource};
use crate::node::hierarchies;
use crate::sensor::{Finding, select};
use crate::usage::accounting::Accounting;
use crate::usage::ebpf::{DEFAULT_TASKS, EbpfUsage};

/// What was found, as text, and whether the agent can run with it.
#[must_use]
pub fn check(config: &Config) -> (String, bool) {
    let mut text = String::new();
    let power = check_power(config, &mut text);
    let usage = check_usage(config, &mut text);
    let _ = writeln!(
        text,
        "{}",
        if power && usage {
            "ready to run"
        } else {
            "something needed is missing"
        }
    );
    (text, power && usage)
}

fn check_power(config: &Config, text: &mut String) -> bool {
    let findings = select(&config.power, &config.proc_root, &config.sys_root).findings;
    findings.iter().for_each(|finding| describe(finding, text));
    // Of sources that were named, each is wanted.
    if config.power.is_empty() {
        findings.iter().any(|finding| finding.found.is_ok())
    } else {
        findings.iter().all(|finding| finding.found.is_ok())
    }
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

fn check_usage(config: &Config, text: &mut String) -> bool {
    let ebpf = (config.usage != UsageSource::Accounting)
        .then(|| EbpfUsage::load(&config.sys_root, DEFAULT_TASKS));
    match &ebpf {
        Some(Ok(_)) => text.push_str("CPU time by eBPF: found\n"),
        Some(Err(error)) => {
            let _ = writeln!(text, "CPU time by eBPF: none: {error}");
        }
        None => {}
    }
    let accounting = hierarchies(config).and_then(|found| {
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
    match config.usage {
        UsageSource::Ebpf => ebpf.is_some_and(|ebpf| ebpf.is_ok()),
        UsageSource::Accounting => accounting.is_ok(),
        UsageSource::Auto => accounting.is_ok() || ebpf.is_some_and(|ebpf| ebpf.is_ok()),
    }
}
