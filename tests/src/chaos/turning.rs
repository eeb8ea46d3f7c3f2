//! A powercap tree whose counters go up all the time, and a sum that does not wrap.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::powercap::Tree;

/// (directory, name as the kernel has it, as the agent has it, start, range): each wraps soon.
const ZONES: [(&str, &str, &str, u64, u64); 2] = [
    (
        "intel-rapl:0",
        "package-0",
        "package-0",
        262_143_000_000,
        262_143_328_850,
    ),
    (
        "intel-rapl:0:0",
        "dram",
        "dram-0",
        65_712_900_000,
        65_712_999_613,
    ),
];
/// A counter is turned this often, by up to so much: 100 W on average.
const STEP: Duration = Duration::from_millis(20);
const MOST_UJ: u64 = 4_000_000;

/// The tree, and the thread that turns it.
pub struct Turning {
    tree: Arc<Tree>,
    sums: Arc<[AtomicU64; ZONES.len()]>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    seed: u64,
}

impl Turning {
    /// Counters that stand still until [`Turning::turn`].
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn new(seed: u64) -> anyhow::Result<Self> {
        let zones = ZONES.map(|(directory, name, _, start, range)| (directory, name, start, range));
        Ok(Self {
            tree: Arc::new(Tree::new(&zones)?),
            sums: Arc::default(),
            stop: Arc::default(),
            thread: None,
            seed,
        })
    }

    /// The sysfs root.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.tree.root()
    }

    /// Turns the counters until [`Turning::halt`].
    pub fn turn(&mut self) {
        self.seed = self.seed.wrapping_add(1);
        self.stop.store(false, SeqCst);
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (tree, sums, stop) = (self.tree.clone(), self.sums.clone(), self.stop.clone());
        self.thread = Some(std::thread::spawn(move || {
            while !stop.load(SeqCst) {
                for (sum, (directory, .., start, range)) in sums.iter().zip(&ZONES) {
                    let step = random.u64(..MOST_UJ);
                    let sum = sum.fetch_add(step, SeqCst) + step;
                    tree.set(directory, (start + sum) % range)?;
                }
                std::thread::sleep(STEP);
            }
            Ok(())
        }));
    }

    /// Lets the counters stand, and says how much each zone has used in all, in microjoules.
    ///
    /// # Errors
    /// Where a counter could not be written.
    pub fn halt(&mut self) -> anyhow::Result<Vec<(&'static str, u64)>> {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            ended.ok().context("the counters' thread panicked")??;
        }
        let zones = ZONES.iter().zip(self.sums.iter());
        Ok(zones
            .map(|((_, _, name, ..), sum)| (*name, sum.load(SeqCst)))
            .collect())
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        let _ = self.halt();
    }
}
