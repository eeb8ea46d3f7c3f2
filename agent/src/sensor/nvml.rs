//! NVIDIA's GPUs, as the driver's own library tells of them (libnvidia-ml.so.1, opened at run time).
//!
//! Each GPU is read on a thread of its own, since a call about one may hang. Calls: NVIDIA's NVML API reference.

mod card;
mod errors;
mod library;
mod newcomers;
mod slices;
mod work;

use std::time::Duration;

use nvml_wrapper::Nvml as Driver;
use nvml_wrapper::error::NvmlError;
use tracing::warn;

use self::card::Card;
use self::errors::{Asked, told};
use super::activity::Activity;
use super::{Reading, Sensor, SensorError, Zone, integral};

pub use self::newcomers::Newcomers;

/// As `--power` names it.
pub const NAME: &str = "nvml";

/// Who used a GPU is asked as often as its driver looks; who ended before is not told of.
const PERIOD: Duration = integral::PERIOD;

/// All GPUs.
pub struct Nvml {
    cards: Vec<Card>,
    zones: Vec<Zone>,
}

impl Nvml {
    /// Looks for the driver and its GPUs.
    ///
    /// # Errors
    /// Where there is no GPU that tells its energy or power.
    pub fn find() -> Result<Self, SensorError> {
        let driver = Driver::init().map_err(|error| told(Asked::Driver, &error))?;
        let count = driver
            .device_count()
            .map_err(|error| told(Asked::Driver, &error))?;
        let found = (0..count).map(|number| Card::find(number, &zone_name(number)));
        let (cards, errors): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
        let cards: Vec<Card> = cards.into_iter().flatten().collect();
        let errors: Vec<SensorError> = errors.into_iter().filter_map(Result::err).collect();
        if cards.is_empty() {
            let none = || SensorError::Absent("a GPU of NVIDIA's".to_owned());
            return Err(errors.into_iter().next().unwrap_or_else(none));
        }
        for error in errors {
            warn!("left out: {error}");
        }
        let zones = cards
            .iter()
            .flat_map(|card| card.zones().to_vec())
            .collect();
        Ok(Self { cards, zones })
    }
}

impl Sensor for Nvml {
    fn name(&self) -> &'static str {
        NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        self.cards.iter_mut().flat_map(Card::read).collect()
    }

    fn activity(&mut self) -> Vec<Activity> {
        self.cards.iter_mut().flat_map(Card::activity).collect()
    }

    fn period(&self) -> Option<Duration> {
        Some(PERIOD)
    }

    fn take_parts(&mut self) -> Vec<Box<dyn Sensor>> {
        let cards = std::mem::take(&mut self.cards).into_iter();
        cards
            .map(|card| Box::new(card) as Box<dyn Sensor>)
            .collect()
    }
}

/// Of the GPU that has this number when it is first seen.
fn zone_name(number: u32) -> String {
    format!("gpu-{number}")
}

/// Whether a GPU may have this name.
#[must_use]
pub fn is_zone_name(name: &str) -> bool {
    let number = name.strip_prefix("gpu-");
    number.is_some_and(|number| number.parse().is_ok_and(|number| zone_name(number) == name))
}

/// The call is not one of this GPU, or of this driver.
fn is_unsupported(error: &NvmlError) -> bool {
    use NvmlError::{FailedToLoadSymbol, FunctionNotFound, NotSupported};
    matches!(
        error,
        NotSupported | FunctionNotFound | FailedToLoadSymbol(_)
    )
}
