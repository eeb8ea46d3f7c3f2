//! One GPU: its energy counter, or its power where it has none.

use std::time::{Duration, Instant};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml as Driver};
use wire::v1::Basis;

use super::errors::{Asked, told};
use super::library::Library;
use super::slices::{Shares, slices};
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
    pub(super) fn find(index: u32, zone: &str) -> Result<Self, SensorError> {
        let mut library = Library::open()?;
        library
            .ask(Instant::now(), |driver| {
                let look = || Self::describe(driver, index, zone);
                look().map_err(|error| told(Asked::Gpu(&index), &error))
            })
            .map(|(uuid, meter, zones, shares)| Self {
                uuid,
                zones,
                library,
                meter,
                watch: Watch::default(),
                shares,
                activity: None,
            })
    }

    /// As its maker names it.
    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Its UUID, how it is measured, its zones, and what its slices will have used.
    fn describe(
        driver: &Driver,
        index: u32,
        zone_name: &str,
    ) -> Result<(String, Meter, Vec<Zone>, Shares), NvmlError> {
        let gpu = driver.device_by_index(index)?;
        let (uuid, name, version) = (gpu.uuid()?, gpu.name()?, driver.sys_driver_version()?);
        let meter = Meter::of(&gpu)?;
        let what = match meter {
            Meter::Counter => "energy counter",
            Meter::Power(_) => "power over time",
        };
        let source = format!("{uuid} ({name}), driver {version}, {what}");
        let zone = zone(zone_name, source, matches!(meter, Meter::Counter));
        let (shares, slices) = Shares::find(&gpu, zone_name);
        Ok((uuid, meter, [vec![zone], slices].concat(), shares))
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
            library,
            meter,
            watch,
            shares,
            activity,
            ..
        } = self;
        let reading = library.ask(Instant::now(), |driver| {
            let told = |error| told(Asked::Gpu(uuid), &error);
            let gpu = driver.device_by_uuid(uuid.as_str()).map_err(told)?;
            let reading = meter.read(&gpu).map_err(told)?;
            let slices = slices(&gpu);
            *activity = watch.look(&gpu, slices.as_deref(), reading.awake_ns);
            Ok((
                reading,
                shares.read(reading, slices.as_deref().unwrap_or_default()),
            ))
        });
        match reading {
            Ok((gpu, slices)) => [vec![Ok(gpu)], slices].concat(),
            Err(error) => vec![Err(error); self.zones.len()],
        }
    }

    fn activity(&mut self) -> Vec<Activity> {
        vec![self.activity.take().unwrap_or_default()]
    }

    fn period(&self) -> Option<Duration> {
        Some(PERIOD)
    }
}
