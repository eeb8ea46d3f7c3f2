//! A thread for each sensor, so that one that hangs costs only its own zones. Between requests it reads as often
//! as its counters need in order not to go a whole turn unseen.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use std::{mem, thread};

use super::activity::Activity;
use super::{Reading, Sensor, SensorError, Zone};
use crate::sample::longest_interval;

/// One reading per zone.
pub type Readings = Vec<Result<Reading, SensorError>>;

/// Readings kept while nobody asks, the newest; far more than belong to the longest interval.
const MAX_KEPT: usize = 10_000;

/// Shortest time between two readings of the worker's own.
const MIN_PERIOD: Duration = Duration::from_millis(100);

/// One sensor on its own thread.
pub struct Worker {
    name: &'static str,
    zones: Vec<Zone>,
    requests: SyncSender<()>,
    answers: Receiver<Answer>,
    /// A request is under way whose answer did not come in time.
    overdue: bool,
    /// An answer that came too late for its interval: what the next one goes on from.
    late: Vec<Readings>,
    activity: Vec<Activity>,
}

/// All since the last answer.
#[derive(Default)]
struct Answer {
    readings: Vec<Readings>,
    activity: Vec<Activity>,
    /// Zones that have come.
    zones: Vec<Zone>,
}

impl Worker {
    /// Starts the thread; it ends when the worker is dropped and the sensor's call returns. `interval`: how
    /// often readings will be asked for.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn start(sensor: Box<dyn Sensor>, interval: Duration) -> std::io::Result<Self> {
        let own = sensor.period().filter(|&period| period < interval);
        let by_range = period(sensor.zones(), interval);
        let period = own.into_iter().chain(by_range).min();
        Self::start_with(sensor, period)
    }

    fn start_with(sensor: Box<dyn Sensor>, period: Option<Duration>) -> std::io::Result<Self> {
        let (requests, incoming) = sync_channel(1);
        let (outgoing, answers) = sync_channel(1);
        let (name, zones) = (sensor.name(), sensor.zones().to_vec());
        thread::Builder::new()
            .name(format!("sensor-{name}"))
            .spawn(move || serve(sensor, period, &incoming, &outgoing))?;
        Ok(Self {
            name,
            zones,
            requests,
            answers,
            overdue: false,
            late: Vec::new(),
            activity: Vec::new(),
        })
    }

    /// As `--power` names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The sensor's zones, as of the last answer.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Asks for readings without waiting, so that all sensors read at the same time.
    pub fn request(&mut self) {
        if self.overdue
            && let Ok(late) = self.answers.try_recv()
        {
            self.late.extend(late.readings);
            self.zones.extend(late.zones);
            self.activity = late.activity;
            self.overdue = false;
        }
        if !self.overdue {
            // Full cannot be (the last request was answered); a dead thread shows at the answer.
            let _: Result<(), TrySendError<()>> = self.requests.try_send(());
        }
    }

    /// All readings since the last answer, the one that was asked for last, waiting until `deadline` at most.
    pub fn answer(&mut self, deadline: Instant) -> Vec<Readings> {
        if self.overdue {
            self.activity.clear();
            return self.failed("still has not answered an earlier reading");
        }
        match self
            .answers
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(answer) => {
                let mut all = mem::take(&mut self.late);
                all.extend(answer.readings);
                self.zones.extend(answer.zones);
                // Who used a device in the time of a late answer is of no use: its energy is the system's.
                self.activity = answer.activity;
                all
            }
            Err(RecvTimeoutError::Timeout) => {
                self.overdue = true;
                // A sensor that is always late is read all the same, one interval behind.
                if self.late.is_empty() {
                    self.activity.clear();
                    self.failed("did not answer in time")
                } else {
                    mem::take(&mut self.late)
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.activity.clear();
                self.failed("has died")
            }
        }
    }

    /// What its devices did in the time of the last answer, zone by zone; empty where nothing is known.
    #[must_use]
    pub fn activity(&self) -> &[Activity] {
        &self.activity
    }

    fn failed(&self, what: &str) -> Vec<Readings> {
        let error = SensorError::Failed(format!("sensor {} {what}", self.name));
        vec![vec![Err(error); self.zones.len()]]
    }
}

/// How often a worker must read by itself; `None` where being asked is enough. Half of what the fastest counter
/// allows, so that a reading that comes late does not matter.
fn period(zones: &[Zone], interval: Duration) -> Option<Duration> {
    let longest = zones
        .iter()
        .filter_map(|zone| zone.range_uj.map(longest_interval))
        .min()?;
    (longest < 2 * interval).then(|| (longest / 2).max(MIN_PERIOD))
}

/// Whether a worker can read this zone often enough.
#[must_use]
pub fn can_follow(zone: &Zone) -> bool {
    zone.range_uj
        .is_none_or(|range_uj| longest_interval(range_uj) >= 2 * MIN_PERIOD)
}

impl Answer {
    fn add(&mut self, activity: Vec<Activity>) {
        self.activity.resize_with(activity.len(), Activity::default);
        for (sum, later) in self.activity.iter_mut().zip(activity) {
            sum.add(later);
        }
    }
}

fn serve(
    mut sensor: Box<dyn Sensor>,
    period: Option<Duration>,
    requests: &Receiver<()>,
    answers: &SyncSender<Answer>,
) {
    let mut answer = Answer::default();
    let mut told = sensor.zones().len();
    loop {
        let asked = match period {
            Some(period) => requests.recv_timeout(period),
            None => requests.recv().map_err(RecvTimeoutError::from),
        };
        if asked == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        answer.readings.push(sensor.read());
        answer.add(sensor.activity());
        answer.zones.extend_from_slice(&sensor.zones()[told..]);
        told = sensor.zones().len();
        if asked.is_ok() {
            if answers.send(mem::take(&mut answer)).is_err() {
                return;
            }
        } else if answer.readings.len() > MAX_KEPT {
            answer.readings.remove(0);
        }
    }
}

/// Reads all sensors at once, each within `timeout`; per worker its readings since the last time, the newest
/// last.
pub fn read_all(workers: &mut [Worker], timeout: Duration) -> Vec<Vec<Readings>> {
    workers.iter_mut().for_each(Worker::request);
    let deadline = Instant::now() + timeout;
    workers
        .iter_mut()
        .map(|worker| worker.answer(deadline))
        .collect()
}

#[cfg(test)]
mod tests {
    use wire::v1::Basis;

    use super::*;
    use crate::sensor::IdleSource;

    struct Gate {
        zones: Vec<Zone>,
        open: Receiver<()>,
        reads: u64,
    }

    impl Sensor for Gate {
        fn name(&self) -> &'static str {
            "gate"
        }

        fn zones(&self) -> &[Zone] {
            &self.zones
        }

        fn read(&mut self) -> Readings {
            let _ = self.open.recv();
            self.reads += 1;
            vec![Ok(Reading {
                counter_uj: self.reads,
                boottime_ns: 1,
                awake_ns: 1,
            })]
        }

        fn activity(&mut self) -> Vec<Activity> {
            let watched_ns = 1;
            vec![Activity {
                watched_ns,
                ..Activity::default()
            }]
        }
    }

    fn zone(range_uj: Option<u64>) -> Zone {
        Zone {
            name: "package-0".into(),
            parent: String::new(),
            basis: Basis::Measured,
            package: None,
            range_uj,
            is_lasting: true,
            range_percent: None,
            idle: IdleSource::Seed(0.0),
            source: String::new(),
            reason: String::new(),
        }
    }

    /// A worker whose sensor answers once for each permit, with 1, 2, 3, ...
    fn gated(period: Option<Duration>) -> ([Worker; 1], SyncSender<()>) {
        let (gate, open) = sync_channel(8);
        let sensor = Gate {
            zones: vec![zone(None)],
            open,
            reads: 0,
        };
        let worker = Worker::start_with(Box::new(sensor), period).unwrap();
        ([worker], gate)
    }

    fn counters(readings: &[Readings]) -> Vec<u64> {
        readings
            .iter()
            .filter_map(|zones| Some(zones[0].as_ref().ok()?.counter_uj))
            .collect()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_hanging_sensor_fails_its_own_zone_and_recovers() {
        let (mut workers, gate) = gated(None);
        let mut read = |timeout| read_all(&mut workers, timeout).remove(0);
        let is_failed = |readings: Vec<Readings>| {
            readings.len() == 1 && matches!(readings[0][0], Err(SensorError::Failed(_)))
        };
        assert!(is_failed(read(Duration::ZERO)));
        assert!(is_failed(read(Duration::ZERO)), "still hanging");
        assert!(workers[0].activity().is_empty());
        let mut read = |timeout| read_all(&mut workers, timeout).remove(0);
        for _ in 0..2 {
            gate.send(()).unwrap();
        }
        // The late answer's counter belongs to an earlier moment: it comes before the one asked for now.
        let recovered = (0..1_000_000).find_map(|_| {
            thread::yield_now();
            let counters = counters(&read(LONG));
            (!counters.is_empty()).then_some(counters)
        });
        assert_eq!(recovered, Some(vec![1, 2]));
        assert_eq!(
            workers[0].activity()[0].watched_ns,
            1,
            "of the time that was asked for"
        );
    }

    #[test]
    fn readings_between_requests_come_with_the_next_answer() {
        let (mut workers, gate) = gated(Some(Duration::from_nanos(1)));
        let [worker] = &mut workers;
        let permit = |times| (0..times).for_each(|_| gate.send(()).unwrap());
        let mut next = 1;
        for _ in 0..3 {
            permit(3);
            worker.request();
            // One for a read of the worker's own that has begun, one for what was asked for.
            permit(2);
            let counters = counters(&worker.answer(Instant::now() + LONG));
            let expected: Vec<u64> = (next..).take(counters.len()).collect();
            assert!(!counters.is_empty() && counters == expected, "{counters:?}");
            assert_eq!(worker.activity()[0].watched_ns, counters.len() as u64);
            next += counters.len() as u64;
        }
    }

    #[test]
    fn a_worker_reads_as_often_as_its_counter_needs() {
        let check = |range_uj, interval, expected: Option<u128>| {
            let found = period(&[zone(None), zone(range_uj)], Duration::from_secs(interval));
            let found_ms = found.map(|period| period.as_millis());
            assert_eq!(found_ms, expected, "{range_uj:?}");
        };
        check(None, 300, None);
        check(Some(262_143_328_850), 5, None);
        check(Some(262_143_328_850), 300, Some(163_839));
        check(Some(65_712_999_613), 60, Some(41_070));
        check(Some(262_000_000), 1, Some(163));
        assert!(can_follow(&zone(Some(262_000_000))));
        assert!(!can_follow(&zone(Some(1_000_000))));
        assert!(!can_follow(&zone(Some(0))));
    }
}
