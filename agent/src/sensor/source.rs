//! The power sources there are: a line for each, the better first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::acpi::Acpi;
use super::hwmon::Hwmon;
use super::model::{Machine, Model};
use super::msr::Msr;
use super::nvml::Nvml;
use super::perf::Perf;
use super::powercap::Powercap;
use super::redfish::{self, Redfish};
use super::{Sensor, SensorError};

/// Where the module msr has a device for each CPU.
const DEVICES: &str = "/dev/cpu";

/// A power source.
pub struct Source {
    /// As `--power` names it.
    pub name: &'static str,
    /// What it gives, and from where.
    pub gives: &'static str,
    /// Of which domains it may have zones.
    pub domains: &'static [Domain],
    /// What has to be there for it.
    pub needs: &'static str,
    /// It is another machine, which is asked only where that is wanted.
    pub is_remote: bool,
    /// `--power auto` tries it.
    pub is_automatic: bool,
    find: fn(&Surroundings) -> Result<Box<dyn Sensor>, SensorError>,
}

/// What one source is enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// CPU packages.
    Package,
    /// Their memory.
    Dram,
    /// GPUs.
    Gpu,
    /// The whole machine.
    Platform,
}

const CPU: &[Domain] = &[Domain::Package, Domain::Dram];

/// A driver with many devices may take some seconds to wake them all.
const LONGEST_SEARCH: Duration = Duration::from_secs(30);

/// In the order in which `auto` tries them, and docs/sources.md tells of them.
pub static SOURCES: &[Source] = &[
    Source {
        name: "rapl",
        gives: "CPU packages and their memory: RAPL's counters through powercap",
        domains: CPU,
        needs: "an Intel or AMD Zen machine, or a VM whose host shares its part (--powercap-dir); root, or CAP_DAC_READ_SEARCH",
        is_remote: false,
        is_automatic: true,
        find: |around| {
            Ok(Box::new(Powercap::find(
                &around.powercap_dir,
                around.machine()?,
            )?))
        },
    },
    Source {
        name: "perf",
        gives: "CPU packages and their memory: RAPL's counters through the kernel's perf events",
        domains: CPU,
        needs: "an Intel or AMD Zen machine, not a VM, whose kernel has the PMU power; CAP_PERFMON",
        is_remote: false,
        is_automatic: true,
        find: |around| Ok(Box::new(Perf::find(&around.sys_root, around.machine()?)?)),
    },
    Source {
        name: "msr",
        gives: "CPU packages and their memory: RAPL's registers themselves",
        domains: CPU,
        needs: "an Intel or AMD Zen machine, not a VM; the module msr; root with CAP_SYS_RAWIO, and /dev/cpu",
        is_remote: false,
        is_automatic: false,
        find: |around| {
            Ok(Box::new(Msr::find(
                Path::new(DEVICES),
                &around.sys_root,
                around.machine()?,
            )?))
        },
    },
    Source {
        name: "hwmon",
        gives: "CPU packages: from a chip that measures them",
        domains: &[Domain::Package],
        needs: "a driver that does: amd_energy (root), zenpower, xgene-hwmon, or acpi_power_meter on NVIDIA Grace",
        is_remote: false,
        is_automatic: true,
        find: |around| Ok(Box::new(Hwmon::find(&around.sys_root, around.machine()?)?)),
    },
    Source {
        name: "nvml",
        gives: "NVIDIA GPUs, and who uses them: counters of the driver's library, or its power over time",
        domains: &[Domain::Gpu],
        needs: "the driver with its libnvidia-ml.so.1, and /dev/nvidiactl and /dev/nvidiaN of each GPU",
        is_remote: false,
        is_automatic: true,
        find: |_| Ok(Box::new(Nvml::find()?)),
    },
    Source {
        name: "acpi",
        gives: "the platform: power as its firmware's own meter tells it",
        domains: &[Domain::Platform],
        needs: "a server whose firmware has one, and the driver acpi_power_meter",
        is_remote: false,
        is_automatic: true,
        find: |around| Ok(Box::new(Acpi::find(&around.sys_root)?)),
    },
    Source {
        name: "redfish",
        gives: "the platform: power as its management controller tells it over HTTPS",
        domains: &[Domain::Platform],
        needs: "--redfish-url and, as a rule, --redfish-credentials-file and --redfish-ca-file",
        is_remote: true,
        is_automatic: true,
        find: |around| Ok(Box::new(Redfish::start(around.redfish()?)?)),
    },
    Source {
        name: "model",
        gives: "CPU packages and memory: modelled from CPU use and memory size",
        domains: CPU,
        needs: "nothing",
        is_remote: false,
        is_automatic: true,
        find: |around| {
            Ok(Box::new(Model::new(
                &around.proc_root,
                around.machine()?.clone(),
            )))
        },
    },
];

/// Where sources look.
#[derive(Clone)]
pub struct Surroundings {
    /// The host's /proc.
    pub proc_root: PathBuf,
    /// The host's /sys.
    pub sys_root: PathBuf,
    /// Where RAPL's zones are.
    pub powercap_dir: PathBuf,
    /// The management controller, where one was named.
    pub redfish: Option<redfish::Access>,
    machine: Result<Machine, SensorError>,
}

impl Surroundings {
    /// Reads what machine it is.
    #[must_use]
    pub fn new(
        proc_root: &Path,
        sys_root: &Path,
        powercap_dir: Option<&Path>,
        redfish: Option<&redfish::Access>,
    ) -> Self {
        let in_sysfs = || sys_root.join("class/powercap");
        Self {
            proc_root: proc_root.to_path_buf(),
            sys_root: sys_root.to_path_buf(),
            powercap_dir: powercap_dir.map_or_else(in_sysfs, Path::to_path_buf),
            redfish: redfish.cloned(),
            machine: Machine::find(proc_root, sys_root),
        }
    }

    /// What machine it is.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub fn machine(&self) -> Result<&Machine, SensorError> {
        self.machine.as_ref().map_err(Clone::clone)
    }

    fn redfish(&self) -> Result<&redfish::Access, SensorError> {
        let none = || SensorError::Absent("a management controller (--redfish-url)".to_owned());
        self.redfish.as_ref().ok_or_else(none)
    }
}

impl Source {
    /// Looks for it, for so long at most: a driver or a file that hangs keeps nobody waiting.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn find(&'static self, around: &Surroundings) -> Result<Box<dyn Sensor>, SensorError> {
        let (sender, found) = channel();
        let around = around.clone();
        let search = thread::Builder::new().name(format!("find-{}", self.name));
        let started = search.spawn(move || sender.send((self.find)(&around)));
        started.map_err(|error| SensorError::Failed(format!("cannot start a thread: {error}")))?;
        found.recv_timeout(LONGEST_SEARCH).unwrap_or_else(|error| {
            Err(SensorError::Failed(match error {
                RecvTimeoutError::Timeout => format!("did not answer in {LONGEST_SEARCH:?}"),
                RecvTimeoutError::Disconnected => "the search for it died".to_owned(),
            }))
        })
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SOURCES.iter().find(|source| source.name == name)
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
