//! A thread for each sensor, so that one that hangs costs only its own zones.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Reading, Sensor, SensorError, Zone};

type Readings = Vec<Result<Reading, SensorError>>;

/// One sensor on its own thread.
pub struct Worker {
    name: &'static str,
    zones: Vec<Zone>,
    requests: SyncSender<()>,
    answers: Receiver<Readings>,
    /// A request is under way whose answer did not come in time.
    overdue: bool,
}

impl Worker {
    /// Starts the thread; it ends when the worker is dropped and the sensor's call returns.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn start(mut sensor: Box<dyn Sensor>) -> std::io::Result<Self> {
        let (requests, incoming) = sync_channel(1);
        let (outgoing, answers) = sync_channel(1);
        let (name, zones) = (sensor.name(), sensor.zones().to_vec());
        thread::Builder::new()
            .name(format!("sensor-{name}"))
            .spawn(
                move || {
                    while incoming.recv().is_ok() && outgoing.send(sensor.read()).is_ok() {}
                },
            )?;
        Ok(Self {
            name,
            zones,
            requests,
            answers,
            overdue: false,
        })
    }

    /// As `--power` names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The sensor's zones.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Asks for readings without waiting, so that all sensors read at the same time.
    pub fn request(&mut self) {
        if self.overdue && self.answers.try_recv().is_ok() {
            self.overdue = false;
        }
        if !self.overdue {
            // Full cannot be (the last request was answered); a dead thread shows at the answer.
            let _: Result<(), TrySendError<()>> = self.requests.try_send(());
        }
    }

    /// One reading per zone, waiting until `deadline` at most.
    pub fn answer(&mut self, deadline: Instant) -> Readings {
        if self.overdue {
            return self.failed("still has not answered an earlier reading");
        }
        match self
            .answers
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(readings) => readings,
            Err(RecvTimeoutError::Timeout) => {
                self.overdue = true;
                self.failed("did not answer in time")
            }
            Err(RecvTimeoutError::Disconnected) => self.failed("has died"),
        }
    }

    fn failed(&self, what: &str) -> Readings {
        vec![Err(SensorError::Failed(format!("sensor {} {what}", self.name))); self.zones.len()]
    }
}

/// Reads all sensors at once, each within `timeout`; per worker one reading per zone.
pub fn read_all(workers: &mut [Worker], timeout: Duration) -> Vec<Readings> {
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
    }

    impl Sensor for Gate {
        fn name(&self) -> &'static str {
            "gate"
        }

        fn zones(&self) -> &[Zone] {
            &self.zones
        }

        fn read(&mut self) -> Readings {
            self.open.recv().unwrap();
            vec![Ok(Reading {
                counter_uj: 7,
                boottime_ns: 1,
            })]
        }
    }

    #[test]
    fn a_hanging_sensor_fails_its_own_zone_and_recovers() {
        let zone = Zone {
            name: "package-0".into(),
            parent: String::new(),
            basis: Basis::Measured,
            package: None,
            range_uj: None,
            idle: IdleSource::Seed(0.0),
            source: String::new(),
        };
        let (gate, open) = sync_channel(8);
        let mut workers = [Worker::start(Box::new(Gate {
            zones: vec![zone],
            open,
        }))
        .unwrap()];
        let mut read = |timeout| read_all(&mut workers, timeout).remove(0).remove(0);

        assert!(matches!(read(Duration::ZERO), Err(SensorError::Failed(_))));
        assert!(
            matches!(read(Duration::ZERO), Err(SensorError::Failed(_))),
            "still hanging"
        );
        for _ in 0..2 {
            gate.send(()).unwrap();
        }
        // The late answer is thrown away: its counter belongs to an earlier moment.
        let long = Duration::from_secs(30);
        let recovered = (0..1000).find_map(|_| {
            thread::yield_now();
            read(long).ok()
        });
        assert_eq!(recovered.map(|reading| reading.counter_uj), Some(7));
    }
}
