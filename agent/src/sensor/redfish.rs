//! The platform's power as its management controller tells it, by Redfish over HTTPS (DMTF DSP0266; power of a chassis:
//! DSP2046, `EnvironmentMetrics.PowerWatts` and the older `Power.PowerControl[0].PowerConsumedWatts`).
//!
//! A controller takes seconds to answer, hangs, and restarts: a thread of its own asks it, for ever, and a reading goes
//! by what it said last. No request is made in a reading, none in a scrape.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Url;
use tracing::{info, warn};
use wire::v1::Basis;

use self::client::Controller;
use super::integral::Integral;
use super::{IdleSource, Reading, Sensor, SensorError, Zone, awake_ns, boottime_ns};

mod client;
pub mod json;

/// Time from one answer to the next request: what the sensors behind most controllers are averaged over.
const PERIOD: Duration = Duration::from_secs(5);

/// The same after requests that failed, at most.
const LONGEST_PERIOD: Duration = Duration::from_secs(60);

/// Where the controller is, and what it lets the agent in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `https://CONTROLLER`, or that of one chassis below it.
    pub url: Url,
    /// File of one line, `USER:PASSWORD`.
    pub credentials_file: Option<PathBuf>,
    /// Certificates (PEM) of those who may vouch for the controller, and nobody else may; `None`: the system's.
    pub ca_file: Option<PathBuf>,
}

/// What the controller said, up to now.
#[derive(Debug)]
struct Said {
    integral: Integral,
    /// Whether it answered last.
    answer: Result<(), SensorError>,
}

type Shared = Mutex<Said>;

/// The platform meter behind Redfish.
#[derive(Debug)]
pub struct Redfish {
    zones: [Zone; 1],
    said: Arc<Shared>,
}

impl Redfish {
    /// Starts to ask. One that does not answer yet is asked again, for ever.
    ///
    /// # Errors
    /// [`SensorError::Failed`] where a file of `access` cannot be used.
    pub fn start(access: &Access) -> Result<Self, SensorError> {
        let controller = Controller::new(access).map_err(|error| failed(&error))?;
        let silent = SensorError::Failed(format!("{} has not answered yet", access.url));
        let said = Arc::new(Mutex::new(Said {
            integral: Integral::default(),
            answer: Err(silent),
        }));
        let zones = [Zone {
            name: "platform".to_owned(),
            parent: "node".to_owned(),
            basis: Basis::Measured,
            package: None,
            range_uj: None,
            is_lasting: false,
            range_percent: None,
            idle: IdleSource::Seed(0.0),
            source: access.url.to_string(),
            reason: String::new(),
        }];
        let listener = Arc::downgrade(&said);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| SensorError::Failed(error.to_string()))?;
        thread::Builder::new()
            .name("redfish".to_owned())
            .spawn(move || runtime.block_on(ask(controller, &listener)))
            .map_err(|error| SensorError::Failed(error.to_string()))?;
        Ok(Self { zones, said })
    }
}

impl Sensor for Redfish {
    fn name(&self) -> &'static str {
        "redfish"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The power that was told last goes on until another is told: so each interval has its own.
    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        let Said { integral, answer } = &mut *lock(&self.said);
        let reading = answer.clone().and_then(|()| {
            let held = integral.hold(boottime_ns(), awake_ns());
            let late = || SensorError::Failed("has not answered for a minute".to_owned());
            held.ok_or_else(late)
        });
        vec![reading]
    }

    fn wait_for_answer(&mut self, patience: Duration) {
        let begun = Instant::now();
        while lock(&self.said).answer.is_err() && begun.elapsed() < patience {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Asks until nobody listens any more.
async fn ask(mut controller: Controller, listener: &Weak<Shared>) {
    let mut period = PERIOD;
    let mut failing = false;
    loop {
        let watts = controller.watts().await;
        if let Err(error) = &watts {
            if !failing {
                warn!(
                    "the platform's power is not known, which is tried again for ever: {error:#}"
                );
            }
            let jitter = fastrand::f64();
            period = (period * 2).min(LONGEST_PERIOD).mul_f64(1.0 - jitter / 4.0);
        } else {
            if failing {
                info!("the platform's power is told again");
            }
            period = PERIOD;
        }
        failing = watts.is_err();
        let Some(said) = listener.upgrade() else {
            return;
        };
        lock(&said).take(watts);
        drop(said);
        tokio::time::sleep(period).await;
    }
}

impl Said {
    fn take(&mut self, watts: anyhow::Result<f64>) {
        let (boottime_ns, awake_ns) = (boottime_ns(), awake_ns());
        if self.answer.is_ok() {
            // As it was told to whoever read it.
            self.integral.hold(boottime_ns, awake_ns);
        }
        self.answer = match watts {
            Ok(watts) => {
                self.integral.add(watts, boottime_ns, awake_ns);
                Ok(())
            }
            Err(error) => Err(failed(&error)),
        };
    }
}

fn lock(said: &Shared) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: &anyhow::Error) -> SensorError {
    SensorError::Failed(format!("{error:#}"))
}
