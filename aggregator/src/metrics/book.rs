//! One bounded set of counters by label values.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

/// Label values of one series.
pub(super) type Labels = Vec<String>;

/// Stands for all series that there was no room for.
pub(super) const OTHER: &str = "other";

/// Counters of one family; none of them ever goes down.
#[derive(Clone, Debug)]
pub(super) struct Book<V> {
    max_series: usize,
    series: BTreeMap<Labels, V>,
    /// Amounts that went to [`OTHER`] for want of room.
    cut: u64,
}

impl<V: AddAssign + Copy + Default> Book<V> {
    pub(super) fn new(max_series: usize) -> Self {
        Self {
            max_series,
            series: BTreeMap::new(),
            cut: 0,
        }
    }

    /// Adds to the series with these labels, or to [`OTHER`] where the book is full. Returns whether the
    /// series has its own place.
    pub(super) fn add(&mut self, labels: Labels, amount: V) -> bool {
        let room = self.series.len() < self.max_series || self.series.contains_key(&labels);
        let labels = if room {
            labels
        } else {
            self.cut += 1;
            vec![OTHER.to_owned(); labels.len()]
        };
        *self.series.entry(labels).or_default() += amount;
        room
    }

    /// Ends all series whose labels begin with one of `prefixes`.
    pub(super) fn end(&mut self, prefixes: &BTreeSet<Labels>) {
        self.series
            .retain(|labels, _| !prefixes.iter().any(|prefix| labels.starts_with(prefix)));
    }

    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// Every series, its amount turned into a figure.
    pub(super) fn rows(&self, figure: impl Fn(V) -> f64) -> Vec<(Vec<&str>, f64)> {
        self.series
            .iter()
            .map(|(labels, amount)| {
                let labels = labels.iter().map(String::as_str).collect();
                (labels, figure(*amount))
            })
            .collect()
    }
}
