//! RAPL's domains, whichever way they are read: [`super::powercap`], [`super::perf`] or [`super::msr`].
//!
//! `package-N` and `dram-N` add up; `core` and `uncore` lie inside their package, `psys` holds the whole platform:
//! those three are nested.

use tracing::warn;
use wire::v1::Basis;

use super::model::Machine;
use super::{IdleSource, SensorError, Zone};

/// Names a zone so that it is unique on the node, and says what it lies inside. `name` and `parent` as powercap calls
/// them: `package-0`, or `dram` inside `package-0`.
#[must_use]
pub fn name_zone(name: &str, parent: Option<&str>) -> Zone {
    let package = parent.unwrap_or(name).strip_prefix("package-");
    let number = package.and_then(|suffix| suffix.split('-').next()?.parse().ok());
    let (name, inside) = match (name, package) {
        ("dram", Some(suffix)) => (format!("dram-{suffix}"), String::new()),
        ("psys", _) => ("psys".to_owned(), "platform".to_owned()),
        (name, Some(suffix)) if parent.is_some() => {
            (format!("{name}-{suffix}"), format!("package-{suffix}"))
        }
        (name, Some(_)) => (name.to_owned(), String::new()),
        // Neither a package nor inside one: of unknown relation to the others, so never added to them.
        (name, None) => (name.to_owned(), "unknown".to_owned()),
    };
    Zone {
        name,
        parent: inside,
        basis: Basis::Measured,
        package: number,
        range_uj: None,
        is_lasting: true,
        range_percent: None,
        idle: IdleSource::Seed(0.0),
        source: String::new(),
        reason: String::new(),
    }
}

/// The zone of a `domain` (package, dram, core, uncore, psys) of the package that is called `package`.
pub(super) fn zone_of(domain: &str, package: &str) -> Zone {
    match domain {
        "package" => name_zone(package, None),
        "psys" => name_zone("psys", None),
        _ => name_zone(domain, Some(package)),
    }
}

/// The zones that can be read, each name once, and what reads them. A zone that cannot be read beside others that can
/// is left out.
///
/// # Errors
/// Why the first could not be read where none that adds up can: what is left could not be added up.
pub(super) fn keep_readable<T>(
    found: impl Iterator<Item = Result<(Zone, T), SensorError>>,
    machine: &Machine,
) -> Result<(Vec<Zone>, Vec<T>), SensorError> {
    let (mut zones, mut readers, mut errors) = (Vec::<Zone>::new(), Vec::new(), Vec::new());
    for zone in found {
        match zone {
            Ok((zone, _)) if zones.iter().any(|other| other.name == zone.name) => {}
            Ok((zone, reader)) => {
                zones.push(zone);
                readers.push(reader);
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() && zones.iter().all(|zone| !zone.parent.is_empty()) {
        return Err(errors.swap_remove(0));
    }
    for error in errors {
        warn!("an energy counter is left out: {error}");
    }
    seed_idle(&mut zones, machine);
    Ok((zones, readers))
}

/// Packages and memory begin with the model's idle power, until theirs is learned.
pub(super) fn seed_idle(zones: &mut [Zone], machine: &Machine) {
    let count = |kind: &str| {
        zones
            .iter()
            .filter(|zone| zone.kind() == kind)
            .count()
            .max(1) as f64
    };
    let (packages, drams) = (count("package"), count("dram"));
    for zone in zones {
        let watts = match zone.kind() {
            "package" => machine.idle_watts() / packages,
            "dram" => machine.dram_watts() / drams,
            _ => 0.0,
        };
        zone.idle = IdleSource::Seed(watts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, parent: Option<&str>, expected: (&str, &str, Option<u16>)) {
        let zone = name_zone(name, parent);
        assert_eq!(
            (zone.name.as_str(), zone.parent.as_str(), zone.package),
            expected
        );
    }

    #[test]
    fn only_packages_and_dram_are_additive() {
        check("package-0", None, ("package-0", "", Some(0)));
        check("package-1-die-0", None, ("package-1-die-0", "", Some(1)));
        check("dram", Some("package-1"), ("dram-1", "", Some(1)));
        check("core", Some("package-0"), ("core-0", "package-0", Some(0)));
        check(
            "uncore",
            Some("package-0"),
            ("uncore-0", "package-0", Some(0)),
        );
        check("psys", None, ("psys", "platform", None));
        check("dram", None, ("dram", "unknown", None));
    }
}
