//! Runs by the time of their last batch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::book::Labels;

/// Some runs, each with the time of its last batch; that which is longest ago is found at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    last: BTreeMap<Labels, Instant>,
    by_age: BTreeSet<(Instant, Labels)>,
}

impl Runs {
    /// Notes when a run's last batch came, in place of what was noted before.
    pub(super) fn set(&mut self, run: &Labels, last: Instant) {
        if self.last.get(run) == Some(&last) {
            return;
        }
        self.remove(run);
        self.last.insert(run.clone(), last);
        self.by_age.insert((last, run.clone()));
    }

    pub(super) fn remove(&mut self, run: &Labels) {
        if let Some((run, last)) = self.last.remove_entry(run) {
            self.by_age.remove(&(last, run));
        }
    }

    /// Takes out the run whose last batch is longest ago, where `is_over` says so of that time.
    pub(super) fn take_oldest(
        &mut self,
        is_over: impl Fn(Instant) -> bool,
    ) -> Option<(Instant, Labels)> {
        let (last, _) = self.by_age.first()?;
        if !is_over(*last) {
            return None;
        }
        let (last, run) = self.by_age.pop_first()?;
        self.last.remove(&run);
        Some((last, run))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_comes_first_and_each_but_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let run = |name: &str| vec![name.to_owned()];
        let mut runs = Runs::default();
        for (name, seconds) in [("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 0)] {
            runs.set(&run(name), at(seconds));
        }
        runs.remove(&run("d"));
        assert_eq!(runs.take_oldest(|last| last < at(2)), None);
        let order = std::iter::from_fn(|| runs.take_oldest(|_| true));
        let order: Vec<_> = order.collect();
        assert_eq!(
            order,
            [(at(2), run("b")), (at(3), run("c")), (at(4), run("a"))]
        );
    }
}
