//! Loads the programs, after asking whether this process and kernel can.

use std::fs;
use std::path::Path;

use agent_ebpf::CpuSlot;
use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::programs::RawTracePoint;
use aya::{Ebpf, EbpfLoader};

use super::EbpfUsage;
use super::drain::{Batch, Slot};
use super::error::{LoadError, from_ebpf, from_program, other};
use super::topology::package_of;
use crate::capability::{Capabilities, Capability};

/// The kernel side, where it was there when the agent was built.
#[cfg(ebpf_object)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/hxmlops.bpf.o"
)));
#[cfg(not(ebpf_object))]
const OBJECT: Option<&[u8]> = None;

/// The first kernel that runs a raw tracepoint's program on a CPU of one's choice.
const OLDEST_KERNEL: Kernel = Kernel(5, 10);
const NEEDED: &[Capability] = &[Capability::Bpf, Capability::Perfmon];
/// The two hashes, by a window's parity.
const TASKS: [&str; 2] = ["TASKS_EVEN", "TASKS_ODD"];
/// Program and tracepoint.
const ATTACHED: [(&str, &str); 2] = [("switch", "sched_switch"), ("exec", "sched_process_exec")];
/// Run on demand only.
pub(super) const FLUSH: &str = "flush";

/// A kernel's version: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kernel(pub(super) u32, pub(super) u32);

pub(super) fn load(sys_root: &Path, tasks: u32) -> Result<EbpfUsage, LoadError> {
    let object = OBJECT.ok_or(LoadError::NotBuilt)?;
    let kernel = check_kernel(&rustix::system::uname().release().to_string_lossy())?;
    check_capabilities()?;
    let mut loader = EbpfLoader::new();
    for map in TASKS {
        loader.map_max_entries(map, tasks);
    }
    let mut programs = loader.load(object).map_err(|e| from_ebpf(e, kernel))?;
    let mut slots = map::<PerCpuArray<MapData, Slot>>(&mut programs, "SLOT")?;
    set_packages(&mut slots, sys_root)?;
    let mut usage = EbpfUsage {
        window_map: map(&mut programs, "WINDOW")?,
        slots,
        tasks: [
            hash(&mut programs, TASKS[0])?,
            hash(&mut programs, TASKS[1])?,
        ],
        window: 1,
        batch: Batch::new(tasks),
        rows: Vec::new(),
        cpus: Vec::new(),
        programs,
    };
    start(&mut usage)?;
    Ok(usage)
}

fn start(usage: &mut EbpfUsage) -> Result<(), LoadError> {
    load_program(&mut usage.programs, FLUSH)?;
    for (name, tracepoint) in ATTACHED {
        let program = load_program(&mut usage.programs, name)?;
        program
            .attach(tracepoint)
            .map_err(|e| from_program(e, name))?;
    }
    let window = usage.window;
    usage.begin(window).map_err(other)
}

fn check_kernel(release: &str) -> Result<Kernel, LoadError> {
    match Kernel::parse(release) {
        Some(kernel) if kernel >= OLDEST_KERNEL => Ok(kernel),
        _ => Err(LoadError::KernelTooOld {
            found: release.to_owned(),
        }),
    }
}

/// Asked before loading, since the kernel's EPERM does not say which one it is.
fn check_capabilities() -> Result<(), LoadError> {
    let path = "/proc/self/status";
    let status = fs::read_to_string(path).map_err(|e| LoadError::Other(format!("{path}: {e}")))?;
    // A status that does not tell leaves the answer to the kernel.
    let missing = Capabilities::from_status(&status).map(|has| has.missing(NEEDED));
    match missing {
        Some(missing) if !missing.is_empty() => Err(LoadError::MissingCapability { missing }),
        _ => Ok(()),
    }
}

fn set_packages(slots: &mut PerCpuArray<MapData, Slot>, sys_root: &Path) -> Result<(), LoadError> {
    let cpus = slots.get(&0, 0).map_err(other)?.len();
    let slot = |cpu| CpuSlot {
        package: package_of(sys_root, cpu),
        ..CpuSlot::default()
    };
    let values: Vec<Slot> = (0..cpus).map(|cpu| Slot(slot(cpu))).collect();
    let values = PerCpuValues::try_from(values).map_err(other)?;
    slots.set(0, values, 0).map_err(other)
}

fn map<T>(programs: &mut Ebpf, name: &str) -> Result<T, LoadError>
where
    T: TryFrom<Map, Error = MapError>,
{
    take(programs, name)?.try_into().map_err(other)
}

fn hash(programs: &mut Ebpf, name: &str) -> Result<MapData, LoadError> {
    match take(programs, name)? {
        Map::HashMap(data) => Ok(data),
        _ => Err(LoadError::Other(format!("map '{name}' is no hash"))),
    }
}

fn take(programs: &mut Ebpf, name: &str) -> Result<Map, LoadError> {
    let missing = || LoadError::Other(format!("the object has no map '{name}'"));
    programs.take_map(name).ok_or_else(missing)
}

fn load_program<'a>(
    programs: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut RawTracePoint, LoadError> {
    let missing = || LoadError::Other(format!("the object has no program '{name}'"));
    let program = programs.program_mut(name).ok_or_else(missing)?;
    let program: &mut RawTracePoint = program.try_into().map_err(other)?;
    program.load().map_err(|e| from_program(e, name))?;
    Ok(program)
}

impl Kernel {
    /// From `uname -r`: `6.18.44-amd64`, `5.10-rc1`.
    fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self(number()?, number()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_5_10_are_refused_by_name() {
        for (release, is_new_enough) in [
            ("6.18.44-fc-v657", true),
            ("5.10.0-8-amd64", true),
            ("10.0", true),
            ("5.9.16", false),
            ("4.19.0", false),
            ("unknown", false),
        ] {
            let result = check_kernel(release);
            assert_eq!(result.is_ok(), is_new_enough, "{release}");
            if let Err(error) = result {
                assert!(error.to_string().contains(release), "{error}");
            }
        }
    }
}
