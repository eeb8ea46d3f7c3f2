//! A task's cgroups beyond what a helper tells of the current one: in a v1 hierarchy, and before it was moved.

use agent_ebpf::{CpuSlot, V1_STEPS};
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;

use crate::setting;

/// When a process was last moved, or a thread of it; of those that were moved most recently. What is needed of it are
/// moves since the last task switch.
#[map]
static MOVES: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1_024, 0);

/// A task's set of cgroups; 0 where it is not looked up or cannot be read.
#[inline(always)]
pub(crate) fn set_of(task: u64) -> u64 {
    if setting!(use_sets) == 0 {
        return 0;
    }
    read(task, setting!(set)).unwrap_or(0)
}

/// That of the current task.
#[inline(always)]
pub(crate) fn current_set() -> u64 {
    set_of(unsafe { bpf_get_current_task() })
}

/// Takes the time of a move that has just been made.
#[inline(always)]
pub(crate) fn note_move(task: u64) {
    if setting!(use_sets) == 0 {
        return;
    }
    // The 4 bytes that follow the thread group's number are read with it.
    let tgid = read(task, setting!(tgid)).unwrap_or(0) as u32;
    let now = unsafe { bpf_ktime_get_ns() };
    let _ = MOVES.insert(&tgid, &now, 0);
}

/// Whether the current task, of this set, was moved since it began to run here.
#[inline(always)]
pub(crate) fn has_moved(slot: &CpuSlot, set: u64) -> bool {
    // Some switches are not told (three of a thousand were seen): what was noted is of another task then.
    slot.set != 0 && slot.set != set && slot.task == unsafe { bpf_get_current_task() }
}

/// When that was, between these two; the later one where it was only just moved, and the time of that is not told yet.
#[inline(always)]
pub(crate) fn moved_ns(tgid: u32, since: u64, now: u64) -> u64 {
    match unsafe { MOVES.get(&tgid) } {
        Some(&moved_ns) if since < moved_ns && moved_ns < now => moved_ns,
        _ => now,
    }
}

/// Id of a set's cgroup in the unified hierarchy; the current task's where the set does not tell.
#[inline(always)]
pub(crate) fn unified_id(set: u64) -> u64 {
    let [cgroup, node, id] = setting!(unified_path);
    match step(step(step(set, cgroup), node), id) {
        0 => unsafe { bpf_get_current_cgroup_id() },
        id => id,
    }
}

/// Inode number of the v1 cgroup's directory in a set; 0 where there is no set, or it cannot be read. Four
/// reads, for a task that is new in its window.
#[inline(always)]
pub(crate) fn v1_id(set: u64) -> u64 {
    let path: [u32; V1_STEPS] = setting!(v1_path);
    let mut at = set;
    for offset in path {
        at = step(at, offset);
    }
    at
}

/// What cannot be read is 0, and so is all beyond it.
#[inline(always)]
fn step(at: u64, offset: u32) -> u64 {
    if at == 0 {
        return 0;
    }
    read(at, offset).unwrap_or(0)
}

#[inline(always)]
fn read(structure: u64, offset: u32) -> Option<u64> {
    let address = structure + u64::from(offset);
    let mut value = 0_u64;
    let result = unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<u64>() as u32,
            address as *const _,
        )
    };
    (result == 0).then_some(value)
}
