//! The lower envelope of power against utilisation over days.
//!
//! By bins of 5 % utilisation. Within an hour a bin's third-lowest power counts, so that single low samples do
//! not; within a day its third-lowest hour, so that single odd hours do not; of the days kept the lowest. Hours
//! and days are of time seen, not of the wall clock: a clock that is set changes nothing here.

use serde::{Deserialize, Serialize};

/// Days kept, the one that runs included.
const DAYS: usize = 7;

const HOURS_A_DAY: u32 = 24;

const HOUR_NS: u64 = 3_600_000_000_000;

const BINS: usize = 20;

/// The third-lowest counts.
const KEPT: usize = 3;

/// The node counts as quiet below this utilisation.
const QUIET_UTILISATION: f64 = 0.2;

/// Quiet intervals that must have been seen before idle power counts as learned.
const MIN_QUIET: u32 = 12;

/// A slope is told from points at least this far apart.
const MIN_RUN: f64 = 0.05;

/// Idle power is at least this part of the lowest power seen, however steeply the envelope falls.
const LEAST_PART: f64 = 0.5;

/// Power at a utilisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    watts: f64,
    utilisation: f64,
}

/// The few lowest points seen, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Lows(Vec<Point>);

impl Lows {
    fn add(&mut self, point: Point) {
        let position = self.0.partition_point(|low| low.watts <= point.watts);
        self.0.insert(position, point);
        self.0.truncate(KEPT);
    }

    /// The third-lowest; `None` while there are fewer.
    fn third(&self) -> Option<Point> {
        self.0.get(KEPT - 1).copied()
    }

    /// The third-lowest, or the highest of fewer.
    fn highest(&self) -> Option<Point> {
        self.0.last().copied()
    }
}

/// By bin of utilisation.
type Bins = [Lows; BINS];

/// What was seen of one zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Points of finished hours by day, the day that runs last.
    days: Vec<Bins>,
    /// Full hours of the day that runs.
    hours: u32,
    /// Samples of the hour that runs, and of earlier ones where a bin had too few.
    hour: Bins,
    hour_ns: u64,
    /// Quiet intervals seen.
    quiet: u32,
}

impl Envelope {
    /// Lets time pass, and adds the power (W) and utilisation (0 to 1) of an interval where they are known.
    pub fn observe(&mut self, elapsed_ns: u64, seen: Option<(f64, f64)>) {
        if let Some((watts, utilisation)) = seen {
            let bin = (utilisation * BINS as f64) as usize;
            self.hour[bin.min(BINS - 1)].add(Point { watts, utilisation });
            self.quiet = self
                .quiet
                .saturating_add(u32::from(utilisation < QUIET_UTILISATION));
        }
        self.hour_ns = self.hour_ns.saturating_add(elapsed_ns);
        if self.hour_ns >= HOUR_NS {
            self.end_hour();
        }
    }

    /// The envelope at utilisation 0; `None` until the node was seen quiet often enough.
    #[must_use]
    pub fn idle_watts(&self) -> Option<f64> {
        if self.quiet < MIN_QUIET {
            return None;
        }
        let points: Vec<Point> = self.points().collect();
        let quiet = points
            .iter()
            .filter(|point| point.utilisation < QUIET_UTILISATION);
        let lowest_quiet = quiet.map(|point| point.watts).reduce(f64::min)?;
        let first = points.first()?;
        let slopes = points
            .iter()
            .filter(|point| point.utilisation - first.utilisation >= MIN_RUN)
            .map(|point| (point.watts - first.watts) / (point.utilisation - first.utilisation));
        // The flattest way from the leftmost point to another is the lower hull's first edge.
        let slope = slopes.reduce(f64::min);
        // Where no slope can be told, a node that always does something does not show what it does for nothing.
        if slope.is_none() && first.utilisation >= MIN_RUN {
            return None;
        }
        let slope = slope.unwrap_or(0.0);
        let lowest = self.lowest_watts()?;
        let least = LEAST_PART * lowest;
        let at_zero = first.watts - slope * first.utilisation;
        Some(at_zero.max(least).min(lowest_quiet).min(lowest))
    }

    /// The lowest power that counts, at any utilisation.
    #[must_use]
    pub fn lowest_watts(&self) -> Option<f64> {
        self.points().map(|point| point.watts).reduce(f64::min)
    }

    /// The lowest power of the hour that runs, and of what counts: a first bound, from the first interval on.
    #[must_use]
    pub fn lowest_seen_watts(&self) -> Option<f64> {
        let of_hour = self.hour.iter().filter_map(|lows| lows.0.first());
        let watts = of_hour.map(|point| point.watts).chain(self.lowest_watts());
        watts.reduce(f64::min)
    }

    /// Whether the numbers can have come from [`Envelope::observe`], as those of a file may not.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_sound = |low: &Lows| {
            low.0.len() <= KEPT
                && low.0.is_sorted_by(|a, b| a.watts <= b.watts)
                && low.0.iter().all(|point| {
                    (0.0..1e9).contains(&point.watts) && (0.0..=1.0).contains(&point.utilisation)
                })
        };
        self.days.len() <= DAYS
            && self.hours < HOURS_A_DAY
            && self.hour_ns < HOUR_NS
            && self.days.iter().chain([&self.hour]).flatten().all(is_sound)
    }

    fn end_hour(&mut self) {
        if self.days.is_empty() {
            self.days.push(Bins::default());
        }
        let day = self.days.last_mut().expect("a day was pushed if none was");
        for (bin, lows) in day.iter_mut().zip(&mut self.hour) {
            if let Some(point) = lows.third() {
                bin.add(point);
                lows.0.clear();
            }
        }
        self.hour_ns = 0;
        self.hours += 1;
        if self.hours == HOURS_A_DAY {
            self.hours = 0;
            self.days.push(Bins::default());
            let excess = self.days.len().saturating_sub(DAYS);
            self.days.drain(..excess);
        }
    }

    /// The points that count, one a bin, by rising utilisation.
    fn points(&self) -> impl Iterator<Item = Point> {
        (0..BINS).filter_map(|bin| self.point(bin))
    }

    /// The lowest of the days with enough hours; the days with fewer count as one together.
    fn point(&self, bin: usize) -> Option<Point> {
        let (mut found, mut few) = (Lows::default(), Lows::default());
        for day in &self.days {
            match day[bin].third() {
                Some(point) => found.add(point),
                None => day[bin].0.iter().for_each(|hour| few.add(*hour)),
            }
        }
        if let Some(running) = self.hour[bin].third() {
            few.add(running);
        }
        match few.third() {
            Some(point) => found.add(point),
            None if found.0.is_empty() => return few.highest(),
            None => {}
        }
        found.0.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_NS: u64 = 5_000_000_000;
    const STEPS_AN_HOUR: u64 = HOUR_NS / STEP_NS;

    /// A zone of 40 W idle and 100 W at full load, with a little noise, on a node that works by day.
    struct Node {
        envelope: Envelope,
        step: u64,
        idle_watts: f64,
    }

    impl Node {
        fn new() -> Self {
            Self {
                envelope: Envelope::default(),
                step: 0,
                idle_watts: 40.0,
            }
        }

        /// `odd`: what becomes of each sample's power.
        fn hours(&mut self, hours: u64, odd: impl Fn(u64, f64) -> f64) {
            for _ in 0..hours * STEPS_AN_HOUR {
                self.step += 1;
                let hour = self.step / STEPS_AN_HOUR % 24;
                let jitter = (self.step * 7919 % 101) as f64 / 101.0;
                let utilisation = if (8..20).contains(&hour) {
                    0.3 + 0.7 * jitter
                } else {
                    0.005 + 0.08 * jitter
                };
                let noise = 0.5 - (self.step * 104_729 % 211) as f64 / 211.0;
                let watts = self.idle_watts + 60.0 * utilisation + noise;
                let seen = (odd(self.step, watts), utilisation);
                self.envelope.observe(STEP_NS, Some(seen));
            }
        }

        fn idle(&self) -> f64 {
            assert!(self.envelope.is_sound());
            self.envelope.idle_watts().unwrap()
        }
    }

    fn as_is(_: u64, watts: f64) -> f64 {
        watts
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1.0, "{found} W, not {expected}");
    }

    #[test]
    fn idle_is_the_envelopes_left_end() {
        let mut node = Node::new();
        node.hours(1, as_is);
        assert_near(node.idle(), 40.0);
        node.hours(47, as_is);
        assert_near(node.idle(), 40.0);
    }

    #[test]
    fn a_node_that_is_never_quite_idle_is_extended_to_0() {
        let mut envelope = Envelope::default();
        for step in 0..100_000_u64 {
            let utilisation = 0.12 + 0.8 * ((step * 7919 % 101) as f64 / 101.0);
            envelope.observe(STEP_NS, Some((40.0 + 60.0 * utilisation, utilisation)));
        }
        assert_near(envelope.idle_watts().unwrap(), 40.0);
    }

    #[test]
    fn odd_samples_and_an_odd_hour_do_not_move_it() {
        let mut node = Node::new();
        node.hours(3, as_is);
        // Two samples an hour of a counter that lags.
        node.hours(
            72,
            |step, watts| {
                if step % STEPS_AN_HOUR < 2 { 3.0 } else { watts }
            },
        );
        assert_near(node.idle(), 40.0);
        // A whole hour, low by half and loud.
        node.hours(1, |step, watts| watts * 0.5 + (step % 10) as f64);
        assert_near(node.idle(), 40.0);
        node.hours(30, as_is);
        assert_near(node.idle(), 40.0);
    }

    #[test]
    fn an_odd_first_hour_is_mended_by_the_second() {
        let mut node = Node::new();
        node.hours(1, |_, watts| watts * 0.3);
        node.hours(1, as_is);
        assert_near(node.idle(), 40.0);
    }

    #[test]
    fn idle_power_that_changes_is_followed_within_the_days_kept() {
        let mut node = Node::new();
        node.hours(48, as_is);
        node.idle_watts = 30.0;
        node.hours(24, as_is);
        assert_near(node.idle(), 30.0);
        node.idle_watts = 45.0;
        node.hours(5 * 24, as_is);
        assert_near(node.idle(), 30.0);
        node.hours(2 * 24, as_is);
        assert_near(node.idle(), 45.0);
    }

    #[test]
    fn it_is_never_negative_nor_above_the_lowest_quiet_power() {
        for (left, right) in [(50.0, 400.0), (50.0, 10.0), (50.0, 50.0)] {
            let mut envelope = Envelope::default();
            for _ in 0..100 {
                envelope.observe(STEP_NS, Some((left, 0.18)));
                envelope.observe(STEP_NS, Some((right, 0.95)));
            }
            let idle = envelope.idle_watts().unwrap();
            assert!(
                (LEAST_PART * f64::min(left, right)..=f64::min(left, right)).contains(&idle),
                "{idle}"
            );
        }
    }

    #[test]
    fn a_node_that_always_does_something_does_not_teach_that_as_idle() {
        let mut envelope = Envelope::default();
        for _ in 0..1000 {
            envelope.observe(STEP_NS, Some((60.0, 0.17)));
        }
        assert_eq!(envelope.idle_watts(), None);
        // A second load tells what comes with load: 60 W at 17 %, 100 W at 51 %.
        for _ in 0..1000 {
            envelope.observe(STEP_NS, Some((100.0, 0.51)));
        }
        assert!((envelope.idle_watts().unwrap() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let mut node = Node::new();
        node.hours(100, as_is);
        let text = serde_json::to_string(&node.envelope).unwrap();
        let back: Envelope = serde_json::from_str(&text).unwrap();
        assert_eq!(back, node.envelope);
        assert!(text.len() < 40_000, "{} bytes", text.len());
    }
}
