//! The platform's power as its management controller tells it, by Redfish over HTTPS (DMTF DSP0266; power of a chassis:
//! DSP2046, `EnvironmentMetrics.PowerWatts` and the older `Power.PowerControl[0].PowerConsumedWatts`).
//!
//! A controller takes seconds to answer, hangs, and restarts: a thread of its own asks it, for ever, and a reading is
//! what it said last. No request is made in a reading, none in a scrape.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

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

/// What the controller said last.
type Said = Mutex<Result<Reading, SensorError>>;

/// The platform meter behind Redfish.
#[derive(Debug)]
pub struct Redfish {
    zones: [Zone; 1],
    said: Arc<Said>,
}

impl Redfish {
    /// Starts to ask. One that does not answer yet is asked again, for ever.
    ///
    /// # Errors
    /// [`SensorError::Failed`] where a file of `access` cannot be used.
    pub fn start(access: &Access) -> Result<Self, SensorError> {
        let controller = Controller::new(access).map_err(|error| failed(&error))?;
        let silent = SensorError::Failed(format!("{} has not answered yet", access.url));
        let said = Arc::new(Mutex::new(Err(silent)));
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

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        vec![said.clone()]
    }
}

/// Asks until nobody listens any more.
async fn ask(mut controller: Controller, listener: &Weak<Said>) {
    let mut integral = Integral::default();
    let mut period = PERIOD;
    let mut failing = None;
    loop {
        let answer = controller.watts().await;
        let reading = match answer {
            Ok(watts) => {
                if failing.take() == Some(true) {
                    info!("the platform's power is told again");
                }
                failing = Some(false);
                period = PERIOD;
                Ok(integral.add(watts, boottime_ns(), awake_ns()))
            }
            Err(error) => {
                if failing.replace(true) != Some(true) {
                    warn!(
                        "the platform's power is not known, which is tried again for ever: {error:#}"
                    );
                }
                let jitter = fastrand::f64();
                period = (period * 2).min(LONGEST_PERIOD).mul_f64(1.0 - jitter / 4.0);
                Err(failed(&error))
            }
        };
        let Some(said) = listener.upgrade() else {
            return;
        };
        *said.lock().unwrap_or_else(PoisonError::into_inner) = reading;
        drop(said);
        tokio::time::sleep(period).await;
    }
}

fn failed(error: &anyhow::Error) -> SensorError {
    SensorError::Failed(format!("{error:#}"))
}
