//! A task's cgroups beyond what a helper tells of the current one: as they were when its run began, and in a v1
//! hierarchy.

use agent_ebpf::{TaskKey, V1_STEPS};
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_probe_read_kernel,
};

use crate::setting;

/// The current task's set of cgroups; 0 where it is not looked up or cannot be read.
#[inline(always)]
pub(crate) fn current_set() -> u64 {
    if setting!(use_sets) == 0 {
        return 0;
    }
    set_of(unsafe { bpf_get_current_task() })
}

/// A task's set of cgroups; 0 as above.
#[inline(always)]
pub(crate) fn set_of(task: u64) -> u64 {
    if setting!(use_sets) == 0 {
        return 0;
    }
    read(task, setting!(set)).unwrap_or(0)
}

/// Puts the current task's cgroups into a key, as they were when its run began with the set `began`: one that was
/// moved since has only just been moved, where a flush follows each move.
#[inline(always)]
pub(crate) fn put(key: &mut TaskKey, began: u64) {
    let set = current_set();
    let was_moved = began != 0 && began != set;
    let began = if began == 0 { set } else { began };
    if setting!(use_v1) != 0 {
        key.cgroup_set = began;
    }
    if was_moved {
        let [cgroup, node, id] = setting!(unified_path);
        key.cgroup_id = step(step(step(began, cgroup), node), id);
    }
    if key.cgroup_id == 0 {
        key.cgroup_id = unsafe { bpf_get_current_cgroup_id() };
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
