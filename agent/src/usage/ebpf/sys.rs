//! The calls to the kernel that aya does not make, and the records that aya must copy: all unsafe code of the
//! agent's eBPF side.
#![allow(
    unsafe_code,
    reason = "the calls take pointers, and aya copies records only of types that are vouched for"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use agent_ebpf::{CpuSlot, Settings, TaskKey, TaskTime};

/// Entries that one call returns at most.
const ENTRIES: u32 = 4096;

/// `BPF_MAP_LOOKUP_AND_DELETE_BATCH` of the kernel's `enum bpf_cmd`.
const LOOKUP_AND_DELETE_BATCH: libc::c_int = 25;

/// `BPF_MAP_UPDATE_ELEM` of the same.
const UPDATE_ELEM: libc::c_int = 2;

/// `BPF_PROG_TEST_RUN` of the same, and its flag to choose the CPU.
const TEST_RUN: libc::c_int = 10;
const ON_CPU: u32 = 1;

/// Runs a program on one CPU, interrupting what runs there.
pub(super) fn run_on_cpu(program: BorrowedFd<'_>, cpu: u32) -> io::Result<()> {
    /// The `test` part of `union bpf_attr`, as of 5.10.
    #[repr(C)]
    #[derive(Default)]
    struct TestAttr {
        program_fd: u32,
        result: u32,
        data_sizes: [u32; 2],
        data: [u64; 2],
        repeat: u32,
        duration: u32,
        context_sizes: [u32; 2],
        context: [u64; 2],
        flags: u32,
        cpu: u32,
    }
    let mut attr = TestAttr {
        program_fd: program.as_raw_fd().cast_unsigned(),
        flags: ON_CPU,
        cpu,
        ..TestAttr::default()
    };
    // SAFETY: the record outlives the call, and has no pointers in it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            TEST_RUN,
            &raw mut attr,
            size_of::<TestAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Puts an open file into an array of them.
pub(super) fn put_fd(map: BorrowedFd<'_>, index: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
    /// The part of `union bpf_attr` for single elements.
    #[repr(C)]
    struct ElementAttr {
        map_fd: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let fd = fd.as_raw_fd();
    let attr = ElementAttr {
        map_fd: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: &raw const index as u64,
        value: &raw const fd as u64,
        flags: 0,
    };
    // SAFETY: key and value are four bytes each, as those of the map, and outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            UPDATE_ELEM,
            &raw const attr,
            size_of::<ElementAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A CPU's state, as aya copies it out of the per-CPU map.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot(pub(super) CpuSlot);

// SAFETY: CpuSlot is integers only, without padding.
unsafe impl aya::Pod for Slot {}

/// What the loader fixes, as aya writes it into the object.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FixedSettings(pub(super) Settings);

// SAFETY: Settings is integers only, without padding.
unsafe impl aya::Pod for FixedSettings {}

/// The `batch` part of the kernel's `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Buffers for one call's entries.
pub(super) struct Batch {
    keys: Vec<TaskKey>,
    values: Vec<TaskTime>,
}

impl Batch {
    /// For a map of so many entries.
    pub(super) fn new(map_entries: u32) -> Self {
        let entries = map_entries.min(ENTRIES) as usize;
        Self {
            keys: vec![TaskKey::default(); entries],
            values: vec![TaskTime::default(); entries],
        }
    }

    /// Empties a map, handing over each entry once. After an error the entries not handed over are still
    /// in the map.
    pub(super) fn drain(
        &mut self,
        map: BorrowedFd<'_>,
        mut each: impl FnMut(&TaskKey, &TaskTime),
    ) -> io::Result<()> {
        let mut position = None;
        loop {
            let (entries, next) = self.call(map, position)?;
            let keys = self.keys.iter().take(entries);
            keys.zip(&self.values)
                .for_each(|(key, time)| each(key, time));
            match next {
                Some(next) => position = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// One call: how many entries it put into the buffers, and where to go on, `None` at the end.
    fn call(
        &mut self,
        map: BorrowedFd<'_>,
        mut position: Option<u32>,
    ) -> io::Result<(usize, Option<u32>)> {
        let mut next = 0_u32;
        let mut attr = BatchAttr {
            in_batch: position.as_mut().map_or(0, |at| &raw mut *at as u64),
            out_batch: &raw mut next as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: self.keys.len() as u32,
            map_fd: map.as_raw_fd().cast_unsigned(),
            ..BatchAttr::default()
        };
        // SAFETY: keys and values have room for `count` records of the map's sizes, a hash's position is
        // four bytes, and all of them outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                LOOKUP_AND_DELETE_BATCH,
                &raw mut attr,
                size_of::<BatchAttr>(),
            )
        };
        let entries = attr.count as usize;
        if result == 0 {
            return Ok((entries, Some(next)));
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOENT) => Ok((entries, None)),
            error => Err(error),
        }
    }
}
