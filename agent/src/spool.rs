//! The spool: what was measured, until the aggregator has it. Each interval is durable before anything else is done
//! with it, and a batch is sent from here, byte for byte, until it is acknowledged.
//!
//! `open.log` holds the intervals of the batch that is being filled, each written and synced when it was measured. A
//! full one is sealed into `{stream}.{sequence}.batch`, and another `open.log` takes its place.
//!
//! What holds at any moment, whatever ends the process or the machine:
//!
//! 1. Nothing is sent before it is durable under its name, and before the open file that follows it is.
//! 2. The bytes of a sequence never change once they may have been sent.
//! 3. Energy is in a durable interval, once; or after the reading that the last durable interval ends with, so that it is
//!    in the gap that the next process books; or in a loss that is to be told.
//! 4. A loss is durable before its batch is gone, and its batch is gone for good before the loss is in a batch.
//! 5. An acknowledged batch is removed, and nothing else is: what is not wanted any more is told as lost.
//!
//! A disk that cannot be written keeps intervals in memory, the oldest of them put together without their workloads when
//! they are too many. They are sent when they could be written; a process that ends before leaves them to the gap.
//!
//! Without `--spool-dir` the same is done in memory, and ends with the process.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use prometheus::{Histogram, HistogramOpts};
use tokio::sync::Notify;
use tracing::{info, warn};
use wire::Energy;

use self::files::{Directory, Files, Memory};
use self::store::Store;
use crate::sensor::boottime_ns;

mod entry;
pub mod files;
pub mod lock;
mod losses;
mod merge;
mod recover;
mod sealed;
mod store;

pub use self::entry::{Counter, Measured, Named, Origin, Standing};
pub use self::lock::Lock;
pub use self::sealed::Key;
pub use self::store::{Counts, Limits, Outgoing};

/// Bytes of batches that were refused: enough to find out why.
const MAX_REFUSED_BYTES: u64 = 16 << 20;
/// Bytes of sealed batches in memory, at most; hours of a busy node.
const MAX_MEMORY_BYTES: u64 = 64 << 20;
/// Bytes of intervals that wait for a disk that cannot be written.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// A spool that could not be written for so long is not ready.
const PATIENCE_NS: u64 = 60_000_000_000;

/// What a scrape shows of the spool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Since the start.
    pub counts: Counts,
    /// Sealed batches that wait to be sent.
    pub batches: usize,
    /// Their size.
    pub bytes: u64,
    /// Intervals that are not sealed yet.
    pub intervals: usize,
    /// When the oldest batch was sealed.
    pub oldest_unix_ms: Option<i64>,
    /// Since when it cannot be written, by CLOCK_BOOTTIME.
    pub failing_since_ns: Option<u64>,
    /// Energy that is not sealed yet.
    pub unsealed_energy: Energy,
}

/// The spool as its users share it. Calls wait for the disk.
pub struct Spool {
    store: Mutex<Store>,
    figures: Mutex<Figures>,
    /// Told when a batch was sealed.
    pub sealed: Notify,
    /// How long it takes until an interval is durable.
    pub write_seconds: Histogram,
    /// What is in it outlives the process.
    pub is_kept: bool,
}

impl Spool {
    /// In `directory`, whose [`Lock`] is held, or in memory. Gives also how the counters of `origin` stood at the
    /// end of the last interval, where an earlier process of this boot has left one.
    ///
    /// # Errors
    /// Where the directory cannot be used.
    pub fn open(
        directory: Option<&Path>,
        max_bytes: u64,
        origin: Origin,
        now: &Standing,
    ) -> anyhow::Result<(Self, Option<Standing>)> {
        let mut limits = Limits {
            max_bytes,
            max_refused_bytes: MAX_REFUSED_BYTES,
            max_waiting_bytes: MAX_WAITING_BYTES,
        };
        let Some(directory) = directory else {
            info!("no --spool-dir: what is not delivered when the agent ends is lost");
            limits.max_bytes = max_bytes.min(MAX_MEMORY_BYTES);
            limits.max_refused_bytes = 0;
            return Self::over(Box::new(Memory::default()), false, origin, limits, now);
        };
        let cannot = || format!("--spool-dir {} cannot be used", directory.display());
        let files = Directory::open(directory.to_owned()).with_context(cannot)?;
        Self::over(Box::new(files), true, origin, limits, now).with_context(cannot)
    }

    /// Over any files.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn over(
        files: Box<dyn Files>,
        is_kept: bool,
        origin: Origin,
        limits: Limits,
        now: &Standing,
    ) -> anyhow::Result<(Self, Option<Standing>)> {
        let (store, stood) = recover::open(files, origin, limits, now)?;
        let options = HistogramOpts::new(
            "hxmlops_agent_spool_write_duration_seconds",
            "Time until an interval was durable in the spool, and with some the batch that it completed.",
        )
        .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]);
        let spool = Self {
            store: Mutex::new(store),
            figures: Mutex::default(),
            sealed: Notify::new(),
            write_seconds: Histogram::with_opts(options)?,
            is_kept,
        };
        spool.with(|store| store.step(now_unix_ms()));
        Ok((spool, stood))
    }

    /// Takes in an interval, and writes down what waits.
    pub fn add(&self, measured: Measured) {
        let began = Instant::now();
        self.with(|store| store.add(measured, now_unix_ms()));
        self.write_seconds.observe(began.elapsed().as_secs_f64());
    }

    /// Seals what there is, so that it can be sent.
    pub fn seal(&self) {
        self.with(|store| store.seal(now_unix_ms()));
    }

    /// The next batch to be sent; it stays until it is [settled](Spool::settle) or [refused](Spool::refuse).
    pub fn next(&self) -> Option<Outgoing> {
        let mut store = lock(&self.store);
        let next = store.next();
        self.show(&store, None);
        next
    }

    /// The aggregator has it.
    pub fn settle(&self, key: Key) {
        let mut store = lock(&self.store);
        if let Err(error) = store.settle(key) {
            warn!(
                "cannot remove {key} from the spool: {error}; it will be sent again after a restart"
            );
        }
        self.show(&store, None);
    }

    /// The aggregator will never take it.
    pub fn refuse(&self, key: Key) {
        let mut store = lock(&self.store);
        store.refuse(key);
        self.show(&store, None);
    }

    /// For a scrape; does not wait for the disk.
    #[must_use]
    pub fn figures(&self) -> Figures {
        *lock(&self.figures)
    }

    /// It can be written, or could not long enough for somebody to look after it.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let since = self.figures().failing_since_ns;
        since.is_none_or(|since| boottime_ns().saturating_sub(since) <= PATIENCE_NS)
    }

    fn with(&self, write: impl FnOnce(&mut Store) -> io::Result<()>) {
        let mut store = lock(&self.store);
        let before = store.sealed.back().copied();
        let written = write(&mut store);
        if store.sealed.back().copied() != before {
            self.sealed.notify_one();
        }
        self.show(&store, Some(written));
    }

    fn show(&self, store: &Store, written: Option<io::Result<()>>) {
        let mut figures = lock(&self.figures);
        match written {
            Some(Err(error)) if figures.failing_since_ns.is_none() => {
                warn!("the spool cannot be written: {error}; intervals wait in memory");
                figures.failing_since_ns = Some(boottime_ns());
            }
            Some(Ok(())) if figures.failing_since_ns.take().is_some() => {
                info!("the spool can be written again");
            }
            _ => {}
        }
        *figures = Figures {
            counts: store.counts,
            batches: store.sealed.len(),
            bytes: store.waiting_bytes(),
            intervals: store.intervals(),
            oldest_unix_ms: store.sealed.front().map(|sealed| sealed.sealed_unix_ms),
            failing_since_ns: figures.failing_since_ns,
            unsealed_energy: store.unsealed_energy(),
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as i64
}

#[cfg(test)]
mod tests;
