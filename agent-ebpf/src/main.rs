//! Kernel side: charges the time between two task switches to the task that ran.
//!
//! Time is kept in numbered windows. The agent begins a new one by writing `WINDOW`, then has `flush` run
//! on every CPU. A CPU's first event after that still charges the old window and then leaves it, so that
//! nobody writes the old window's hash any more when the agent empties it. Only helpers, no kernel
//! structures: the object runs unchanged on any kernel from 5.10.
#![no_std]
#![no_main]
// Inline assembly for BPF has no stable form yet.
#![feature(asm_experimental_arch)]
#![allow(
    unsafe_code,
    reason = "map values are raw pointers that the verifier checks"
)]

mod hash;

use agent_ebpf::{CpuSlot, CpuTime, TaskKey, parity};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns};
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::RawTracePointContext;

/// Number of the current window; 0 until the agent begins the first.
#[map]
static WINDOW: Array<u64> = Array::with_max_entries(1, 0);

/// State of each CPU.
#[map]
static SLOT: PerCpuArray<CpuSlot> = PerCpuArray::with_max_entries(1, 0);

/// At a task switch the current task is still the one that stops running.
#[raw_tracepoint(tracepoint = "sched_switch")]
fn switch(_: RawTracePointContext) -> i32 {
    account();
    0
}

/// Never attached: the agent has it run on a CPU to end the window there. It interrupts whatever runs, so
/// that the current task is the one to charge.
#[raw_tracepoint]
fn flush(_: RawTracePointContext) -> i32 {
    account();
    0
}

/// A program that starts another one keeps its process and changes its name.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn exec(_: RawTracePointContext) -> i32 {
    if let Some(key) = SLOT.get(0).and_then(current_key) {
        hash::rename(&key);
    }
    0
}

#[inline(always)]
fn account() {
    let (Some(window), Some(slot)) = (WINDOW.get(0), SLOT.get_ptr_mut(0)) else {
        return;
    };
    // The agent writes it while this reads.
    let window = unsafe { core::ptr::read_volatile(window) };
    let slot = unsafe { &mut *slot };
    let now = unsafe { bpf_ktime_get_ns() };
    if slot.window != 0 {
        charge(slot, now);
    }
    if slot.window != window {
        slot.window = window;
        slot.time[parity(window)] = CpuTime {
            start_ns: now,
            end_ns: now,
            ..CpuTime::default()
        };
    }
}

#[inline(always)]
fn charge(slot: &mut CpuSlot, now: u64) {
    let key = current_key(slot);
    let window = slot.window;
    let time = &mut slot.time[parity(window)];
    let ran_ns = now - time.end_ns;
    time.end_ns = now;
    match key {
        None => time.idle_ns += ran_ns,
        Some(key) if hash::add(window, &key, ran_ns) => time.tasks_ns += ran_ns,
        Some(_) => time.lost_ns += ran_ns,
    }
}

/// `None` when this CPU is idle.
#[inline(always)]
fn current_key(slot: &CpuSlot) -> Option<TaskKey> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    (tgid != 0).then(|| TaskKey {
        tgid,
        package: slot.package as u32,
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
    })
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The linker removes it: nothing here can panic.
    loop {}
}
