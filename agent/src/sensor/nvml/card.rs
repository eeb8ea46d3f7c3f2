//! One GPU: its energy counter, or its power where it has none.

use std::time::{Duration, Instant};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml as Driver};
use wire::v1::Basis;

use super::errors::{Asked, told};
use super::library::Library;
use super::slices::{Shares, Slice, slices};
use super::work::Watch;
use super::{NAME, PERIOD, is_unsupported};
use crate::sensor::activity::Activity;
use crate::sensor::integral::Integral;
use crate::sensor::{IdleSource, Reading, Sensor, SensorError, Zone, awake_ns, boottime_ns};

/// One GPU, known by its UUID: numbers may change when the driver is loaded anew.
pub(super) struct Card {
    uuid: String,
    /// Its own, then those of its slices.
    zones: Vec<Zone>,
    library: Library,
    meter: Meter,
    watch: Watch,
    shares: Shares,
    activity: Option<Activity>,
}

/// What a GPU says of itself.
struct Described {
    uuid: String,
    meter: Meter,
    /// Both in words.
    source: String,
    slices: Vec<Slice>,
}

/// How its energy is found; for good, since the two count from different starts.
#[derive(Debug)]
enum Meter {
    /// The driver counts: nvmlDeviceGetTotalEnergyConsumption, in mJ since it was loaded (Volta and newer).
    Counter,
    /// It tells the power: nvmlDeviceGetPowerUsage, in mW.
    Power(Integral),
}

impl Card {
    /// The GPU that has this number now, as a zone of that name.
    ///
    /// # Errors
    /// Where it tells neither energy nor power, or cannot be asked.
    pub(super) fn find(index: u32, zone_name: &str) -> Result<Self, SensorError> {
        let mut library = Library::open()?;
        let found = library.ask(Instant::now(), |driver| {
            let look = || Self::describe(driver, index);
            look().map_err(|error| told(Asked::Gpu(&index), &error))
        })?;
        let is_lasting = matches!(found.meter, Meter::Counter);
        let mut card = Self {
            uuid: found.uuid,
            zones: vec![zone(zone_name, found.source, is_lasting)],
            library,
            meter: found.meter,
            watch: Watch::default(),
            shares: Shares::default(),
            activity: None,
        };
        let slices = card.shares.take_up(&found.slices, zone_name);
        card.zones.extend(slices);
        Ok(card)
    }

    /// As its maker names it.
    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    fn describe(driver: &Driver, index: u32) -> Result<Described, NvmlError> {
        let gpu = driver.device_by_index(index)?;
        let (uuid, name, version) = (gpu.uuid()?, gpu.name()?, driver.sys_driver_version()?);
        let meter = Meter::of(&gpu)?;
        let what = match meter {
            Meter::Counter => "energy counter",
            Meter::Power(_) => "power over time",
        };
        Ok(Described {
            source: format!("{uuid} ({name}), driver {version}, {what}"),
            uuid,
            meter,
            slices: slices(&gpu).unwrap_or_default(),
        })
    }
}

fn zone(name: &str, source: String, is_lasting: bool) -> Zone {
    Zone {
        name: name.to_owned(),
        parent: String::new(),
        basis: Basis::Measured,
        package: None,
        range_percent: None,
        range_uj: None,
        is_lasting,
        // Nobody publishes what a GPU draws when nothing runs: unknown until it was seen.
        idle: IdleSource::Seed(0.0),
        source,
        reason: String::new(),
    }
}

impl Meter {
    fn of(gpu: &Device<'_>) -> Result<Self, NvmlError> {
        match gpu.total_energy_consumption() {
            Ok(_) => Ok(Self::Counter),
            Err(error) if is_unsupported(&error) => {
                gpu.power_usage()?;
                Ok(Self::Power(Integral::default()))
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, gpu: &Device<'_>) -> Result<Reading, NvmlError> {
        match self {
            Self::Counter => {
                let millijoules = gpu.total_energy_consumption()?;
                Ok(Reading::now(millijoules.saturating_mul(1_000)))
            }
            Self::Power(integral) => {
                let watts = f64::from(gpu.power_usage()?) / 1e3;
                Ok(integral.add(watts, boottime_ns(), awake_ns()))
            }
        }
    }
}

impl Sensor for Card {
    fn name(&self) -> &'static str {
        NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn device(&self) -> Option<&str> {
        Some(&self.uuid)
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        let Self {
            uuid,
            zones,
            library,
            meter,
            watch,
            shares,
            activity,
        } = self;
        let reading = library.ask(Instant::now(), |driver| {
            let told = |error| told(Asked::Gpu(uuid), &error);
            let gpu = driver.device_by_uuid(uuid.as_str()).map_err(told)?;
            let reading = meter.read(&gpu).map_err(told)?;
            let slices = slices(&gpu);
            *activity = watch.look(&gpu, slices.as_deref(), reading.awake_ns);
            Ok((reading, slices))
        });
        match reading {
            Ok((gpu, slices)) => {
                let new = shares.take_up(slices.as_deref().unwrap_or_default(), &zones[0].name);
                zones.extend(new);
                let slices = shares.read(gpu, slices.as_deref());
                [vec![Ok(gpu)], slices].concat()
            }
            Err(error) => vec![Err(error); zones.len()],
        }
    }

    fn activity(&mut self) -> Vec<Activity> {
        // Its slices' is its own.
        let mut all = vec![Activity::default(); self.zones.len()];
        all[0] = self.activity.take().unwrap_or_default();
        all
    }

    fn period(&self) -> Option<Duration> {
        Some(PERIOD)
    }
}
