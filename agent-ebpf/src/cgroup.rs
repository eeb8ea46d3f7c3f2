//! The current task's cgroup in a v1 hierarchy, for which there is no helper.

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};

use crate::setting;

/// The current task's set of cgroups; 0 where it is not looked up or cannot be read.
#[inline(always)]
pub(crate) fn set() -> u64 {
    if setting!(use_v1) == 0 {
        return 0;
    }
    let task = unsafe { bpf_get_current_task() };
    read(task, setting!(v1_path)[0]).unwrap_or(0)
}

/// Inode number of the v1 cgroup's directory in a set; 0 where there is no set, or it cannot be read. Four
/// reads, for a task that is new in its window.
#[inline(always)]
pub(crate) fn v1_id(set: u64) -> u64 {
    let [_, path @ ..] = setting!(v1_path);
    let mut at = set;
    for offset in path {
        // What cannot be read is 0, and so is all beyond it.
        at = if at == 0 {
            0
        } else {
            read(at, offset).unwrap_or(0)
        };
    }
    at
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
