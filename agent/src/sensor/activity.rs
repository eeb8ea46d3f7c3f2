//! What a device that is no CPU did between two readings of its counter, and for which processes. Pure.

/// The split that goes by how long each process kept the device busy.
pub const GPU_TIME: &str = "gpu_time";

/// The split among those who were there, where nobody can tell who kept the device busy.
pub const GPU_PRESENCE: &str = "gpu_presence";

/// One process's part of a device's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// The process, in the host's numbering.
    pub pid: u32,
    /// Time for which it kept the whole device busy: its utilisation x the time that passed, in nanoseconds.
    pub busy_ns: u64,
    /// Time that it was there, in nanoseconds; on a slice of the device, times its part of that slice.
    pub there_ns: u64,
}

/// What a device did in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The time that is known of, in nanoseconds.
    pub watched_ns: u64,
    /// The part of it in which the device worked at all.
    pub busy_ns: u64,
    /// Who was there; each process once.
    pub uses: Vec<DeviceUse>,
}

impl Activity {
    /// Time used over time there was, 0 to 1; `None` where nothing is known.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        let ratio = || self.busy_ns as f64 / self.watched_ns as f64;
        (self.watched_ns > 0).then(|| ratio().min(1.0))
    }

    /// Adds what came after it.
    pub fn add(&mut self, later: Self) {
        self.watched_ns = self.watched_ns.saturating_add(later.watched_ns);
        self.busy_ns = self.busy_ns.saturating_add(later.busy_ns);
        for used in later.uses {
            self.add_use(used);
        }
    }

    /// Adds a process's part of the work.
    pub fn add_use(&mut self, used: DeviceUse) {
        match self.uses.iter_mut().find(|other| other.pid == used.pid) {
            Some(sum) => {
                sum.busy_ns = sum.busy_ns.saturating_add(used.busy_ns);
                sum.there_ns = sum.there_ns.saturating_add(used.there_ns);
            }
            None => self.uses.push(used),
        }
    }

    /// What the weights of [`Activity::weights`] are, as exported.
    #[must_use]
    pub fn weighed_by(&self) -> &'static str {
        if self.uses.iter().any(|used| used.busy_ns > 0) {
            GPU_TIME
        } else {
            GPU_PRESENCE
        }
    }

    /// Each process with its weight: by the time for which it kept the device busy or, where nobody did as far as is
    /// known, by the time that it was there. Who is there keeps the device awake.
    pub fn weights(&self) -> impl Iterator<Item = (u32, u64)> {
        let is_by_time = self.weighed_by() == GPU_TIME;
        let weight = move |used: &DeviceUse| {
            if is_by_time {
                used.busy_ns
            } else {
                used.there_ns
            }
        };
        self.uses.iter().map(move |used| (used.pid, weight(used)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uses: &[(u32, u64, u64)], by: &str, expected: &[(u32, u64)]) {
        let mut activity = Activity::default();
        for &(pid, busy_ns, there_ns) in uses {
            let used = DeviceUse {
                pid,
                busy_ns,
                there_ns,
            };
            activity.add(Activity {
                uses: vec![used],
                ..Activity::default()
            });
        }
        assert_eq!(activity.weighed_by(), by, "{uses:?}");
        assert_eq!(activity.weights().collect::<Vec<_>>(), expected, "{uses:?}");
    }

    #[test]
    fn who_kept_it_busy_counts_and_else_who_was_there() {
        check(&[], GPU_PRESENCE, &[]);
        check(&[(7, 0, 5)], GPU_PRESENCE, &[(7, 5)]);
        check(
            &[(7, 0, 5), (8, 0, 5), (7, 0, 5)],
            GPU_PRESENCE,
            &[(7, 10), (8, 5)],
        );
        check(
            &[(7, 3, 5), (8, 0, 5), (7, 1, 5)],
            GPU_TIME,
            &[(7, 4), (8, 0)],
        );
        check(&[(7, u64::MAX, 0), (7, 1, 0)], GPU_TIME, &[(7, u64::MAX)]);
    }

    #[test]
    fn utilisation_is_of_the_time_that_is_known() {
        let of = |busy_ns, watched_ns| {
            Activity {
                watched_ns,
                busy_ns,
                uses: Vec::new(),
            }
            .utilisation()
        };
        assert_eq!(of(0, 0), None);
        assert_eq!(of(1, 4), Some(0.25));
        assert_eq!(of(5, 4), Some(1.0));
    }
}
