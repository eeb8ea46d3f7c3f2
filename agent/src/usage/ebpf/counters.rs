//! The CPUs' performance counters: opened here, read by the kernel side at each switch.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use agent_ebpf::EVENTS;
use aya::maps::MapData;

use super::sys::put_fd;
use crate::perf_event;

/// `PERF_TYPE_HARDWARE` and `PERF_TYPE_SOFTWARE` of the kernel's `enum perf_type_id`.
const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;

/// What the programs count beside time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// Nothing.
    Off,
    /// Cycles, instructions and misses of the last level of cache, where the machine has a PMU.
    Hardware,
    /// The kernel's own events in their place: CPU clock, page faults, CPU migrations. They go the same way and
    /// are there on every machine, which is what they are for.
    Software,
}

impl Counters {
    /// (type, config) of each event: the kernel's `enum perf_hw_id` and `enum perf_sw_ids`.
    fn events(self) -> Option<[(u32, u64); EVENTS]> {
        match self {
            Self::Off => None,
            Self::Hardware => Some([(HARDWARE, 0), (HARDWARE, 1), (HARDWARE, 3)]),
            Self::Software => Some([(SOFTWARE, 0), (SOFTWARE, 2), (SOFTWARE, 4)]),
        }
    }
}

/// The open counters of every CPU that is online.
#[derive(Debug)]
pub(super) struct OpenCounters {
    events: [(u32, u64); EVENTS],
    by_cpu: BTreeMap<u32, [OwnedFd; EVENTS]>,
}

impl OpenCounters {
    /// Opens them on these CPUs; `None` where nothing is to be counted.
    ///
    /// # Errors
    /// Why this machine or kernel gives none, in words.
    pub(super) fn open(counters: Counters, cpus: &[u32]) -> Result<Option<Self>, String> {
        let Some(events) = counters.events() else {
            return Ok(None);
        };
        let mut open = Self {
            events,
            by_cpu: BTreeMap::new(),
        };
        for &cpu in cpus {
            let fds = open.open_on(cpu).map_err(|error| reason(&error))?;
            open.by_cpu.insert(cpu, fds);
        }
        Ok(Some(open))
    }

    /// Hands the CPUs' counters to the kernel side.
    pub(super) fn put(&self, maps: &[MapData; EVENTS]) -> io::Result<()> {
        self.by_cpu
            .iter()
            .try_for_each(|(&cpu, fds)| put_on(cpu, fds, maps))
    }

    /// Opens them again on CPUs that were offline: the old ones died with it.
    pub(super) fn follow(&mut self, cpus: &[u32], maps: &[MapData; EVENTS]) -> io::Result<()> {
        self.by_cpu.retain(|cpu, _| cpus.contains(cpu));
        for &cpu in cpus {
            if !self.by_cpu.contains_key(&cpu) {
                let fds = self.open_on(cpu)?;
                put_on(cpu, &fds, maps)?;
                self.by_cpu.insert(cpu, fds);
            }
        }
        Ok(())
    }

    fn open_on(&self, cpu: u32) -> io::Result<[OwnedFd; EVENTS]> {
        let [cycles, instructions, misses] = self.events;
        let open = |(kind, config)| perf_event::open(kind, config, cpu);
        Ok([open(cycles)?, open(instructions)?, open(misses)?])
    }
}

fn put_on(cpu: u32, fds: &[OwnedFd; EVENTS], maps: &[MapData; EVENTS]) -> io::Result<()> {
    for (fd, map) in fds.iter().zip(maps) {
        put_fd(map.fd().as_fd(), cpu, fd.as_fd())?;
    }
    Ok(())
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => {
            "this machine shows none (a virtual machine without a virtual PMU, as a rule)"
                .to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => {
            "not permitted: CAP_PERFMON, or a lower kernel.perf_event_paranoid".to_owned()
        }
        Some(libc::EMFILE) => "too many open files: raise RLIMIT_NOFILE (`ulimit -n`)".to_owned(),
        _ => format!("perf_event_open: {error}"),
    }
}
