//! RAPL as the kernel serves it: a module of ours plays the registers, the kernel's own driver makes powercap
//! zones of them, and the agent in the guest attributes what they show.

mod energy;
mod metrics;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use self::energy::Energies;
use self::metrics::Metrics;
use super::{Built, boot, image};
use crate::guest::{Kernel, Machine, Report};
use crate::run::output;
use crate::{install, workspace};

const MODULE: &str = "hxmlops_rapl";
/// The kernel's modules that it stands on, in the order in which they are loaded.
const NEEDED: &[(&str, &str)] = &[
    ("iosf_mbi.ko", "arch/x86/platform/intel/iosf_mbi.ko"),
    (
        "intel_rapl_common.ko",
        "drivers/powercap/intel_rapl_common.ko",
    ),
];

/// Installs what builds the module.
///
/// # Errors
/// Where something is missing and cannot be installed.
pub(super) fn prerequisites() -> Result<()> {
    // The compiler that the headers ask for.
    install::debian_program("gcc-12", "gcc-12")?;
    install::debian_program("make", "make")
}

/// Boots the kernel, runs the agent beside the zones, and says what it measured.
///
/// # Errors
/// Where the agent's figures do not agree with the kernel's.
pub(super) fn run(kernel: &Kernel, built: &Built) -> Result<String> {
    let mut image = image("rapl.round")?;
    image.file("bin/hxmlops-agent", &built.agent()?.agent)?;
    for (name, path) in NEEDED {
        image.file(&format!("modules/{name}"), &kernel.module(path))?;
    }
    image.file(&format!("modules/{MODULE}.ko"), &build_module(kernel)?)?;
    let machine = Machine {
        name: "rapl",
        kernel,
        sockets: 2,
        disk: None,
        append: "",
    };
    check(&boot(&machine, image)?)
}

fn build_module(kernel: &Kernel) -> Result<PathBuf> {
    // Building leaves files beside the source.
    let copy = workspace::target().join("guest/module");
    fs::create_dir_all(&copy).with_context(|| format!("cannot make {}", copy.display()))?;
    for name in [&format!("{MODULE}.c"), "Makefile"] {
        let source = workspace::root().join("tests/guest/rapl").join(name);
        fs::copy(&source, copy.join(name))
            .with_context(|| format!("cannot copy {}", source.display()))?;
    }
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(kernel.headers()?)
        .arg(format!("M={}", copy.display()))
        .arg("modules");
    output(&mut make)?;
    Ok(copy.join(format!("{MODULE}.ko")))
}

fn check(report: &Report) -> Result<String> {
    report.succeeded("modules")?;
    report.succeeded("agent")?;
    let metrics = Metrics::parse(report.succeeded("metrics")?)?;
    let started = Metrics::parse(report.succeeded("metrics-started")?)?;
    let energies = |name| Energies::parse(report.succeeded(name)?);
    let outer = energies("after")?.since(&energies("before")?)?;
    let inner = energies("ended")?.since(&energies("started")?)?;
    for zone in energy::ADDITIVE {
        energy::check_zone(&metrics, zone, inner.of(zone)?, outer.of(zone)?)
            .with_context(|| format!("zone {zone}"))?;
    }
    check_permission(report)?;
    energy::check_stage(&metrics, &started)
}

/// Counters that are root's alone are read with CAP_DAC_READ_SEARCH, and named without it.
fn check_permission(report: &Report) -> Result<()> {
    let readable = report.succeeded("check-readable")?;
    ensure!(readable.contains("power rapl: found"), "{readable}");
    let unreadable = report.section("check-unreadable")?;
    ensure!(
        unreadable.code == 3
            && unreadable.text.contains("energy_uj")
            && unreadable.text.contains("CAP_DAC_READ_SEARCH"),
        "without CAP_DAC_READ_SEARCH --check ended with {}:\n{}",
        unreadable.code,
        unreadable.text
    );
    Ok(())
}
