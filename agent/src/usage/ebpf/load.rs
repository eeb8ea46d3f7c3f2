//! Loads the programs, after asking whether this process and kernel can.

use std::fs;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use agent_ebpf::{EVENTS, SETTINGS, Settings};
use aya::maps::{Map, MapData, MapError};
use aya::programs::{BtfTracePoint, Program, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, Endianness};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::counters::OpenCounters;
use super::error::{LoadError, NO_MEMLOCK_FROM, from_ebpf, from_program, other};
use super::flush::Flush;
use super::sys::{Batch, FixedSettings};
use super::topology::Cpus;
use super::{EbpfUsage, Options, btf};
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
/// Maps of the perf events.
const EVENT_MAPS: [&str; EVENTS] = ["CYCLES", "INSTRUCTIONS", "MISSES"];
const PACKAGES: &str = "PACKAGES";
/// Entries for which 4 MiB of locked memory are enough, where a kernel before 5.11 allows no more.
const FEW_TASKS: u32 = 8192;
/// Program and tracepoint.
const EXEC: (&str, &str) = ("exec", "sched_process_exec");
/// The programs for task switches, one that reads the kernel's structures by their types and one that copies them.
const SWITCH_BY_TYPES: &str = "switch_by_types";
const SWITCH: &str = "switch";
const SCHED_SWITCH: &str = "sched_switch";
/// Run on demand only.
const FLUSH: &str = "flush";

/// A kernel's version: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kernel(pub(super) u32, pub(super) u32);

pub(super) fn load(options: &Options<'_>) -> Result<EbpfUsage, LoadError> {
    let object = OBJECT.ok_or(LoadError::NotBuilt)?;
    let kernel = check_kernel(&rustix::system::uname().release().to_string_lossy())?;
    check_capabilities()?;
    if kernel < NO_MEMLOCK_FROM {
        let unlimited = Rlimit {
            current: None,
            maximum: None,
        };
        // Only CAP_SYS_RESOURCE may; without it the limit stands.
        let _ = setrlimit(Resource::Memlock, unlimited);
    }
    let first = load_object(object, options, options.tasks, kernel);
    match first {
        Err(LoadError::Memlock) if options.tasks > FEW_TASKS => {
            let mut usage = load_object(object, options, FEW_TASKS, kernel)?;
            usage
                .notes
                .push(format!("room for {FEW_TASKS} tasks, by RLIMIT_MEMLOCK"));
            Ok(usage)
        }
        result => result,
    }
}

fn load_object(
    object: &[u8],
    options: &Options<'_>,
    tasks: u32,
    kernel: Kernel,
) -> Result<EbpfUsage, LoadError> {
    let cpus = Cpus::find(options.sys_root).map_err(other)?;
    let mut notes = Vec::new();
    let counters = OpenCounters::open(options.counters, cpus.online()).unwrap_or_else(|reason| {
        notes.push(format!("no hardware counters: {reason}"));
        None
    });
    let mut settings = Settings {
        count_events: u32::from(counters.is_some()),
        ..Settings::default()
    };
    let switch_type = find_cgroups(options, &mut settings, &mut notes);
    let settings = FixedSettings(settings);
    let mut loader = EbpfLoader::new();
    // There is nothing to relocate.
    loader
        .btf(None)
        .override_global(SETTINGS, &settings, true)
        .map_max_entries(PACKAGES, cpus.possible());
    for map in TASKS {
        loader.map_max_entries(map, tasks);
    }
    let mut programs = loader.load(object).map_err(|e| from_ebpf(e, kernel))?;
    let flush = load_program(&mut programs, FLUSH)?;
    let flush = flush.fd().map_err(|e| from_program(e, FLUSH))?;
    let flush = flush.as_fd().try_clone_to_owned().map_err(other)?;
    let [cycles, instructions, misses] = EVENT_MAPS;
    let mut usage = EbpfUsage {
        window_map: map(&mut programs, "WINDOW")?,
        slots: map(&mut programs, "SLOT")?,
        packages: map(&mut programs, PACKAGES)?,
        tasks: [
            hash(&mut programs, TASKS[0])?,
            hash(&mut programs, TASKS[1])?,
        ],
        event_maps: [
            events(&mut programs, cycles)?,
            events(&mut programs, instructions)?,
            events(&mut programs, misses)?,
        ],
        counters,
        counters_missing: false,
        cpus,
        notes,
        window: 1,
        batch: Batch::new(tasks),
        rows: Vec::new(),
        named_ns: Vec::new(),
        windows: Vec::new(),
        flush: Arc::new(Flush::new(flush)),
        programs,
    };
    // Programs run from here on; the maps have to be filled before.
    if let Some(counters) = &usage.counters {
        counters.put(&usage.event_maps).map_err(other)?;
    }
    usage.set_packages().map_err(other)?;
    let by_types = switch_type.map(|id| attach_by_types(&mut usage.programs, id));
    if !matches!(by_types, Some(Ok(()))) {
        attach(&mut usage.programs, SWITCH, SCHED_SWITCH)?;
    }
    if let Some(Err(reason)) = by_types {
        let note = format!("a task switch costs more than it need: {reason}");
        usage.notes.push(note);
    }
    attach(&mut usage.programs, EXEC.0, EXEC.1)?;
    let window = usage.window;
    usage.begin(window).map_err(other)?;
    Ok(usage)
}

/// Fills in where the kernel keeps a task's cgroups, or notes what is not known without it. Returns the number of the
/// type of a task switch's arguments.
fn find_cgroups(
    options: &Options<'_>,
    settings: &mut Settings,
    notes: &mut Vec<String>,
) -> Option<u32> {
    let mut switch_type = None;
    let v1_path = match btf::offsets(options.sys_root) {
        Ok(offsets) => {
            settings.use_sets = 1;
            (settings.set, settings.unified_path) = (offsets.set, offsets.unified_path);
            switch_type = offsets.switch;
            offsets.v1_path
        }
        Err(reason) => {
            notes.push(format!("a run is its cgroup's at its end: {reason}"));
            Err(reason)
        }
    };
    match v1_path {
        _ if !options.v1_cgroups => {}
        Ok(path) => (settings.use_v1, settings.v1_path) = (1, path),
        Err(reason) => notes.push(format!("v1 cgroups by /proc alone: {reason}")),
    }
    switch_type
}

fn attach(
    programs: &mut Ebpf,
    name: &'static str,
    tracepoint: &'static str,
) -> Result<(), LoadError> {
    let program = load_program(programs, name)?;
    let attached = program.attach(tracepoint);
    attached.map(drop).map_err(|e| from_program(e, name))
}

/// To task switches, where the verifier can follow the kernel's types.
fn attach_by_types(programs: &mut Ebpf, switch_type: u32) -> Result<(), LoadError> {
    let types = btf::with_switch_alone(switch_type);
    let types = Btf::parse(&types, Endianness::default()).map_err(other)?;
    let program: &mut BtfTracePoint = program(programs, SWITCH_BY_TYPES)?;
    let loaded = program.load(SCHED_SWITCH, &types);
    loaded.map_err(|e| from_program(e, SWITCH_BY_TYPES))?;
    let attached = program.attach();
    attached
        .map(drop)
        .map_err(|e| from_program(e, SWITCH_BY_TYPES))
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

fn events(programs: &mut Ebpf, name: &str) -> Result<MapData, LoadError> {
    match take(programs, name)? {
        Map::PerfEventArray(data) => Ok(data),
        _ => Err(LoadError::Other(format!(
            "map '{name}' is no array of perf events"
        ))),
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
    let program: &mut RawTracePoint = program(programs, name)?;
    program.load().map_err(|e| from_program(e, name))?;
    Ok(program)
}

fn program<'a, P>(programs: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let missing = || LoadError::Other(format!("the object has no program '{name}'"));
    let program = programs.program_mut(name).ok_or_else(missing)?;
    program.try_into().map_err(other)
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
    #[cfg(ebpf_object)]
    fn an_object_with_other_layouts_is_refused() {
        let object = OBJECT.unwrap();
        let name = SETTINGS.as_bytes();
        let older = [&name[..name.len() - 1], b"1"].concat();
        let mut stale = object.to_vec();
        while let Some(at) = stale.windows(name.len()).position(|bytes| bytes == name) {
            stale[at..at + name.len()].copy_from_slice(&older);
        }
        let options = Options::new(std::path::Path::new("/sys"));
        let result = load_object(&stale, &options, 4, Kernel(6, 1));
        assert!(matches!(result, Err(LoadError::Stale)));
    }

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
