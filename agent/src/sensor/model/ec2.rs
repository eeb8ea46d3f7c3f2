//! Watts of AWS EC2's instance types. An instance on the Nitro system, and a bare machine, has its type for a product name.

use std::path::Path;

use super::{Family, Figure};
use crate::sensor::read_trimmed;

/// Where the figures are from stands in the file.
const TYPES: &str = include_str!("ec2.csv");

const VENDOR: &str = "Amazon EC2";

/// A line of the file.
struct Type {
    name: &'static str,
    idle_watts: f64,
    full_watts: f64,
    by: &'static str,
}

/// Of this machine, per each of its threads; `None` where it is none of EC2's, or of a type without figures.
///
/// Teads' watts are those of the CPUs alone, as their counters tell them; those of `family`, whole servers of that kind at
/// the plug. Truth lies between.
pub(super) fn family(sys_root: &Path, threads: u32, family: &Family) -> Option<Family> {
    let firmware = |file| read_trimmed(&sys_root.join("class/dmi/id").join(file)).ok();
    if firmware("sys_vendor")? != VENDOR {
        return None;
    }
    let name = firmware("product_name")?;
    let found = types().find(|found| found.name == name)?;
    let figure = |watts: f64, at_the_plug: Figure| {
        // In milliwatts, as the families' figures are.
        let watts = (watts / f64::from(threads) * 1e3).round() / 1e3;
        Figure::new([
            at_the_plug.low.min(watts),
            watts,
            at_the_plug.high.max(watts),
        ])
    };
    Some(Family {
        name: found.name,
        by: found.by,
        idle: figure(found.idle_watts, family.idle),
        max: figure(found.full_watts, family.max),
    })
}

fn types() -> impl Iterator<Item = Type> {
    let lines = TYPES.lines().filter(|line| !line.starts_with('#'));
    lines.skip(1).filter_map(parse)
}

fn parse(line: &'static str) -> Option<Type> {
    let mut fields = line.split(',');
    let found = Type {
        name: fields.next()?,
        idle_watts: fields.next()?.parse().ok()?,
        full_watts: fields.next()?.parse().ok()?,
        by: match fields.next()? {
            "measured" => ", measured by Teads",
            "estimated" => ", estimated by Teads",
            _ => return None,
        },
    };
    fields.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_type_once_and_busy_costs_more_than_idle() {
        let all: Vec<Type> = types().collect();
        let lines = TYPES
            .lines()
            .filter(|line| line.contains('.') && !line.starts_with('#'));
        assert_eq!((all.len(), lines.count()), (316, 316));
        assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
        for found in &all {
            assert!(
                0.0 < found.idle_watts && found.idle_watts < found.full_watts,
                "{}",
                found.name
            );
        }
    }
}
