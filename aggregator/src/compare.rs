//! Two runs side by side, and why their grams differ: energy, intensity or PUE. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::carbon::JOULES_PER_KWH;
use crate::report::{Report, StageReport};

/// The second run against the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Id of the run that is compared against.
    pub baseline: String,
    /// Id of the run that is compared.
    pub run: String,
    /// By stage: the baseline's in their order, then those that only the other has.
    pub stages: Vec<Difference>,
    /// The stages together.
    pub total: Difference,
    /// What a reader must know, one sentence each.
    pub notes: Vec<String>,
}

/// One stage of two runs, or all stages together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Name of the stage; empty for energy without one and for the total.
    pub stage: String,
    /// Energy of the baseline.
    pub baseline_joules: f64,
    /// Energy of the run.
    pub run_joules: f64,
    /// Run minus baseline.
    pub difference_joules: f64,
    /// Grams of the baseline; null where they are not known.
    pub baseline_grams: Option<f64>,
    /// Grams of the run; null where they are not known.
    pub run_grams: Option<f64>,
    /// Why they differ; null where one of them is not known.
    pub difference_grams: Option<Reasons>,
}

/// A difference in grams by its reasons: `total` is their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reasons {
    /// Run minus baseline.
    pub total: f64,
    /// From using more or less energy.
    pub energy: f64,
    /// From a cleaner or dirtier grid.
    pub intensity: f64,
    /// From another building.
    pub pue: f64,
}

/// Why two runs are not compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Their grams count different things.
    #[error(
        "runs '{0}' and '{1}' were counted with different carbon signals, which are never compared"
    )]
    Signals(String, String),
}

/// Compares `run` with `baseline`.
///
/// # Errors
/// Where their carbon signals differ.
pub fn compare(baseline: &Report, run: &Report) -> Result<Comparison, CompareError> {
    let kinds = [baseline, run].map(|report| {
        let kinds = report.intensity.iter().map(|used| &used.kind);
        kinds.collect::<BTreeSet<_>>()
    });
    if kinds.iter().all(|kinds| !kinds.is_empty()) && kinds[0] != kinds[1] {
        return Err(CompareError::Signals(baseline.run.clone(), run.run.clone()));
    }

    let names = stage_names(baseline, run);
    let stages: Vec<Difference> = names
        .into_iter()
        .map(|name| difference(name, baseline, run))
        .collect();
    Ok(Comparison {
        baseline: baseline.run.clone(),
        run: run.run.clone(),
        total: total(&stages),
        stages,
        notes: notes(baseline, run),
    })
}

/// The comparison as a part of the report on `run`, which has its own notes: it tells those of the baseline.
///
/// # Errors
/// As [`compare`].
pub fn against(baseline: &Report, run: &Report) -> Result<Comparison, CompareError> {
    Ok(Comparison {
        notes: baseline.notes.clone(),
        ..compare(baseline, run)?
    })
}

fn stage_names<'a>(baseline: &'a Report, run: &'a Report) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for stage in baseline.stages.iter().chain(&run.stages) {
        if !names.contains(&stage.stage.as_str()) {
            names.push(&stage.stage);
        }
    }
    names
}

fn difference(name: &str, baseline: &Report, run: &Report) -> Difference {
    let find = |report: &Report| {
        report
            .stages
            .iter()
            .find(|stage| stage.stage == name)
            .cloned()
    };
    let (before, after) = (find(baseline), find(run));
    let joules = |stage: &Option<StageReport>| stage.as_ref().map_or(0.0, |s| s.energy_joules);
    // A stage that a run does not have used nothing, and that is known.
    let grams = |stage: &Option<StageReport>| stage.as_ref().map_or(Some(0.0), |s| s.carbon_grams);
    let pue = |stage: &Option<StageReport>| stage.as_ref().map_or(1.0, |s| s.pue);

    let (baseline_joules, run_joules) = (joules(&before), joules(&after));
    let (baseline_grams, run_grams) = (grams(&before), grams(&after));
    let difference_grams = baseline_grams.zip(run_grams).map(|(old, new)| {
        reasons(
            Factors::new(baseline_joules, pue(&before), old),
            Factors::new(run_joules, pue(&after), new),
        )
    });
    Difference {
        stage: name.to_owned(),
        baseline_joules,
        run_joules,
        difference_joules: run_joules - baseline_joules,
        baseline_grams,
        run_grams,
        difference_grams,
    }
}

/// grams = kWh x PUE x intensity.
#[derive(Clone, Copy)]
struct Factors {
    kwh: f64,
    pue: f64,
    /// gCO2e/kWh; `None` where there is no energy that would tell.
    intensity: Option<f64>,
}

impl Factors {
    fn new(joules: f64, pue: f64, grams: f64) -> Self {
        let kwh = joules / JOULES_PER_KWH;
        Self {
            kwh,
            pue,
            intensity: (kwh > 0.0).then(|| grams / (kwh * pue)),
        }
    }
}

/// Splits the difference of two products among their factors, each by its mean effect over all orders in
/// which the factors can change (Shapley's value): the parts sum to the difference, and no order is
/// preferred.
fn reasons(before: Factors, after: Factors) -> Reasons {
    // Where one side used nothing, only the energy differs: the grid and the building are the other's.
    let (old, new) = match (before.intensity, after.intensity) {
        (None, None) => return Reasons::default(),
        (Some(old), None) => ([before.kwh, old, before.pue], [0.0, old, before.pue]),
        (None, Some(new)) => ([0.0, new, after.pue], [after.kwh, new, after.pue]),
        (Some(old), Some(new)) => ([before.kwh, old, before.pue], [after.kwh, new, after.pue]),
    };
    let part = |factor: usize| {
        let (a, b) = ((factor + 1) % 3, (factor + 2) % 3);
        let both =
            2.0 * old[a] * old[b] + 2.0 * new[a] * new[b] + old[a] * new[b] + new[a] * old[b];
        (new[factor] - old[factor]) * both / 6.0
    };
    let (energy, intensity, pue) = (part(0), part(1), part(2));
    Reasons {
        total: energy + intensity + pue,
        energy,
        intensity,
        pue,
    }
}

/// Adds up the stages, so that each column of a table sums to its last line.
fn total(stages: &[Difference]) -> Difference {
    let sum = |of: fn(&Difference) -> f64| stages.iter().map(of).sum();
    Difference {
        stage: String::new(),
        baseline_joules: sum(|stage| stage.baseline_joules),
        run_joules: sum(|stage| stage.run_joules),
        difference_joules: sum(|stage| stage.difference_joules),
        baseline_grams: stages.iter().map(|stage| stage.baseline_grams).sum(),
        run_grams: stages.iter().map(|stage| stage.run_grams).sum(),
        difference_grams: stages.iter().try_fold(Reasons::default(), |sum, stage| {
            let reasons = stage.difference_grams?;
            Some(Reasons {
                total: sum.total + reasons.total,
                energy: sum.energy + reasons.energy,
                intensity: sum.intensity + reasons.intensity,
                pue: sum.pue + reasons.pue,
            })
        }),
    }
}

fn notes(baseline: &Report, run: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for report in [baseline, run] {
        let told = report.notes.iter();
        notes.extend(told.map(|note| format!("Run '{}': {note}", report.run)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(before: (f64, f64, f64), after: (f64, f64, f64), expected: (f64, f64, f64)) {
        let factors =
            |(kwh, pue, grams): (f64, f64, f64)| Factors::new(kwh * JOULES_PER_KWH, pue, grams);
        let found = reasons(factors(before), factors(after));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let (energy, intensity, pue) = expected;
        assert!(
            near(found.energy, energy) && near(found.intensity, intensity) && near(found.pue, pue),
            "{before:?} to {after:?}: {found:?}"
        );
        assert!(near(found.total, after.2 - before.2), "{found:?}");
    }

    #[test]
    fn a_difference_goes_to_what_changed() {
        let same = (1.0, 1.0, 100.0);
        check(same, same, (0.0, 0.0, 0.0));
        check(same, (2.0, 1.0, 200.0), (100.0, 0.0, 0.0));
        check(same, (1.0, 1.0, 300.0), (0.0, 200.0, 0.0));
        check(same, (1.0, 1.5, 150.0), (0.0, 0.0, 50.0));
        check(same, (0.0, 1.5, 0.0), (-100.0, 0.0, 0.0));
        check((0.0, 1.2, 0.0), same, (100.0, 0.0, 0.0));
        check((0.0, 1.2, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0));
        // Twice the energy on a grid twice as dirty: 100 to 400, half each.
        check(same, (2.0, 1.0, 400.0), (150.0, 150.0, 0.0));
    }

    proptest! {
        #[test]
        fn the_reasons_sum_to_the_difference(
            before in (0.0_f64..1e6, 1.0_f64..3.0, 0.0_f64..5000.0),
            after in (0.0_f64..1e6, 1.0_f64..3.0, 0.0_f64..5000.0),
        ) {
            let grams = |(kwh, pue, intensity): (f64, f64, f64)| kwh * pue * intensity;
            let factors = |of: (f64, f64, f64)| Factors::new(of.0 * JOULES_PER_KWH, of.1, grams(of));
            let found = reasons(factors(before), factors(after));
            let difference = grams(after) - grams(before);
            let scale = grams(after) + grams(before) + 1.0;
            prop_assert!((found.total - difference).abs() <= 1e-9 * scale);
        }
    }
}
