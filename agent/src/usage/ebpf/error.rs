//! Why the programs could not be loaded, and what to do.

use std::error::Error;
use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use super::load::Kernel;
use crate::capability::Capability;
use crate::causes::with_causes;

/// From this kernel on, maps count towards the cgroup's memory, not towards RLIMIT_MEMLOCK.
pub(super) const NO_MEMLOCK_FROM: Kernel = Kernel(5, 11);

/// Why the programs could not be loaded; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object was not there at build time.
    #[error(
        "this agent was built without its eBPF object: run `cargo xtask ebpf` and build it again"
    )]
    NotBuilt,
    /// The object is from before the layouts of its maps changed.
    #[error(
        "this agent was built with an older eBPF object: run `cargo xtask ebpf` and build it again"
    )]
    Stale,
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

pub(super) fn from_ebpf(error: EbpfError, kernel: Kernel) -> LoadError {
    match &error {
        // The loader names the symbol that it did not find.
        EbpfError::ParseError(parse) if parse.to_string().contains(agent_ebpf::SETTINGS) => {
            LoadError::Stale
        }
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

pub(super) fn from_program(error: ProgramError, program: &'static str) -> LoadError {
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

/// How the lines of statistics begin with which the verifier ends its log.
const STATISTICS: [&str; 3] = ["verification time ", "stack depth ", "processed "];

/// What the verifier ends its log with before its statistics: the reason.
fn last_line(log: &str) -> Option<String> {
    let is_statistics = |line: &str| STATISTICS.iter().any(|start| line.starts_with(start));
    let mut lines = log.lines().map(str::trim).rev();
    let reason = lines.find(|line| !line.is_empty() && !is_statistics(line))?;
    Some(reason.to_owned())
}

pub(super) fn other(error: impl Error) -> LoadError {
    LoadError::Other(with_causes(&error))
}

fn list(capabilities: &[Capability]) -> String {
    let names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_s_reason_is_its_last_line_before_the_statistics() {
        let log = "0: R1=ctx()\nR0 invalid mem access 'scalar'\nverification time 9 usec\n\
                   stack depth 264+0\nprocessed 5 insns (limit 1000000)\n";
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
