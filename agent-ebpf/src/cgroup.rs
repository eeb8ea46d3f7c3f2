//! A task's cgroups beyond what a helper tells of the current one: as they were when its run began, and in a v1
//! hierarchy.

use agent_ebpf::CpuSlot;
use aya_ebpf::helpers::generated::bpf_get_current_cgroup_id;

use crate::setting;
use crate::structures::{Copied, Structures};

/// A task's set of cgroups; 0 where it is not looked up or cannot be read.
#[inline(always)]
pub(crate) fn set_of<S: Structures>(task: u64) -> u64 {
    if setting!(use_sets) == 0 {
        return 0;
    }
    S::word(task, setting!(set))
}

/// The set of cgroups that what runs here is charged by: its own, and at a flush the one that its run began with. A
/// flush follows each move: who was moved by others has run in its old cgroups until then, and who moves itself and
/// ends before is in its new ones. 0 where neither is needed or known.
#[inline(always)]
pub(crate) fn charged_set<S: Structures>(slot: &CpuSlot, task: u64, is_flush: bool) -> u64 {
    if !is_flush && setting!(use_v1) == 0 {
        return 0;
    }
    // Some switches are not told (three of a thousand were seen): what was noted is of another task then.
    if is_flush && slot.task == task && slot.set != 0 {
        slot.set
    } else {
        set_of::<S>(task)
    }
}

/// Id of a set's cgroup in the unified hierarchy; the current task's where the set does not tell.
#[inline(always)]
pub(crate) fn unified_id(set: u64) -> u64 {
    let cgroup = Copied::word(set, setting!(unified_path[0]));
    let node = Copied::word(cgroup, setting!(unified_path[1]));
    match Copied::word(node, setting!(unified_path[2])) {
        0 => unsafe { bpf_get_current_cgroup_id() },
        id => id,
    }
}

/// Address of a set's state in the v1 hierarchy, one for each cgroup there; 0 where there is no set, or it cannot be read. It tells tasks apart for as long as the
/// cgroup is there. A set's own address does not: with each move a set goes, and the next may lie where it lay.
#[inline(always)]
pub(crate) fn v1_cgroup<S: Structures>(set: u64) -> u64 {
    if set == 0 {
        return 0;
    }
    S::word(set, setting!(v1_path[0]))
}

/// Inode number of the directory of such a cgroup; 0 where that cannot be read. Three reads, for a task that is new in
/// its window.
#[inline(always)]
pub(crate) fn v1_id(cgroup: u64) -> u64 {
    let cgroup = Copied::word(cgroup, setting!(v1_path[1]));
    let node = Copied::word(cgroup, setting!(v1_path[2]));
    Copied::word(node, setting!(v1_path[3]))
}
