//! `--check`: what this node has, for the person who installs the agent.

use std::fmt::Write;

use anyhow::Context;
use tokio::net::TcpSocket;

use crate::config::{Config, UsageSource};
use crate::node::{Node, hierarchies};
use crate::sensor::{Finding, select};
use crate::spool::lock;
use crate::usage::Usage as _;
use crate::usage::accounting::Accounting;
use crate::usage::ebpf::{EbpfUsage, Options};

/// What was found, as text, and whether the agent can run with it.
#[must_use]
pub fn check(config: &Config) -> (String, bool) {
    let mut text = String::new();
    let selection = select(&config.power, &config.proc_root, &config.sys_root);
    for finding in &selection.findings {
        describe(finding, &mut text);
    }
    describe_usage(config, &mut text);
    // The verdict is that of the start itself.
    let missing = [
        Node::with(config, selection).err(),
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
