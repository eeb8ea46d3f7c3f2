//! The keys that use most, each with counters of its own, and with some inertia: who is shown stays, until
//! another one has clearly used more for a while. Pure.

use std::collections::HashMap;
use std::hash::Hash;

use wire::Energy;

use super::table::Entry;

/// A newcomer takes the place of the weakest when its power was so many times as high,
const CLEARLY: f64 = 2.0;
/// in so many intervals running.
const INTERVALS: u32 = 3;

/// What the newest interval counts for in the recent power.
const NEWEST: f64 = 0.25;

/// Those that lost their place and may come back, for each place.
const ASIDE_PER_PLACE: usize = 4;

/// Who a key stands for now, such as a process by its start; `None`: nobody.
pub(super) type Instance<'a, K> = &'a dyn Fn(&K) -> Option<u64>;

/// Who a key stands for now that stood for this one; `None`: it has ended, and no other has taken its name.
pub(super) type Successor<'a, K> = &'a dyn Fn(&K, u64) -> Option<u64>;

/// See the module.
#[derive(Debug)]
pub(super) struct Top<K> {
    max: usize,
    shown: HashMap<K, Place>,
    /// Counters of those that lost their place: they go on from there if they win it back.
    aside: HashMap<K, Place>,
    challengers: HashMap<K, Challenger>,
    cut: u64,
}

#[derive(Debug, Default)]
struct Place {
    entry: Entry,
    recent_power: f64,
    instance: u64,
}

#[derive(Clone, Copy, Debug)]
struct Challenger {
    intervals: u32,
    recent_power: f64,
}

impl<K: Clone + Eq + Hash> Top<K> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            shown: HashMap::new(),
            aside: HashMap::new(),
            challengers: HashMap::new(),
            cut: 0,
        }
    }

    /// Bookings that found no place, since start.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Entry)> {
        self.shown.iter().map(|(key, place)| (key, &place.entry))
    }

    /// Books one interval: energy by zone of each key that used some. Gives back what belongs to keys that are
    /// not shown; nobody enters who has ended already.
    pub(super) fn book(
        &mut self,
        used: HashMap<K, Vec<Energy>>,
        duration_ns: u64,
        now_ns: u64,
        instance: Instance<'_, K>,
    ) -> Vec<(K, Vec<Energy>)> {
        let power = |energies: &Vec<Energy>| {
            let joules: f64 = energies.iter().map(|energy| energy.joules()).sum();
            joules * 1e9 / duration_ns.max(1) as f64
        };
        for (key, place) in &mut self.shown {
            let newest = used.get(key).map_or(0.0, power);
            place.recent_power = blend(place.recent_power, newest);
        }
        let others = used.iter().filter(|(key, _)| !self.shown.contains_key(key));
        let others = others.map(|(key, energies)| (key.clone(), power(energies)));
        let mut others: Vec<(K, f64)> = others.filter(|(_, power)| *power > 0.0).collect();
        others.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        self.fill(&others, instance);
        self.challenge(&others, instance);

        let mut left = Vec::new();
        for (key, energies) in used {
            let Some(place) = self.shown.get_mut(&key) else {
                self.cut += u64::from(self.shown.len() >= self.max);
                left.push((key, energies));
                continue;
            };
            place.entry.last_seen_ns = now_ns;
            for (zone, energy) in energies.into_iter().enumerate() {
                place.entry.add(zone, energy, now_ns);
            }
        }
        left
    }

    /// Adds CPU time of one that is shown.
    pub(super) fn add_cpu(&mut self, key: &K, cpu_ns: u64) {
        if let Some(place) = self.shown.get_mut(key) {
            place.entry.cpu_ns += cpu_ns;
        }
    }

    /// Whether it has counters of its own now.
    pub(super) fn is_shown(&self, key: &K) -> bool {
        self.shown.contains_key(key)
    }

    /// Forgets who has not been seen since `before_ns` and has ended.
    pub(super) fn expire(&mut self, before_ns: u64, now_ns: u64, successor: Successor<'_, K>) {
        for places in [&mut self.shown, &mut self.aside] {
            places.retain(|key, place| {
                if place.entry.last_seen_ns >= before_ns {
                    return true;
                }
                place.entry.last_seen_ns = now_ns;
                let successor = successor(key, place.instance);
                place.instance = successor.unwrap_or(place.instance);
                successor.is_some()
            });
        }
    }

    pub(super) fn has_expired(&self, before_ns: u64) -> bool {
        let mut places = self.shown.values().chain(self.aside.values());
        places.any(|place| place.entry.last_seen_ns < before_ns)
    }

    /// The strongest take what places are free. Only so many are looked at, since each costs a look.
    fn fill(&mut self, others: &[(K, f64)], instance: Instance<'_, K>) {
        for (key, power) in others.iter().take(2 * self.max) {
            if self.shown.len() >= self.max {
                return;
            }
            if let Some(instance) = instance(key) {
                self.enter(key, *power, instance);
            }
        }
    }

    fn challenge(&mut self, others: &[(K, f64)], instance: Instance<'_, K>) {
        let mut before = std::mem::take(&mut self.challengers);
        if self.shown.len() < self.max {
            return;
        }
        let mut weakest: Vec<(K, f64)> = self
            .shown
            .iter()
            .map(|(key, place)| (key.clone(), place.recent_power))
            .collect();
        weakest.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some(&(_, least)) = weakest.first() else {
            return;
        };
        let not_shown = others
            .iter()
            .filter(|(key, _)| !self.shown.contains_key(key));
        let strong = not_shown.filter(|(_, power)| *power >= CLEARLY * least);
        let mut ready = Vec::new();
        for (key, power) in strong.take(self.max) {
            let old = before.remove(key);
            let new = Challenger {
                intervals: old.map_or(1, |old| old.intervals + 1),
                recent_power: old.map_or(*power, |old| blend(old.recent_power, *power)),
            };
            if new.intervals >= INTERVALS {
                ready.push((key.clone(), new.recent_power));
            }
            self.challengers.insert(key.clone(), new);
        }
        ready.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut weakest = weakest.into_iter().peekable();
        for (key, power) in ready {
            let has_room =
                self.aside.len() < ASIDE_PER_PLACE * self.max || self.aside.contains_key(&key);
            let beaten = weakest.next_if(|(_, weak)| has_room && power >= CLEARLY * weak);
            let (Some((loser, _)), Some(instance)) = (beaten, instance(&key)) else {
                continue;
            };
            self.challengers.remove(&key);
            if let Some(place) = self.shown.remove(&loser) {
                self.aside.insert(loser, place);
            }
            self.enter(&key, power, instance);
        }
    }

    /// A key that comes back goes on where it was, whoever it stands for now: its series only goes up.
    fn enter(&mut self, key: &K, power: f64, instance: u64) {
        let mut place = self.aside.remove(key).unwrap_or_default();
        place.recent_power = power;
        place.instance = instance;
        self.shown.insert(key.clone(), place);
    }
}

fn blend(recent: f64, newest: f64) -> f64 {
    (1.0 - NEWEST) * recent + NEWEST * newest
}

#[cfg(test)]
mod tests;
