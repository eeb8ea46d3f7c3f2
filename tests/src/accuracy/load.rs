//! What the loads do: `accuracy load KIND NUMBERS`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::time::{ClockId, clock_gettime};

/// More than any cache of a CPU that this runs on is likely to hold for one process.
const MEMORY_WORDS: usize = 32 << 20;

/// Does as it is told, to its end.
///
/// # Errors
/// Where there is no such load.
pub fn run(words: &[String]) -> anyhow::Result<()> {
    let (kind, numbers) = words.split_first().context("load KIND NUMBERS")?;
    let numbers: Vec<u64> = numbers
        .iter()
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    match (kind.as_str(), &numbers[..]) {
        ("steady", &[ms, percent]) => steady(ms, percent),
        ("bursts", &[ms, seed]) => bursts(ms, seed),
        ("memory", &[ms]) => memory(ms),
        ("cpu", &[ms]) => cpu(ms),
        _ => bail!("no such load: {words:?}"),
    }
    Ok(())
}

/// A share of one CPU, in periods of 10 ms.
fn steady(ms: u64, percent: u64) {
    let period = Duration::from_millis(10);
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        let begin = Instant::now();
        let on = period * percent as u32 / 100;
        while begin.elapsed() < on {
            compute();
        }
        std::thread::sleep(period.saturating_sub(begin.elapsed()));
    }
}

/// On and off, for 50 to 300 ms each.
fn bursts(ms: u64, seed: u64) {
    let end = Instant::now() + Duration::from_millis(ms);
    let mut state = seed;
    let mut next = || {
        // Knuth's MMIX generator; the low bits are the poor ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(50 + (state >> 33) % 251)
    };
    while Instant::now() < end {
        let off = Instant::now() + next();
        while Instant::now() < off {
            compute();
        }
        std::thread::sleep(next());
    }
}

/// Reads that miss the caches.
fn memory(ms: u64) {
    let mut words = vec![1_u64; MEMORY_WORDS];
    let end = Instant::now() + Duration::from_millis(ms);
    let mut at = 0_usize;
    while Instant::now() < end {
        for _ in 0..10_000 {
            words[at] = words[at].wrapping_add(1);
            at = (at.wrapping_mul(6_364_136_223_846_793_005) + 1_442_695_041 + words[at] as usize)
                % MEMORY_WORDS;
        }
    }
    black_box(words);
}

/// CPU time of its own, so much and no more.
fn cpu(ms: u64) {
    let spent = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
    };
    while spent() < ms {
        compute();
    }
}

fn compute() {
    let mut sum = 0_u64;
    for number in 0..5_000_u64 {
        sum = black_box(sum.wrapping_mul(31) ^ number);
    }
}
