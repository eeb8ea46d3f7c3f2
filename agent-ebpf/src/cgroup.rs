//! A task's cgroups beyond what a helper tells of the current one: as they were when its run began, and in a v1
//! hierarchy.

use agent_ebpf::{CpuSlot, V1_STEPS};
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_probe_read_kernel,
};

use crate::setting;

/// A task's set of cgroups; 0 where it is not looked up or cannot be read.
#[inline(always)]
pub(crate) fn set_of(task: u64) -> u64 {
    if setting!(use_sets) == 0 {
        return 0;
    }
    read(task, setting!(set)).unwrap_or(0)
}

/// The set of cgroups that what runs here is charged by: its own, and at a flush the one that its run began with. A
/// flush follows each move: who was moved by others has run in its old cgroups until then, and who moves itself and
/// ends before is in its new ones. 0 where neither is needed or known.
#[inline(always)]
pub(crate) fn charged_set(slot: &CpuSlot, is_flush: bool) -> u64 {
    if !is_flush && setting!(use_v1) == 0 {
        return 0;
    }
    let task = unsafe { bpf_get_current_task() };
    // Some switches are not told (three of a thousand were seen): what was noted is of another task then.
    if is_flush && slot.task == task && slot.set != 0 {
        slot.set
    } else {
        set_of(task)
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
