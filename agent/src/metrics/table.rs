//! Counters by key, bounded: beyond a number of keys all others share one entry, and entries of what has
//! ended are given up after a while.

use std::collections::HashMap;
use std::hash::Hash;

use wire::Energy;

/// One entry's counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Energy by zone, in the order of the node's zones.
    pub(super) zones: Vec<Energy>,
    pub(super) cpu_ns: u64,
    pub(super) last_seen_ns: u64,
    /// Energy by zone of the interval that was booked at `newest_ns`.
    newest: Vec<Energy>,
    newest_ns: u64,
}

impl Entry {
    pub(super) fn add(&mut self, zone: usize, energy: Energy, now_ns: u64) {
        if self.newest_ns != now_ns {
            self.newest.clear();
            self.newest_ns = now_ns;
        }
        for energies in [&mut self.zones, &mut self.newest] {
            if energies.len() <= zone {
                energies.resize(zone + 1, Energy::ZERO);
            }
            energies[zone] += energy;
        }
    }

    /// Energy by zone of the interval that was booked at `now_ns`; nothing where it had none.
    pub(super) fn newest(&self, now_ns: u64) -> &[Energy] {
        if self.newest_ns == now_ns {
            &self.newest
        } else {
            &[]
        }
    }
}

#[derive(Debug)]
pub(super) struct Table<K> {
    entries: HashMap<K, Entry>,
    other_key: K,
    max: usize,
    /// Keys that were turned away since start; the same one counts each time.
    pub(super) cut: u64,
}

impl<K: Clone + Eq + Hash> Table<K> {
    pub(super) fn new(max: usize, other_key: K) -> Self {
        Self {
            entries: HashMap::new(),
            other_key,
            max,
            cut: 0,
        }
    }

    /// The key's entry, or the one that all others share.
    fn entry(&mut self, key: &K, now_ns: u64) -> &mut Entry {
        let fits = self.entries.contains_key(key) || self.entries.len() < self.max;
        self.cut += u64::from(!fits);
        let key = if fits { key } else { &self.other_key };
        let entry = self.entries.entry(key.clone()).or_default();
        entry.last_seen_ns = now_ns;
        entry
    }

    pub(super) fn add_energy(&mut self, key: &K, zone: usize, energy: Energy, now_ns: u64) {
        self.entry(key, now_ns).add(zone, energy, now_ns);
    }

    pub(super) fn add_cpu(&mut self, key: &K, cpu_ns: u64, now_ns: u64) {
        self.entry(key, now_ns).cpu_ns += cpu_ns;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Entry)> {
        self.entries.iter()
    }

    /// Gives up entries not seen since `before_ns`, unless they only slept. The shared entry stays.
    pub(super) fn expire(&mut self, before_ns: u64, now_ns: u64, is_alive: &dyn Fn(&K) -> bool) {
        let other_key = &self.other_key;
        self.entries.retain(|key, entry| {
            if entry.last_seen_ns >= before_ns || key == other_key {
                return true;
            }
            entry.last_seen_ns = now_ns;
            is_alive(key)
        });
    }

    pub(super) fn has_expired(&self, before_ns: u64) -> bool {
        self.entries
            .iter()
            .any(|(key, entry)| entry.last_seen_ns < before_ns && *key != self.other_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_sends_the_rest_to_other_and_loses_nothing() {
        let mut table = Table::new(2, "other");
        for (key, energy) in [("a", 1), ("b", 2), ("c", 4), ("a", 8), ("d", 16)] {
            table.add_energy(&key, 0, Energy::from_microjoules(energy), 1);
        }
        let mut found: Vec<_> = table
            .iter()
            .map(|(key, entry)| (*key, entry.zones[0].microjoules()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("a", 9), ("b", 2), ("other", 20)]);
        assert_eq!(table.cut, 2);
    }

    #[test]
    fn only_what_has_ended_is_given_up() {
        let mut table = Table::new(9, "other");
        for key in ["ended", "asleep"] {
            table.add_cpu(&key, 1, 10);
        }
        assert!(table.has_expired(11));
        table.expire(11, 20, &|key| *key == "asleep");
        assert_eq!(
            table.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            ["asleep"]
        );
        assert!(!table.has_expired(11));
    }
}
