//! Whether the agent's energy is the kernel's: between two bounds that the guest read beside it, and whole.

use anyhow::{Context as _, Result, ensure};

use super::metrics::Metrics;

/// The zones that add up in a machine of two sockets.
pub(super) const ADDITIVE: [&str; 4] = ["package-0", "dram-0", "package-1", "dram-1"];

const NODE: &str = "hxmlops_node_energy_joules_total";
const IDLE: &str = "hxmlops_node_idle_energy_joules_total";
const SYSTEM: &str = "hxmlops_node_system_energy_joules_total";
const PODS: &str = "hxmlops_pod_energy_joules_total";
const SAMPLES: &str = "hxmlops_agent_samples_total";
const SOURCE: &str = "hxmlops_agent_source_info";
const CPU_SECONDS: &str = "hxmlops_pod_cpu_seconds_total";
/// What the module counts for a busy CPU second, package and memory together.
const STAGE_WATTS: f64 = 33.0;
/// Both go from switch to switch; how idle power was learned is the rest.
const MAX_ERROR: f64 = 0.05;
const STAGE: (&str, &str) = ("stage", "train");
/// Sums of decimal fractions are off by less than a tenth of a microjoule.
const ROUNDING_JOULES: f64 = 1e-7;

/// The zones' counters at one moment, in microjoules, each with its range.
pub(super) struct Energies(Vec<(String, u64, u64)>);

/// Energy by zone between two moments, in joules.
pub(super) struct Difference(Vec<(String, f64)>);

impl Energies {
    /// Reads lines `NAME ENERGY_UJ RANGE_UJ`.
    ///
    /// # Errors
    /// Where a line is none.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let zone = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            Some((
                name,
                words.next()?.parse().ok()?,
                words.next()?.parse().ok()?,
            ))
        };
        let zones = text
            .lines()
            .map(|line| zone(line).with_context(|| format!("no zone's energy: {line}")));
        Ok(Self(zones.collect::<Result<_>>()?))
    }

    /// What each zone used since `earlier`; a counter that stands lower has turned once.
    ///
    /// # Errors
    /// Where the two do not have the same zones.
    pub(super) fn since(&self, earlier: &Self) -> Result<Difference> {
        ensure!(self.0.len() == earlier.0.len(), "the zones have changed");
        let zones = self.0.iter().zip(&earlier.0);
        let differences = zones.map(|((name, now, range), (earlier_name, before, _))| {
            ensure!(name == earlier_name, "the zones have changed");
            let used = now
                .checked_sub(*before)
                .unwrap_or_else(|| range.saturating_sub(*before) + now);
            Ok((name.clone(), used as f64 / 1e6))
        });
        Ok(Difference(differences.collect::<Result<_>>()?))
    }
}

impl Difference {
    /// One zone's joules.
    ///
    /// # Errors
    /// Where there is no such zone.
    pub(super) fn of(&self, zone: &str) -> Result<f64> {
        let found = self.0.iter().find(|(name, _)| name == zone);
        found
            .map(|(_, joules)| *joules)
            .with_context(|| format!("the kernel has no zone {zone}"))
    }
}

/// Checks one zone: measured, wrapped once or more, never reset, its parts whole, and its energy between
/// `inner`, what the kernel counted while the agent surely did, and `outer`, while it may have. In joules.
///
/// # Errors
/// Names what does not hold.
pub(super) fn check_zone(metrics: &Metrics, zone: &str, inner: f64, outer: f64) -> Result<()> {
    let of_zone = |name: &str| metrics.sum(name, &[("zone", zone)]);
    let count = |outcome: &str| {
        let count = metrics.sum(SAMPLES, &[("zone", zone), ("outcome", outcome)]);
        count.unwrap_or_default()
    };
    let source = [("zone", zone), ("source", "rapl"), ("basis", "measured")];
    ensure!(
        metrics.sum(SOURCE, &source) == Some(1.0),
        "it is not measured by RAPL"
    );
    ensure!(count("wrapped") >= 1.0, "its counter was not seen to wrap");
    for outcome in ["reset", "failed", "absent"] {
        ensure!(count(outcome) == 0.0, "a reading was '{outcome}'");
    }
    let measured = of_zone(NODE).context("it has no energy")?;
    let [idle, system, pods] = [IDLE, SYSTEM, PODS].map(|name| of_zone(name).unwrap_or_default());
    ensure!(
        (idle + system + pods - measured).abs() < ROUNDING_JOULES,
        "idle {idle} J + system {system} J + pods {pods} J are not {measured} J"
    );
    ensure!(
        measured > inner - ROUNDING_JOULES && measured < outer + ROUNDING_JOULES,
        "the agent measured {measured} J, the kernel counted at least {inner} and at most {outer} J"
    );
    Ok(())
}

/// Checks that the stage has most of the active energy since it `started`, when idle power was known, on the
/// socket where it ran, and says how much of what.
///
/// # Errors
/// Where it has not.
pub(super) fn check_stage(metrics: &Metrics, started: &Metrics) -> Result<String> {
    let sum = |name: &str| metrics.sum(name, &[]).unwrap_or_default();
    let system = sum(SYSTEM) - started.sum(SYSTEM, &[]).unwrap_or_default();
    let active = system + sum(PODS);
    let stage = metrics.sum(PODS, &[STAGE]);
    let stage = stage.context("stage 'train' has no energy")?;
    ensure!(
        stage > active / 2.0,
        "stage 'train' has {stage} J of {active} J active energy"
    );
    let elsewhere = metrics.sum(PODS, &[STAGE, ("zone", "package-0")]);
    ensure!(
        elsewhere.unwrap_or_default() < stage / 10.0,
        "stage 'train' ran on package-1 and has {elsewhere:?} J of package-0"
    );
    let cpu_seconds = metrics.sum(CPU_SECONDS, &[STAGE]).unwrap_or_default();
    let expected = STAGE_WATTS * cpu_seconds;
    ensure!(
        (stage - expected).abs() < expected * MAX_ERROR,
        "stage 'train' has {stage:.1} J, and its {cpu_seconds:.2} CPU seconds made {expected:.1} J"
    );
    Ok(format!(
        "measured {:.1} J, idle {:.1} J, stage {stage:.1} J of {active:.1} J active, where its CPU time made {expected:.1} J",
        sum(NODE),
        sum(IDLE)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(wrapped: u32, reset: u32, system: f64) -> Metrics {
        let zone = "zone=\"dram-0\"";
        Metrics::parse(&format!(
            "{NODE}{{{zone}}} 10\n{IDLE}{{{zone}}} 5.5\n{SYSTEM}{{{zone}}} {system}\n\
             {PODS}{{stage=\"train\",{zone}}} 3\n{PODS}{{stage=\"test\",{zone}}} 0.5\n\
             {CPU_SECONDS}{{stage=\"train\"}} 0.0909\n\
             {SAMPLES}{{{zone},outcome=\"wrapped\"}} {wrapped}\n\
             {SAMPLES}{{{zone},outcome=\"reset\"}} {reset}\n\
             {SOURCE}{{{zone},source=\"rapl\",basis=\"measured\"}} 1\n"
        ))
        .unwrap()
    }

    #[test]
    fn a_counter_that_stands_lower_has_turned_once() {
        let before = Energies::parse("package-0 900 1000\ndram-0 5 1000").unwrap();
        let after = Energies::parse("package-0 100 1000\ndram-0 25 1000").unwrap();
        let used = after.since(&before).unwrap();
        assert_eq!(used.of("package-0").unwrap(), 0.0002);
        assert_eq!(used.of("dram-0").unwrap(), 0.00002);
        assert!(used.of("psys").is_err());
        assert!(Energies::parse("package-0 many 1000").is_err());
    }

    #[test]
    fn a_zone_has_to_be_whole_and_between_its_bounds() {
        let check = |metrics: &Metrics, inner, outer| check_zone(metrics, "dram-0", inner, outer);
        let good = metrics(1, 0, 1.0);
        assert!(check(&good, 9.0, 11.0).is_ok());
        for (metrics, inner, outer, why) in [
            (&good, 10.1, 11.0, "at least 10.1"),
            (&good, 9.0, 9.9, "at most 9.9"),
            (&metrics(0, 0, 1.0), 9.0, 11.0, "wrap"),
            (&metrics(1, 1, 1.0), 9.0, 11.0, "'reset'"),
            (&metrics(1, 0, 1.1), 9.0, 11.0, "are not 10 J"),
        ] {
            let error = check(metrics, inner, outer).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_stage_has_to_have_most_of_what_is_active() {
        let started = metrics(1, 0, 0.0);
        assert!(check_stage(&metrics(1, 0, 1.0), &started).is_ok());
        assert!(check_stage(&metrics(1, 0, 3.0), &started).is_err());
        assert!(check_stage(&metrics(1, 0, 3.0), &metrics(1, 0, 2.0)).is_ok());
        let other_socket = format!("{PODS}{{stage=\"train\",zone=\"package-0\"}} 9\n");
        assert!(check_stage(&Metrics::parse(&other_socket).unwrap(), &started).is_err());
    }
}
