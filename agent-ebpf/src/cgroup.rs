//! The current task's cgroup in a v1 hierarchy, for which there is no helper.

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};

use crate::settings;

/// Inode number of the cgroup's directory; 0 where it is not looked up or cannot be read.
#[inline(always)]
pub(crate) fn v1_id() -> u64 {
    let settings = settings();
    if settings.use_v1 == 0 {
        return 0;
    }
    let mut at = unsafe { bpf_get_current_task() };
    for offset in settings.v1_path {
        match read(at + u64::from(offset)) {
            Some(next) => at = next,
            None => return 0,
        }
    }
    at
}

#[inline(always)]
fn read(address: u64) -> Option<u64> {
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
