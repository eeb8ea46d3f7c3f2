//! NVIDIA's GPUs, as the driver's own library tells of them (libnvidia-ml.so.1, opened at run time).
//!
//! Each GPU is read on a thread of its own, since a call about one may hang. Calls: NVIDIA's NVML API reference.

mod card;
mod errors;
mod library;
mod newcomers;
mod slices;
mod work;

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml as Driver;
use nvml_wrapper::error::NvmlError;

use self::card::Card;
use self::errors::{Asked, told};
use super::activity::Activity;
use super::{Reading, Sensor, SensorError, Zone, integral};

pub use self::newcomers::Newcomers;

/// As `--power` names it.
pub const NAME: &str = "nvml";

/// Who used a GPU is asked as often as its driver looks; who ended before is not told of.
const PERIOD: Duration = integral::PERIOD;

/// How long one may take to tell of itself at the start.
const PATIENCE: Duration = Duration::from_secs(10);

/// All GPUs.
pub struct Nvml {
    cards: Vec<Card>,
    zones: Vec<Zone>,
    left_out: Vec<SensorError>,
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
        let (mut cards, mut left_out) = (Vec::new(), Vec::new());
        for found in find_all(count) {
            match found {
                Ok(card) => cards.push(card),
                Err(error) => left_out.push(error),
            }
        }
        if cards.is_empty() {
            let none = || SensorError::Absent("a GPU of NVIDIA's".to_owned());
            return Err(left_out.into_iter().next().unwrap_or_else(none));
        }
        let zones = cards
            .iter()
            .flat_map(|card| card.zones().to_vec())
            .collect();
        Ok(Self {
            cards,
            zones,
            left_out,
        })
    }
}

impl Sensor for Nvml {
    fn name(&self) -> &'static str {
        NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn left_out(&self) -> &[SensorError] {
        &self.left_out
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

/// Looks at each number on a thread of its own, since a call may hang, and waits for so long at most.
fn find_all(count: u32) -> Vec<Result<Card, SensorError>> {
    let (sender, found) = channel();
    for number in 0..count {
        let sender = sender.clone();
        let thread = thread::Builder::new().name("find-gpu".to_owned());
        let look = move || {
            let found = Card::find(number, &zone_name(number));
            // One that comes too late is looked for again.
            let _ = sender.send((number, found));
        };
        // Without a thread it is missed below.
        let _ = thread.spawn(look);
    }
    drop(sender);
    let deadline = Instant::now() + PATIENCE;
    let next = || {
        let left = deadline.saturating_duration_since(Instant::now());
        found.recv_timeout(left).ok()
    };
    let mut cards: BTreeMap<u32, _> = std::iter::from_fn(next).collect();
    let hangs =
        |number| SensorError::Failed(format!("GPU {number} did not answer in {PATIENCE:?}"));
    (0..count)
        .map(|number| cards.remove(&number).unwrap_or_else(|| Err(hangs(number))))
        .collect()
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
