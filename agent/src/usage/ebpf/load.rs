//! Loads the programs, and says exactly why when it cannot.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

use agent_ebpf::CpuSlot;
use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfError, EbpfLoader};

use super::EbpfUsage;
use super::drain::{Batch, Slot};
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
/// From this kernel on, maps count towards the cgroup's memory, not towards RLIMIT_MEMLOCK.
const NO_MEMLOCK_FROM: Kernel = Kernel(5, 11);
const NEEDED: &[Capability] = &[Capability::Bpf, Capability::Perfmon];
/// The two hashes, by a window's parity.
const TASKS: [&str; 2] = ["TASKS_EVEN", "TASKS_ODD"];
/// Program and tracepoint.
const ATTACHED: [(&str, &str); 2] = [("switch", "sched_switch"), ("exec", "sched_process_exec")];
/// Run on demand only.
const FLUSH: &str = "flush";

/// Why the programs could not be loaded; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object was not there at build time.
    #[error(
        "this agent was built without its eBPF object: run `cargo xtask ebpf` and build it again"
    )]
    NotBuilt,
    /// The kernel cannot do it.
    #[error("the kernel is {found}, and eBPF accounting needs 5.10 or newer: update it")]
    KernelTooOld {
        /// Its release, as `uname -r` prints it.
        found: String,
    },
    /// The process may not load programs.
    #[error(
        "{} missing: give the agent CAP_BPF and CAP_PERFMON, or run it as root",
        list(missing)
    )]
    MissingCapability {
        /// What it lacks.
        missing: Vec<Capability>,
    },
    /// The limit on locked memory is too low for the maps (kernels before 5.11).
    #[error(
        "the maps need more locked memory than RLIMIT_MEMLOCK allows: give the agent CAP_SYS_RESOURCE or raise the limit (`ulimit -l`)"
    )]
    Memlock,
    /// The capabilities are there and the kernel refuses all the same.
    #[error(
        "the kernel forbids bpf(2) although the capabilities are there: look for a seccomp filter, a user namespace or kernel lockdown"
    )]
    Forbidden,
    /// The kernel's verifier does not take a program.
    #[error(
        "the kernel's verifier refused program '{program}' ({reason}): report this, with the kernel's release"
    )]
    Verifier {
        /// The program.
        program: &'static str,
        /// The last line of the verifier's log.
        reason: String,
    },
    /// Anything else.
    #[error("cannot load the eBPF programs: {0}")]
    Other(String),
}

/// A kernel's version: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kernel(u32, u32);

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

fn from_ebpf(error: EbpfError, kernel: Kernel) -> LoadError {
    match &error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) if is_eperm(io_error) => {
            if kernel < NO_MEMLOCK_FROM {
                LoadError::Memlock
            } else {
                LoadError::Forbidden
            }
        }
        _ => other(error),
    }
}

fn from_program(error: ProgramError, program: &'static str) -> LoadError {
    match &error {
        ProgramError::LoadError { io_error, .. } if is_eperm(io_error) => LoadError::Forbidden,
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => LoadError::Verifier {
            program,
            reason: last_line(&verifier_log.to_string()).unwrap_or_else(|| io_error.to_string()),
        },
        ProgramError::SyscallError(syscall) if is_eperm(&syscall.io_error) => LoadError::Forbidden,
        _ => other(error),
    }
}

fn is_eperm(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// What the verifier ends its log with before its statistics: the reason.
fn last_line(log: &str) -> Option<String> {
    let mut lines = log.lines().map(str::trim).rev();
    let reason = lines.find(|line| !line.is_empty() && !line.starts_with("processed "))?;
    Some(reason.to_owned())
}

fn other(error: impl Error) -> LoadError {
    LoadError::Other(with_causes(&error))
}

/// An error and what caused it, in one line. A cause that only repeats what was said is left out.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

fn list(capabilities: &[Capability]) -> String {
    let names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
    names.join(" and ")
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

    #[test]
    fn the_verifier_s_reason_is_its_last_line_before_the_statistics() {
        let log =
            "0: R1=ctx()\nR0 invalid mem access 'scalar'\nprocessed 5 insns (limit 1000000)\n";
        assert_eq!(last_line(log).unwrap(), "R0 invalid mem access 'scalar'");
        assert_eq!(last_line("\n"), None);
    }

    #[test]
    fn an_eperm_is_told_by_what_it_means() {
        let eperm = || io::Error::from_raw_os_error(libc::EPERM);
        let no_map = || {
            EbpfError::MapError(MapError::CreateError {
                name: "TASKS_ODD".into(),
                io_error: eperm(),
            })
        };
        assert!(matches!(
            from_ebpf(no_map(), Kernel(5, 10)),
            LoadError::Memlock
        ));
        assert!(matches!(
            from_ebpf(no_map(), Kernel(6, 1)),
            LoadError::Forbidden
        ));
    }
}
