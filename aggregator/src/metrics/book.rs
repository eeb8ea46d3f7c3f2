//! One bounded set of counters by label values.

use std::collections::BTreeMap;

/// Label values of one series.
pub(super) type Labels = Vec<String>;

/// Stands for all series that there was no room for.
pub(super) const OTHER: &str = "other";

/// What a counter counts.
pub(super) trait Amount: Copy + Default {
    /// The sum; it stays at the greatest there is rather than wrap.
    fn plus(self, other: Self) -> Self;
}

impl Amount for u64 {
    fn plus(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl Amount for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

/// Counters of one family; none of them ever goes down.
#[derive(Clone, Debug)]
pub(super) struct Book<V> {
    max_series: usize,
    series: BTreeMap<Labels, V>,
    /// Series that are no longer shown. Where one comes back, it goes on from here.
    ended: BTreeMap<Labels, V>,
    /// Amounts that went to [`OTHER`] for want of room.
    cut: u64,
}

impl<V: Amount> Book<V> {
    pub(super) fn new(max_series: usize) -> Self {
        Self {
            max_series,
            series: BTreeMap::new(),
            ended: BTreeMap::new(),
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
        let before = self.ended.remove(&labels).unwrap_or_default();
        let sum = self.series.entry(labels).or_insert(before);
        *sum = sum.plus(amount);
        room
    }

    /// Ends all series whose labels begin with `prefix`; what they came to is kept.
    pub(super) fn end(&mut self, prefix: &[String]) {
        self.ended.extend(take(&mut self.series, prefix));
    }

    /// Whether more ended series are kept than may be shown.
    pub(super) fn keeps_too_many(&self) -> bool {
        self.ended.len() > self.max_series
    }

    /// Forgets all ended series whose labels begin with `prefix`.
    pub(super) fn forget(&mut self, prefix: &[String]) {
        take(&mut self.ended, prefix);
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

/// Takes out what begins with `prefix`: in order of labels that stands together.
fn take<V>(series: &mut BTreeMap<Labels, V>, prefix: &[String]) -> Vec<(Labels, V)> {
    let from = series.range(prefix.to_vec()..);
    let found = from.take_while(|(labels, _)| labels.starts_with(prefix));
    let found: Vec<Labels> = found.map(|(labels, _)| labels.clone()).collect();
    let entries = found.iter().map(|labels| series.remove_entry(labels));
    entries.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stays_at_the_greatest_there_is() {
        let mut book = Book::new(1);
        let labels = || vec!["train".to_owned()];
        book.add(labels(), u64::MAX);
        book.add(labels(), 1);
        assert!(book.rows(|amount| amount as f64)[0].1 >= u64::MAX as f64);
    }
}
