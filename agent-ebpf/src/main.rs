//! Kernel side: charges the time between two task switches to the task that ran.
//!
//! Time is kept in numbered windows. The agent begins a new one by writing `WINDOW`, then has `flush` run
//! on every CPU. A CPU's first event after that still charges the old window and then leaves it, so that
//! nobody writes the old window's hash any more when the agent empties it. Only helpers, and ways through
//! kernel structures whose offsets the agent gives: the object runs unchanged on any kernel from 5.10.
#![no_std]
#![no_main]
// Inline assembly for BPF has no stable form yet.
#![feature(asm_experimental_arch)]
#![allow(
    unsafe_code,
    reason = "map values are raw pointers that the verifier checks"
)]

mod cgroup;
mod events;
mod hash;
mod structures;

use agent_ebpf::{CpuSlot, CpuTime, Settings, TaskKey, UNIFIED_STEPS, V1_STEPS, parity};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_ns,
};
use aya_ebpf::macros::{btf_tracepoint, map, raw_tracepoint};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

use self::events::Counted;
use self::structures::{Copied, Direct, Structures};

/// Read-only data that the loader fills in; named after [`agent_ebpf::SETTINGS`].
#[unsafe(no_mangle)]
static SETTINGS_3: Settings = Settings {
    count_events: 0,
    use_sets: 0,
    use_v1: 0,
    set: 0,
    unified_path: [0; UNIFIED_STEPS],
    v1_path: [0; V1_STEPS],
};

/// The package of each CPU, written by the agent; as many entries as there may be CPUs.
#[map]
static PACKAGES: Array<u32> = Array::with_max_entries(1, 0);

/// Number of the current window; 0 until the agent begins the first.
#[map]
static WINDOW: Array<u64> = Array::with_max_entries(1, 0);

/// State of each CPU.
#[map]
static SLOT: PerCpuArray<CpuSlot> = PerCpuArray::with_max_entries(1, 0);

/// Where `sched_switch` has the tasks, in every kernel from 5.10: the one that stops running, which is still the
/// current one, and the one that runs next.
const PREVIOUS: usize = 1;
const NEXT: usize = 2;

/// Of the two programs for task switches the agent attaches this one where the kernel tells of its types.
#[btf_tracepoint(function = "sched_switch")]
fn switch_by_types(context: BtfTracePointContext) -> i32 {
    account::<Direct>(context.arg(PREVIOUS), context.arg(NEXT), false);
    0
}

/// And this one elsewhere.
#[raw_tracepoint(tracepoint = "sched_switch")]
fn switch(context: RawTracePointContext) -> i32 {
    account::<Copied>(context.arg(PREVIOUS), context.arg(NEXT), false);
    0
}

/// Never attached: the agent has it run on a CPU to end the window there, and where a task was moved to
/// another cgroup. It interrupts whatever runs, so that the current task is the one to charge.
#[raw_tracepoint]
fn flush(_: RawTracePointContext) -> i32 {
    let task = unsafe { bpf_get_current_task() };
    account::<Copied>(task, task, true);
    0
}

/// A program that starts another one keeps its process and changes its name.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn exec(_: RawTracePointContext) -> i32 {
    if let Some(slot) = SLOT.get(0) {
        let task = unsafe { bpf_get_current_task() };
        hash::rename(&key::<Copied>(slot, task, false));
    }
    0
}

/// Charges what ran up to now, the current task. `goes_on` is the one that runs from now on.
#[inline(always)]
fn account<S: Structures>(task: u64, goes_on: u64, is_flush: bool) {
    let (Some(window), Some(slot)) = (WINDOW.get(0), SLOT.get_ptr_mut(0)) else {
        return;
    };
    // The agent writes it while this reads.
    let window = unsafe { core::ptr::read_volatile(window) };
    let slot = unsafe { &mut *slot };
    let now = unsafe { bpf_ktime_get_ns() };
    let counted = if setting!(count_events) == 0 {
        Counted::NOTHING
    } else {
        let last_switch_ns = slot.time[parity(slot.window)].end_ns;
        Counted::read(slot, now, now - last_switch_ns, slot.window != window)
    };
    if slot.window != 0 {
        charge::<S>(slot, now, &counted, task, is_flush);
    }
    slot.task = goes_on;
    slot.set = cgroup::set_of::<S>(goes_on);
    if slot.window != window {
        slot.window = window;
        slot.package = package();
        slot.time[parity(window)] = CpuTime {
            start_ns: now,
            end_ns: now,
            ..CpuTime::default()
        };
    }
}

#[inline(always)]
fn charge<S: Structures>(
    slot: &mut CpuSlot,
    now: u64,
    counted: &Counted,
    task: u64,
    is_flush: bool,
) {
    let key = key::<S>(slot, task, is_flush);
    let window = slot.window;
    let time = &mut slot.time[parity(window)];
    let ran_ns = now - time.end_ns;
    time.end_ns = now;
    if key.tgid == 0 {
        time.idle_ns += ran_ns;
    } else if hash::add(window, &key, ran_ns, counted) {
        time.tasks_ns += ran_ns;
    } else {
        time.lost_ns += ran_ns;
    }
}

/// Of the current task. Without a process when this CPU is idle. No `Option`: of a `None` whose rest was never written, the verifiers of old
/// kernels refuse the copy.
#[inline(always)]
fn key<S: Structures>(slot: &CpuSlot, task: u64, is_flush: bool) -> TaskKey {
    let mut key = TaskKey {
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        package: slot.package as u32,
        cgroup_id: 0,
        v1_cgroup: 0,
    };
    if key.tgid == 0 {
        return key;
    }
    let set = cgroup::charged_set::<S>(slot, task, is_flush);
    if setting!(use_v1) != 0 {
        key.v1_cgroup = cgroup::v1_cgroup::<S>(set);
    }
    key.cgroup_id = if is_flush {
        cgroup::unified_id(set)
    } else {
        unsafe { bpf_get_current_cgroup_id() }
    };
    key
}

/// As the agent knows it: asked once a window, so that a CPU that comes online later is put right.
#[inline(always)]
fn package() -> u64 {
    let cpu = unsafe { bpf_get_smp_processor_id() };
    PACKAGES.get(cpu).map_or(0, |package| u64::from(*package))
}

/// One of the settings: the compiler must not take the values for those of the source.
macro_rules! setting {
    ($name:ident $([$index:literal])?) => {
        unsafe { core::ptr::read_volatile(&raw const crate::SETTINGS_3.$name $([$index])?) }
    };
}
use setting;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The linker removes it: nothing here can panic.
    loop {}
}
