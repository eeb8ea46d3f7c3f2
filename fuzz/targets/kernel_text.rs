//! Text of /proc and /sys, and of management controllers. A process chooses its own name; the rest is the kernel's, or a broken driver's.

#![no_main]

use agent::capability::{Capabilities, Capability};
use agent::sensor::channels::channel_number;
use agent::sensor::cpus::cpu_list;
use agent::sensor::hwmon::number_beside;
use agent::sensor::model::memory_bytes;
use agent::sensor::perf::{event_config, uj_per_count};
use agent::sensor::rapl::name_zone;
use agent::sensor::redfish::json::{control_watts, environment_watts, members};
use agent::usage::proc_stat::{BusyTime, ProcessStat};
use libfuzzer_sys::fuzz_target;
use procfs_core::{CpuInfo, FromBufRead as _};

fuzz_target!(|data: &[u8]| fuzz::one_of_text(
    data,
    &[
        check_stat,
        check_name,
        check_busy,
        check_status,
        check_zone,
        check_cpus,
        check_memory,
        check_cpu_list,
        check_event,
        check_channel,
        check_controller
    ]
));

fn check_stat(text: &str) {
    if let Some(stat) = ProcessStat::parse(text) {
        assert!(stat.comm.len() <= 15 && text.contains(&stat.comm));
    }
}

/// Whatever a process is called, its numbers are read.
fn check_name(name: &str) {
    let text = format!("42 ({name}) S 1 2 3 4 5 6 7 8 9 10 250 50 7 3 20 0 1 0 9999 0 0");
    let stat = ProcessStat::parse(&text).expect("only the name varies");
    assert_eq!(stat.start_ticks, 9999);
    assert!(name.starts_with(&stat.comm));
}

fn check_busy(text: &str) {
    if let Some(busy) = BusyTime::parse(text) {
        assert!(busy.cpus > 0 && busy.seconds() >= 0.0);
    }
}

fn check_status(text: &str) {
    if let Some(capabilities) = Capabilities::from_status(text) {
        let has_all = capabilities.has(Capability::SysAdmin);
        assert!(
            !has_all
                || capabilities
                    .missing(&[Capability::Bpf, Capability::Perfmon])
                    .is_empty()
        );
    }
}

/// Only packages and memory are ever added up.
fn check_zone(text: &str) {
    let (name, parent) = match text.split_once('\n') {
        Some((name, parent)) => (name, Some(parent)),
        None => (text, None),
    };
    let zone = name_zone(name, parent);
    let is_additive = name == "dram" || (parent.is_none() && name.starts_with("package-"));
    assert!(is_additive || !zone.parent.is_empty(), "{zone:?}");
}

fn check_cpus(text: &str) {
    if let Ok(cpus) = CpuInfo::from_buf_read(text.as_bytes()) {
        let _ = (cpus.num_cores(), cpus.get_field(0, "model name"));
    }
}

fn check_memory(text: &str) {
    if let Some(bytes) = memory_bytes(text) {
        assert!(bytes % 1024 == 0 && text.contains("MemTotal:"));
    }
}

fn check_cpu_list(text: &str) {
    if let Some(cpus) = cpu_list(text) {
        assert!(!cpus.is_empty() && cpus.iter().all(|&cpu| cpu < 65_536));
    }
}

/// An event, or its scale.
fn check_event(text: &str) {
    if event_config(text).is_some() {
        assert!(text.trim().starts_with("event="));
    }
    if let Some(uj) = uj_per_count(text, "Joules") {
        assert!(uj.is_finite() && uj > 0.0);
    }
}

/// A file of a chip, or its label.
fn check_channel(text: &str) {
    if channel_number(text, "power").is_some() {
        assert!(text.ends_with("_input") || text.ends_with("_average"));
    }
    if number_beside(text, "SVI2_P_Core").is_some() {
        assert!(text.contains("SVI2_P_Core"));
    }
}

fn check_controller(text: &str) {
    for watts in [
        environment_watts(text.as_bytes()),
        control_watts(text.as_bytes()),
    ] {
        assert!(watts.is_none_or(|watts| watts > 0.0 && watts.is_finite()));
    }
    for path in members(text.as_bytes()).unwrap_or_default() {
        assert!(path.starts_with("/redfish/"), "{path}");
    }
}
