//! Every power source that can be had without its hardware: what its driver would show, in files, in a library, behind TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::nvml::{FakeNvml, gpu};
use crate::redfish::{Controller, Mood};
use crate::text;

/// GPUs of a large server, each used by as many processes.
const GPUS: usize = 8;

/// Files below a sysfs root and what is in them. The PMU is the kernel's own of software events, whose CPU clock
/// counts: the same system calls as RAPL's, with other figures.
const FILES: [(&str, &str); 12] = [
    ("class/hwmon/hwmon0/name", "apm_xgene"),
    ("class/hwmon/hwmon0/power1_label", "CPU power"),
    ("class/hwmon/hwmon0/power1_input", "55000000"),
    ("class/hwmon/hwmon1/name", "power_meter"),
    ("class/hwmon/hwmon1/power1_average", "320000000"),
    ("bus/event_source/devices/power/type", "1"),
    ("bus/event_source/devices/power/cpumask", "0"),
    (
        "bus/event_source/devices/power/events/energy-pkg",
        "event=0x00",
    ),
    (
        "bus/event_source/devices/power/events/energy-pkg.scale",
        "1e-9",
    ),
    (
        "bus/event_source/devices/power/events/energy-pkg.unit",
        "Joules",
    ),
    ("devices/system/cpu/cpu0/topology/physical_package_id", "0"),
    ("devices/system/cpu/online", "0"),
];

/// What stands in for hardware, as long as it is there.
pub(super) struct Sources {
    nvml: FakeNvml,
    controller: Controller,
    directory: TempDir,
}

impl Sources {
    /// With files below `sys_root`; the driver's library is among the programs.
    pub(super) fn new(programs: &Path, sys_root: &Path) -> anyhow::Result<Self> {
        for (name, content) in FILES {
            let path = sys_root.join(name);
            fs::create_dir_all(path.parent().unwrap_or(sys_root))?;
            fs::write(path, content)?;
        }
        let own = std::process::id();
        let gpus: Vec<_> = (0..GPUS)
            .map(|number| {
                let mut gpu = gpu(&format!("GPU-{number}"));
                gpu["samples"] = json!([[own, 40]]);
                gpu["processes"] = json!([own]);
                gpu
            })
            .collect();
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let authority = Authority::new(&path("ca.pem"))?;
        authority.sign(&path("cert.pem"), &path("key.pem"), &[])?;
        fs::write(path("credentials"), "root:calvin")?;
        let mood = Mood::Newer(320.0);
        Ok(Self {
            nvml: FakeNvml::of(&programs.join("libfake_nvml.so"), &gpus)?,
            controller: Controller::start(&path("cert.pem"), &path("key.pem"), mood)?,
            directory,
        })
    }

    /// Tells an agent of them.
    pub(super) fn tell(&self, agent: &mut Command) {
        self.nvml.tell_program(agent);
        let path = |name: &str| text(&self.directory.path().join(name)).to_owned();
        agent
            .args(["--redfish-url", self.controller.url()])
            .args(["--redfish-ca-file", &path("ca.pem")])
            .args(["--redfish-credentials-file", &path("credentials")]);
    }
}
