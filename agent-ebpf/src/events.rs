//! The CPU's perf events, which the agent opens and puts into these maps, one entry per CPU.

use agent_ebpf::{CpuSlot, EVENTS, EVENTS_EVERY_NS};
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

/// Events of the task that stops running, and the time in which they were counted.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) span_ns: u64,
    pub(crate) events: [u64; EVENTS],
}

impl Counted {
    pub(crate) const NOTHING: Self = Self {
        span_ns: 0,
        events: [0; EVENTS],
    };

    /// Reads the counters where it is time to, at a switch from a task that ran for `ran_ns`; `forced` at the
    /// end of a window, so that nothing crosses it.
    ///
    /// After a span of [`EVENTS_EVERY_NS`] they are read at two switches in a row, which gives one run
    /// exactly; a run that is nearly all of its span is given the whole of it.
    #[inline(always)]
    pub(crate) fn read(slot: &mut CpuSlot, now: u64, ran_ns: u64, forced: bool) -> Self {
        let span_ns = now - slot.events_ns;
        let is_due = span_ns >= EVENTS_EVERY_NS;
        if !is_due && !forced && slot.events_armed == 0 {
            return Self::NOTHING;
        }
        slot.events_ns = now;
        slot.events_armed = u64::from(is_due || forced);
        let cycles = delta(&CYCLES, &mut slot.events[0]);
        let instructions = delta(&INSTRUCTIONS, &mut slot.events[1]);
        let misses = delta(&MISSES, &mut slot.events[2]);
        let (Some(cycles), Some(instructions), Some(misses)) = (cycles, instructions, misses)
        else {
            return Self::NOTHING;
        };
        if ran_ns < span_ns / 10 * 9 {
            return Self::NOTHING;
        }
        Self {
            span_ns,
            events: [cycles, instructions, misses],
        }
    }
}

#[inline(always)]
fn delta(events: &PerfEventArray<u32>, last: &mut u64) -> Option<u64> {
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
        return None;
    }
    let before = *last;
    *last = value.counter;
    // One that was opened again begins anew.
    if value.counter < before {
        return None;
    }
    Some(value.counter - before)
}
