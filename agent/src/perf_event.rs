//! Opening one of the kernel's performance counters (perf_event_open(2)), for the CPUs' counters and for those of
//! energy.
#![allow(
    unsafe_code,
    reason = "perf_event_open takes a pointer to a record, and libc has no wrapper of it"
)]

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// The first version of the kernel's `struct perf_event_attr` (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// Bit of `PerfEventAttr::flags`: the event has its counter for itself, or none at all, so that nothing is
/// scaled.
const PINNED: u64 = 1 << 2;

/// A counter of one CPU, whatever runs there; eight bytes can be read from it. `kind` is the number of its PMU, as in
/// `/sys/bus/event_source/devices/NAME/type`.
///
/// # Errors
/// The kernel's: EACCES or EPERM where CAP_PERFMON is missing, ENOENT where it has no such event.
pub(crate) fn open(kind: u32, config: u64, cpu: u32) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr {
        kind,
        size: size_of::<PerfEventAttr>() as u32,
        config,
        flags: PINNED,
        ..PerfEventAttr::default()
    };
    let (every_process, no_group): (libc::pid_t, libc::c_int) = (-1, -1);
    // SAFETY: the record is as long as it says, and outlives the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            every_process,
            cpu as libc::c_int,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call gave it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
