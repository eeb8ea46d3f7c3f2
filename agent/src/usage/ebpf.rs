//! CPU time by process, cgroup and package, exact to the task switch, counted in the kernel.
//!
//! The kernel side (crate `agent-ebpf`) fills one of two hashes. A read begins a new window, has every
//! online CPU leave the old one, and then empties the old window's hash, to which nobody writes any more.

pub mod btf;
mod counters;
mod error;
mod flush;
mod load;
mod sys;
mod topology;

use std::collections::HashMap;
use std::mem;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use agent_ebpf::{CpuTime, EVENTS, TaskKey, TaskTime, parity};
use aya::Ebpf;
use aya::maps::{Array, MapData, PerCpuArray};

use crate::causes::with_causes;

use self::counters::OpenCounters;
use self::sys::{Batch, Slot};
use self::topology::Cpus;
use super::{CgroupRef, Events, PackageTime, Usage, UsageError, UsageInterval, UsageRow};

pub use self::counters::Counters;
pub use self::error::LoadError;
pub use self::flush::Flush;
pub use agent_ebpf::DEFAULT_TASKS;

const NAME: &str = "ebpf";

/// What to count, and where the node is described.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Where sysfs is, for the CPUs' packages and the kernel's BTF.
    pub sys_root: &'a Path,
    /// How many keys (process, package, cgroup) may be seen between two reads ([`DEFAULT_TASKS`]); the kernel
    /// takes about 160 bytes for each, twice.
    pub tasks: u32,
    /// What is counted beside time.
    pub counters: Counters,
    /// Tell tasks apart by their cgroup in the v1 hierarchy that accounts CPU time, too.
    pub v1_cgroups: bool,
}

impl<'a> Options<'a> {
    /// Time and hardware counters, by unified cgroups.
    #[must_use]
    pub fn new(sys_root: &'a Path) -> Self {
        Self {
            sys_root,
            tasks: DEFAULT_TASKS,
            counters: Counters::Hardware,
            v1_cgroups: false,
        }
    }
}

/// The loaded programs and their maps; dropping it removes them from the kernel.
pub struct EbpfUsage {
    /// They leave the kernel with it.
    programs: Ebpf,
    flush: Arc<Flush>,
    window_map: Array<MapData, u64>,
    slots: PerCpuArray<MapData, Slot>,
    packages: Array<MapData, u32>,
    /// By a window's parity.
    tasks: [MapData; 2],
    event_maps: [MapData; EVENTS],
    counters: Option<OpenCounters>,
    /// Some CPU has none.
    counters_missing: bool,
    cpus: Cpus,
    notes: Vec<String>,
    /// The window that the next read closes.
    window: u64,
    batch: Batch,
    /// Rows of the window that is being closed: a read that fails half-way leaves them to the next.
    rows: Vec<UsageRow>,
    /// When each of them was named after its process's leader; 0: it was not.
    named_ns: Vec<u64>,
    windows: Vec<CpuWindow>,
}

/// Where the time of one CPU went, between two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuWindow {
    /// The CPU's number.
    pub cpu: usize,
    /// Its package.
    pub package: u16,
    /// Its time, in parts.
    pub time: CpuTime,
}

impl EbpfUsage {
    /// Loads the programs into the running kernel and begins to count.
    ///
    /// # Errors
    /// [`LoadError`] says what is missing and what to do. Hardware counters and v1 cgroups that cannot be had are
    /// no error: [`Usage::detail`] tells.
    pub fn load(options: &Options<'_>) -> Result<Self, LoadError> {
        load::load(options)
    }

    /// Each CPU's time between the last two reads; those that were offline all along are left out.
    #[must_use]
    pub fn cpus(&self) -> &[CpuWindow] {
        &self.windows
    }

    /// Begins a window and has every online CPU enter it. It may be repeated after it failed.
    fn begin(&mut self, window: u64) -> Result<(), UsageError> {
        self.window_map.set(0, window, 0).map_err(failed)?;
        // Only now: one that comes online later enters the new window by itself.
        self.follow_cpus()?;
        let flushed = self.flush.run(self.cpus.online());
        flushed.map_err(|error| failed(Named("BPF_PROG_TEST_RUN", error)))
    }

    /// For whoever learns that tasks are moved between cgroups.
    #[must_use]
    pub fn flush(&self) -> Arc<Flush> {
        self.flush.clone()
    }

    /// Takes up CPUs that came online; their packages count from the next window on.
    fn follow_cpus(&mut self) -> Result<(), UsageError> {
        if !self.cpus.refresh().map_err(failed)? && !self.counters_missing {
            return Ok(());
        }
        self.set_packages()?;
        if let Some(counters) = &mut self.counters {
            // What runs without them has no events; they are tried again at the next read.
            let followed = counters.follow(self.cpus.online(), &self.event_maps);
            self.counters_missing = followed.is_err();
        }
        Ok(())
    }

    fn set_packages(&mut self) -> Result<(), UsageError> {
        for &cpu in self.cpus.online() {
            let package = self.cpus.package_of(cpu);
            self.packages.set(cpu, package, 0).map_err(failed)?;
        }
        Ok(())
    }

    fn drain(&mut self, window: u64) -> Result<(), UsageError> {
        let map = self.tasks[parity(window)].fd().as_fd();
        let (rows, named_ns) = (&mut self.rows, &mut self.named_ns);
        self.batch
            .drain(map, |key, time| {
                rows.push(row(key, time));
                named_ns.push(time.leader_named_ns);
            })
            .map_err(|error| failed(Named("BPF_MAP_LOOKUP_AND_DELETE_BATCH", error)))
    }

    fn times(&self, window: u64) -> Result<Vec<CpuWindow>, UsageError> {
        let slots = self.slots.get(&0, 0).map_err(failed)?;
        let windows = slots.iter().enumerate().filter_map(|(cpu, slot)| {
            let time = slot.0.time_in(window)?;
            let package = slot.0.package as u16;
            Some(CpuWindow { cpu, package, time })
        });
        Ok(windows.collect())
    }
}

impl Usage for EbpfUsage {
    fn name(&self) -> &'static str {
        NAME
    }

    fn detail(&self) -> String {
        let counters = self.counters.as_ref();
        let counters = counters.map(|_| "cycles, instructions and cache misses".to_owned());
        let parts: Vec<String> = counters.into_iter().chain(self.notes.clone()).collect();
        parts.join("; ")
    }

    fn read(&mut self) -> Result<UsageInterval, UsageError> {
        let closing = self.window;
        self.begin(closing + 1)?;
        self.drain(closing)?;
        self.windows = self.times(closing)?;
        self.window = closing + 1;
        let mut rows = mem::take(&mut self.rows);
        name_alike(&mut rows, &mem::take(&mut self.named_ns));
        Ok(UsageInterval {
            packages: by_package(&self.windows),
            by_package: true,
            has_events: self.counters.is_some(),
            unaccounted_ns: unaccounted_ns(&self.windows, &rows),
            is_late: false,
            rows,
        })
    }
}

/// Gives all rows of a process its newest name: one that moves to another package or cgroup when it executes
/// another program leaves a row under its old name.
fn name_alike(rows: &mut [UsageRow], named_ns: &[u64]) {
    let mut newest: HashMap<u32, usize> = HashMap::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let best = newest.entry(row.tgid).or_insert(index);
        if named_ns[index] > named_ns[*best] {
            *best = index;
        }
    }
    for index in 0..rows.len() {
        let best = newest[&rows[index].tgid];
        if rows[index].comm != rows[best].comm {
            rows[index].comm = rows[best].comm.clone();
        }
    }
}

/// What is missing where CPUs and rows are added up: 0 unless the accounting is wrong.
fn unaccounted_ns(cpus: &[CpuWindow], rows: &[UsageRow]) -> u64 {
    let missing_ns = cpus.iter().map(|cpu| cpu.time.missing_ns().unsigned_abs());
    let tasks_ns: u64 = cpus.iter().map(|cpu| cpu.time.tasks_ns).sum();
    let rows_ns: u64 = rows.iter().map(|row| row.cpu_ns).sum();
    missing_ns.sum::<u64>() + tasks_ns.abs_diff(rows_ns)
}

/// The CPUs' time that is in no row, by package.
fn by_package(cpus: &[CpuWindow]) -> Vec<PackageTime> {
    let mut packages: Vec<PackageTime> = Vec::new();
    for CpuWindow { package, time, .. } in cpus {
        let position = packages.iter().position(|other| other.package == *package);
        let position = position.unwrap_or_else(|| {
            packages.push(PackageTime {
                package: *package,
                ..PackageTime::default()
            });
            packages.len() - 1
        });
        packages[position].idle_ns += time.idle_ns;
        packages[position].lost_ns += time.lost_ns;
    }
    packages
}

fn row(key: &TaskKey, time: &TaskTime) -> UsageRow {
    // What was counted in a part of the time stands for the whole of it.
    let scaled = |count: u64| match time.counted_ns {
        0 => 0,
        counted_ns => {
            let whole = u128::from(count) * u128::from(time.cpu_ns) / u128::from(counted_ns);
            u64::try_from(whole).unwrap_or(u64::MAX)
        }
    };
    let [cycles, instructions, misses] = time.events.map(scaled);
    UsageRow {
        tgid: key.tgid,
        cgroup: CgroupRef::Ids {
            unified: key.cgroup_id,
            v1: time.v1_cgroup_id,
        },
        package: u16::try_from(key.package).unwrap_or_default(),
        cpu_ns: time.cpu_ns,
        events: Events {
            cycles,
            instructions,
            misses,
        },
        comm: comm(&time.comm),
    }
}

/// A name in at most as many bytes: what is no UTF-8 becomes question marks.
fn comm(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    str::from_utf8(name).map_or_else(
        |_| {
            let ascii = name
                .iter()
                .map(|byte| if byte.is_ascii() { *byte } else { b'?' });
            ascii.map(char::from).collect()
        },
        str::to_owned,
    )
}

/// A failed call and what it was, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
struct Named(&'static str, #[source] std::io::Error);

/// An error with its causes, in one line.
fn failed(error: impl std::error::Error) -> UsageError {
    UsageError::new(NAME, with_causes(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_name_the_newest_of_its_leader() {
        let row = |tgid, comm: &str| UsageRow {
            tgid,
            cgroup: CgroupRef::Path("/".into()),
            package: 0,
            cpu_ns: 1,
            events: Events::default(),
            comm: comm.to_owned(),
        };
        let mut rows = vec![
            row(1, "sh"),
            row(2, "a"),
            row(1, "sleep"),
            row(1, "worker"),
            row(3, "b"),
        ];
        name_alike(&mut rows, &[10, 5, 20, 0, 0]);
        let names: Vec<&str> = rows.iter().map(|row| &*row.comm).collect();
        assert_eq!(names, ["sleep", "a", "sleep", "sleep", "b"]);
    }

    #[test]
    fn names_end_at_their_zero_and_never_grow() {
        for (bytes, expected) in [
            (&b"true\0\0\0\0"[..], "true"),
            (b"", ""),
            (b"\0rest", ""),
            (b"fifteen--bytes-", "fifteen--bytes-"),
            ("z\u{e9}ro\0".as_bytes(), "z\u{e9}ro"),
            (b"cut\xc3\0", "cut?"),
        ] {
            assert_eq!(comm(bytes), expected);
        }
    }
}
