//! What single values of flags mean. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::SignedDuration;

use crate::sensor::Source;
use crate::sensor::source::SOURCES;

/// No zone idles above this.
const MAX_IDLE_WATTS: f64 = 10_000.0;

/// What `--power` takes: auto (`None`), or a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PowerArg(Option<&'static Source>);

pub(super) fn power_values() -> impl TypedValueParser<Value = PowerArg> {
    let auto = PossibleValue::new("auto")
        .help("Of each domain the best that is there, the model where there is none");
    let sources = SOURCES
        .iter()
        .map(|source| PossibleValue::new(source.name).help(source.gives));
    let values: Vec<PossibleValue> = [auto].into_iter().chain(sources).collect();
    PossibleValuesParser::new(values).map(|name| PowerArg(Source::named(&name)))
}

pub(super) fn power_sources(args: &[PowerArg]) -> anyhow::Result<Vec<&'static Source>> {
    if args.len() > 1 && args.contains(&PowerArg(None)) {
        bail!("--power auto stands alone: it chooses among all the others");
    }
    let mut sources: Vec<&Source> = Vec::new();
    for source in args.iter().filter_map(|arg| arg.0) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(sources)
}

pub(super) fn parse_listen(address: &str) -> anyhow::Result<Option<SocketAddr>> {
    if address.is_empty() {
        return Ok(None);
    }
    let parsed = address
        .parse()
        .with_context(|| format!("--listen {address} is no ADDRESS:PORT"))?;
    Ok(Some(parsed))
}

pub(super) fn check_name(flag: &str, name: &str) -> anyhow::Result<()> {
    if name.is_empty() || !wire::is_name(name) {
        bail!(
            "{flag} must have 1 to {} bytes and no control characters",
            wire::limits::MAX_NAME_BYTES
        );
    }
    Ok(())
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| "a time has a unit: 5s, 2m, 1h30m".to_owned())?;
    duration
        .try_into()
        .map_err(|_| "a time is not negative".to_owned())
}

/// Bytes, or so many KiB, MiB or GiB.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let of_unit = |(unit, shift): &(&str, u32)| Some((text.strip_suffix(unit)?, *shift));
    let (number, shift) = units.iter().find_map(of_unit).unwrap_or((text, 0));
    let number: Option<u64> = number.trim().parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or("a size is a whole number, of KiB, MiB or GiB: 256MiB".to_owned())
}

pub(super) fn parse_idle_watts(text: &str) -> Result<(String, f64), String> {
    let (zone, watts) = text
        .split_once('=')
        .ok_or("idle power is given as ZONE=WATTS, such as package-0=38.5")?;
    let watts: f64 = watts
        .parse()
        .ok()
        .filter(|watts| (0.0..=MAX_IDLE_WATTS).contains(watts))
        .ok_or(format!(
            "watts are a number from 0 to {MAX_IDLE_WATTS}, not '{watts}'"
        ))?;
    Ok((zone.to_owned(), watts))
}
