//! The CPU's perf events, which the agent opens and puts into these maps, one entry per CPU.

use agent_ebpf::EVENTS;
use aya_ebpf::bindings::{BPF_F_CURRENT_CPU, bpf_perf_event_value};
use aya_ebpf::helpers::generated::bpf_perf_event_read_value;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerfEventArray;

#[map]
static CYCLES: PerfEventArray<u32> = PerfEventArray::new(0);

#[map]
static INSTRUCTIONS: PerfEventArray<u32> = PerfEventArray::new(0);

#[map]
static MISSES: PerfEventArray<u32> = PerfEventArray::new(0);

/// Events on this CPU since the last call, whose counts are in `last`. What cannot be read, or was opened
/// again (after its CPU was offline), counts from here.
#[inline(always)]
pub(crate) fn since_last(last: &mut [u64; EVENTS]) -> [u64; EVENTS] {
    [
        delta(&CYCLES, &mut last[0]),
        delta(&INSTRUCTIONS, &mut last[1]),
        delta(&MISSES, &mut last[2]),
    ]
}

#[inline(always)]
fn delta(events: &PerfEventArray<u32>, last: &mut u64) -> u64 {
    let mut value = bpf_perf_event_value {
        counter: 0,
        enabled: 0,
        running: 0,
    };
    let result = unsafe {
        bpf_perf_event_read_value(
            (&raw const *events).cast_mut().cast(),
            BPF_F_CURRENT_CPU,
            &raw mut value,
            size_of::<bpf_perf_event_value>() as u32,
        )
    };
    if result != 0 {
        return 0;
    }
    let before = *last;
    *last = value.counter;
    // The first count of a CPU is no difference.
    if before == 0 || value.counter < before {
        return 0;
    }
    value.counter - before
}
