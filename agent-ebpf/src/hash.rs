//! The two hashes of CPU time by task: one that fills, one that the agent empties.

use core::arch::asm;

use agent_ebpf::{COMM_BYTES, DEFAULT_TASKS, TaskKey, TaskTime, parity};
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_comm, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;

use crate::cgroup;
use crate::events::Counted;

#[map]
static TASKS_EVEN: HashMap<TaskKey, TaskTime> = HashMap::with_max_entries(DEFAULT_TASKS, 0);

#[map]
static TASKS_ODD: HashMap<TaskKey, TaskTime> = HashMap::with_max_entries(DEFAULT_TASKS, 0);

/// Adds CPU time and events to the current task; false when there is no room for it.
#[inline(always)]
pub(crate) fn add(window: u64, key: &TaskKey, ran_ns: u64, counted: &Counted) -> bool {
    if parity(window) == 0 {
        add_to(&TASKS_EVEN, key, ran_ns, counted)
    } else {
        add_to(&TASKS_ODD, key, ran_ns, counted)
    }
}

/// Gives the current task's entries its new name, in both windows: this CPU may be in the older one.
#[inline(always)]
pub(crate) fn rename(key: &TaskKey) {
    for tasks in [&TASKS_EVEN, &TASKS_ODD] {
        if let Some(time) = tasks.get_ptr_mut(key) {
            unsafe { name(time) };
        }
    }
}

#[inline(always)]
fn add_to(
    tasks: &HashMap<TaskKey, TaskTime>,
    key: &TaskKey,
    ran_ns: u64,
    counted: &Counted,
) -> bool {
    if add_to_entry(tasks, key, ran_ns, counted) {
        return true;
    }
    let mut first = TaskTime {
        cpu_ns: ran_ns,
        counted_ns: counted.span_ns,
        events: counted.events,
        v1_cgroup_id: cgroup::v1_id(key.v1_cgroup),
        leader_named_ns: 0,
        comm: [0; COMM_BYTES],
    };
    unsafe { name(&raw mut first) };
    // Where another CPU that runs the same process came first, the entry is there now.
    tasks.insert(key, first, u64::from(BPF_NOEXIST)).is_ok()
        || add_to_entry(tasks, key, ran_ns, counted)
}

#[inline(always)]
fn add_to_entry(
    tasks: &HashMap<TaskKey, TaskTime>,
    key: &TaskKey,
    ran_ns: u64,
    counted: &Counted,
) -> bool {
    let Some(time) = tasks.get_ptr_mut(key) else {
        return false;
    };
    unsafe {
        atomic_add(&raw mut (*time).cpu_ns, ran_ns);
        if counted.span_ns != 0 {
            atomic_add(&raw mut (*time).counted_ns, counted.span_ns);
            for (index, &count) in counted.events.iter().enumerate() {
                atomic_add(&raw mut (*time).events[index], count);
            }
        }
        if (*time).leader_named_ns == 0 && is_leader() {
            name(time);
        }
    }
    true
}

/// Names an entry after the current thread, in place: a copy would go byte by byte.
#[inline(always)]
unsafe fn name(time: *mut TaskTime) {
    unsafe {
        bpf_get_current_comm((&raw mut (*time).comm).cast(), COMM_BYTES as u32);
        (*time).leader_named_ns = if is_leader() { bpf_ktime_get_ns() } else { 0 };
    }
}

#[inline(always)]
fn is_leader() -> bool {
    let both = bpf_get_current_pid_tgid();
    both >> 32 == both & u64::from(u32::MAX)
}

/// Threads of one process add to one entry from several CPUs. Written out because LLVM may make an atomic
/// OR of an addition, which kernels before 5.12 refuse.
#[inline(always)]
unsafe fn atomic_add(sum: *mut u64, add: u64) {
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) sum, in(reg) add) };
}
