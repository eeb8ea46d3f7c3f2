//! Machines that lack something. (A taken port is in `tests/surroundings.rs`.)

use std::fs;
use std::os::unix::fs::symlink;

use e2e::{Running, get, metric_sum, poll, text};

use crate::site::{PACKAGE, Site, measured};

#[test]
fn fault_22_a_machine_without_proc_modules_is_measured() {
    let proc_root = tempfile::tempdir().unwrap();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if entry.file_name() != "modules" {
            symlink(entry.path(), proc_root.path().join(entry.file_name())).unwrap();
        }
    }
    assert!(!proc_root.path().join("modules").exists());
    let root = text(proc_root.path());
    let site = Site::with(&[PACKAGE], &["--usage", "accounting", "--proc-root", root]);
    site.until("energy", |text| measured(text, "package-0") > 0.0);
    site.agent.stop().unwrap();
}

#[test]
fn fault_10_and_22_a_machine_without_rapl_gets_a_model_that_says_so() {
    let sys_root = tempfile::tempdir().unwrap();
    let agent = Running::start(
        "hxmlops-agent",
        &[
            "--sys-root",
            text(sys_root.path()),
            "--usage",
            "accounting",
            "--interval",
            "1s",
            "--listen",
            "127.0.0.1:0",
        ],
    )
    .unwrap();
    let url = format!("{}/metrics", agent.url());
    let name = "hxmlops_node_energy_joules_total";
    let found = poll("modelled energy", || {
        let (_, text) = get(&url)?;
        let joules = metric_sum(&text, name, &["basis=\"modelled\""]);
        Ok((joules > 0.0).then_some(text))
    });
    let text = found.unwrap();
    assert_eq!(metric_sum(&text, name, &["basis=\"measured\""]), 0.0);
    agent.stop().unwrap();
}
