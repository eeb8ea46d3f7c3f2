//! The agent with the few capabilities that it asks for, on a root file system that it cannot write to, and
//! with less than that. Needs root, to give it away.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use e2e::powercap::Tree;
use e2e::{Running, get, metric, text};

const ROOT: u32 = 0;
const NOBODY: u32 = 65534;
const JOULE: u64 = 1_000_000;
const RANGE: u64 = 262_143_328_850;

/// A counter as the kernel shows it: only its owner, root, may read it.
fn tree() -> Tree {
    let tree = Tree::new(&[("intel-rapl:0", "package-0", 7 * JOULE, RANGE)]).unwrap();
    let only_root = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    only_root(tree.root(), 0o755);
    let counter = tree.root().join("class/powercap/intel-rapl:0/energy_uj");
    only_root(&counter, 0o400);
    tree
}

/// The agent as this user with these capabilities and no others, where nothing on the root file system can
/// be written.
fn agent(user: u32, capabilities: &[&str], args: &[&str]) -> (Command, tempfile::TempPath) {
    let copy = e2e::public_copy("hxmlops-agent").unwrap();
    let only = ["-all"].into_iter().map(str::to_owned);
    let only = only.chain(capabilities.iter().map(|name| format!("+{name}")));
    let only = only.collect::<Vec<_>>().join(",");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount -o remount,bind,ro / && ! touch /unwritable 2>/dev/null && exec \"$@\"")
        .args(["sh", "setpriv", "--clear-groups"])
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .arg(format!("--bounding-set={only}"))
        .arg(format!("--inh-caps={only}"));
    if user != ROOT {
        command.arg(format!("--ambient-caps={only}"));
        command.arg("--no-new-privs");
    }
    command.arg(&*copy).args(args);
    (command, copy)
}

fn check_that_it_measures(user: u32, capabilities: &[&str]) -> anyhow::Result<()> {
    let tree = tree();
    let args = [
        "--interval",
        "1s",
        "--listen",
        "127.0.0.1:0",
        "--power",
        "rapl",
        "--usage",
        "ebpf",
        "--sys-root",
        text(tree.root()),
    ];
    let (command, _copy) = agent(user, capabilities, &args);
    let running = Running::spawn(command)?;
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid()))?;
    let count = capabilities.len() as u32;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.unwrap().trim(), 16)?;
    assert_eq!(effective.count_ones(), count, "{effective:x}");

    let metrics = e2e::poll("an interval", || {
        let (_, metrics) = get(&format!("{}/metrics", running.url()))?;
        let sampled = metric(&metrics, "hxmlops_agent_samples_total", &["sampled"]);
        Ok(sampled.is_ok().then_some(metrics))
    })?;
    metric(&metrics, "hxmlops_agent_usage_info", &["source=\"ebpf\""])?;
    running.stop()
}

#[test]
fn fault_12_as_root_with_two_capabilities_ebpf_and_rapl_work() -> anyhow::Result<()> {
    check_that_it_measures(ROOT, &["bpf", "perfmon"])
}

#[test]
fn fault_12_as_another_user_with_three_capabilities_ebpf_and_rapl_work() -> anyhow::Result<()> {
    check_that_it_measures(NOBODY, &["bpf", "perfmon", "dac_read_search"])
}

#[test]
fn without_dac_read_search_another_user_is_told_what_rapl_lacks() {
    let tree = tree();
    let args = [
        "--check",
        "--power",
        "rapl",
        "--sys-root",
        text(tree.root()),
    ];
    let (mut command, _copy) = agent(NOBODY, &["bpf", "perfmon"], &args);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("energy_uj") && said.contains("CAP_DAC_READ_SEARCH"),
        "{said}"
    );
}

/// With each set of capabilities the running agent does what `--check` says, in the same words.
#[test]
fn it_degrades_as_check_says_with_ebpf_and_without() -> anyhow::Result<()> {
    for capabilities in [&[][..], &["bpf"], &["perfmon"], &["bpf", "perfmon"]] {
        let (mut check, _copy) = agent(NOBODY, capabilities, &["--check", "--power", "model"]);
        let output = check.output()?;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8(output.stdout)?;
        let verdict = |about: &str| said.lines().find_map(|line| line.strip_prefix(about));
        let ebpf = verdict("CPU time by eBPF: ").unwrap();
        let source = if ebpf.starts_with("found") {
            assert_eq!(capabilities.len(), 2, "{said}");
            "ebpf"
        } else {
            for name in ["bpf", "perfmon"] {
                let is_named = ebpf.contains(&format!("CAP_{}", name.to_uppercase()));
                assert!(is_named, "{ebpf}");
            }
            "accounting"
        };
        let args = [
            "--interval",
            "1s",
            "--listen",
            "127.0.0.1:0",
            "--power",
            "model",
        ];
        let (command, _copy) = agent(NOBODY, capabilities, &args);
        let running = Running::spawn(command)?;
        let metrics = e2e::poll("an interval", || {
            let (_, metrics) = get(&format!("{}/metrics", running.url()))?;
            let booked = metric(&metrics, "hxmlops_agent_samples_total", &["sampled"]);
            Ok(booked.is_ok().then_some(metrics))
        })?;
        let detail = ebpf.trim_start_matches("found (").trim_end_matches(')');
        let detail = detail.trim_start_matches("none: ");
        let labels = [
            &format!("source=\"{source}\"")[..],
            &format!("detail=\"{}", detail.replace('"', "\\\"")),
        ];
        metric(&metrics, "hxmlops_agent_usage_info", &labels)?;
        running.stop()?;
    }
    Ok(())
}
