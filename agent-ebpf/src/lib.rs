//! Layouts of the maps that the kernel side fills and the agent reads.
//!
//! Every record has a fixed size, no padding and native byte order: both sides run on the same machine.
#![no_std]

/// Entries of each of the two hashes where the loader does not ask for another number: keys (process,
/// package, cgroup) that may be seen between two reads.
pub const DEFAULT_TASKS: u32 = 65_536;

/// Bytes of a task's name, its closing zero included (the kernel's `TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// Hardware (or software) events that are counted for each task: cycles, instructions, cache misses.
pub const EVENTS: usize = 3;

/// Name of the [`Settings`] in the object. Its number goes up with every change of a layout here: an object
/// built before that does not have it, and is refused.
pub const SETTINGS: &str = "SETTINGS_3";

/// Where tasks switch more often than this, one run of a task in so much time is counted and the others are
/// not: reading three counters costs more than all the rest of a switch.
pub const EVENTS_EVERY_NS: u64 = 50_000;

/// What the loader fixes before the programs are verified, so that what is off costs nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// 1: the perf events of each CPU are in their maps and are to be read.
    pub count_events: u32,
    /// 1: the offsets below are known, but for `v1_path`.
    pub use_sets: u32,
    /// 1: `v1_path` is known too, and tasks are told apart by their v1 cgroup.
    pub use_v1: u32,
    /// Byte offset of a task's set of cgroups, one in each hierarchy: `task_struct.cgroups`, a pointer.
    pub set: u32,
    /// Byte offsets on the way from a set to the id of its cgroup in the unified hierarchy, each but the last one of
    /// a pointer: `css_set.dfl_cgrp`, `cgroup.kn`, `kernfs_node.id`.
    pub unified_path: [u32; UNIFIED_STEPS],
    /// The same to that in one v1 hierarchy: `css_set.subsys[n]`, whose value is [`TaskKey::v1_cgroup`],
    /// `cgroup_subsys_state.cgroup`, `cgroup.kn`, `kernfs_node.id`.
    pub v1_path: [u32; V1_STEPS],
}

/// Steps of [`Settings::unified_path`].
pub const UNIFIED_STEPS: usize = 3;

/// Steps of [`Settings::v1_path`].
pub const V1_STEPS: usize = 4;

/// What CPU time is counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskKey {
    /// The process (thread group) in the host's numbering; never 0, which is idle.
    pub tgid: u32,
    /// CPU package (socket) that it ran on.
    pub package: u32,
    /// Its cgroup's directory in the unified hierarchy (inode number).
    pub cgroup_id: u64,
    /// Its cgroup in the v1 hierarchy that accounts CPU time: an address in the kernel, told apart and nothing
    /// else; 0 where that is not looked up.
    pub v1_cgroup: u64,
}

/// CPU time of one [`TaskKey`] in one window.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskTime {
    /// CPU time.
    pub cpu_ns: u64,
    /// The part of that time in which events were counted: see [`EVENTS_EVERY_NS`].
    pub counted_ns: u64,
    /// Events in `counted_ns`.
    pub events: [u64; EVENTS],
    /// Its cgroup in the v1 hierarchy that accounts CPU time, as [`TaskKey::cgroup_id`]; 0 where that is not
    /// looked up.
    pub v1_cgroup_id: u64,
    /// When `comm` was read, if it is the name of the thread group's leader; 0 when it is that of another
    /// thread.
    pub leader_named_ns: u64,
    /// Name, filled with zeroes.
    pub comm: [u8; COMM_BYTES],
}

/// Where the time of one CPU went in one window: `tasks_ns + idle_ns + lost_ns` is `end_ns - start_ns`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Begin of the window on this CPU (`CLOCK_MONOTONIC`).
    pub start_ns: u64,
    /// Last event of the window on this CPU, same clock.
    pub end_ns: u64,
    /// Time that went into the hash.
    pub tasks_ns: u64,
    /// Time of the idle task.
    pub idle_ns: u64,
    /// Time of tasks for which the hash had no room.
    pub lost_ns: u64,
}

impl CpuTime {
    /// How long the window was on this CPU.
    #[must_use]
    pub const fn elapsed_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }

    /// Time that no counter has; 0 unless the accounting is wrong.
    #[must_use]
    pub const fn missing_ns(&self) -> i64 {
        let counted_ns = self.tasks_ns + self.idle_ns + self.lost_ns;
        self.elapsed_ns().wrapping_sub(counted_ns).cast_signed()
    }
}

/// State of one CPU. The CPU itself is its only writer once the programs are attached.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSlot {
    /// Number of the window that this CPU is in; 0 before its first event.
    pub window: u64,
    /// The CPU's package in this window.
    pub package: u64,
    /// By the window's lowest bit, as the hashes are.
    pub time: [CpuTime; 2],
    /// The CPU's perf events as they were last read.
    pub events: [u64; EVENTS],
    /// When that was.
    pub events_ns: u64,
    /// 1: they are read at the next switch in any case.
    pub events_armed: u64,
    /// The task that runs here, by its address in the kernel, as it was told at the last switch or flush.
    pub task: u64,
    /// Its set of cgroups as it was then; 0 where that is not looked up.
    pub set: u64,
}

impl CpuSlot {
    /// Time of this CPU in `window`, given that the CPU was told to leave it: `None` when it did not run
    /// in it, which is so of a CPU that was offline all along.
    #[must_use]
    pub fn time_in(&self, window: u64) -> Option<CpuTime> {
        // A CPU that went offline within the window stays in it.
        let was_there = self.window == window || self.window == window + 1;
        was_there.then(|| self.time[parity(window)])
    }
}

/// Which hash, and which part of a [`CpuSlot`], a window uses.
#[inline(always)]
#[must_use]
pub const fn parity(window: u64) -> usize {
    (window & 1) as usize
}

const _: () = {
    assert!(size_of::<Settings>() == 44);
    assert!(size_of::<TaskKey>() == 24);
    assert!(size_of::<TaskTime>() == 72);
    assert!(size_of::<CpuTime>() == 40);
    assert!(size_of::<CpuSlot>() == 152);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_answers_only_for_windows_that_its_cpu_was_in() {
        let time = |tasks_ns| CpuTime {
            tasks_ns,
            ..CpuTime::default()
        };
        let slot = CpuSlot {
            window: 8,
            package: 0,
            time: [time(80), time(70)],
            ..CpuSlot::default()
        };
        for (window, expected) in [
            (6, None),
            (7, Some(70)),
            (8, Some(80)),
            (9, None),
            (10, None),
        ] {
            let tasks_ns = slot.time_in(window).map(|time| time.tasks_ns);
            assert_eq!(tasks_ns, expected, "window {window}");
        }
    }
}
