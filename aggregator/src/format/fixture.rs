//! Reports for the tests of all formats.

use crate::report::{IntensityShares, Report, Scope2, Subtotal};

/// A made-up report in which everything is told: four stages and what has none, two GPUs, eight hours.
pub(crate) fn rich() -> Report {
    serde_json::from_str(include_str!("../../fixtures/report.json")).unwrap()
}

/// The same where the site's signal lacks figures, another signal has some, and nothing is known of the nodes.
pub(crate) fn without_grams() -> Report {
    let mut report = Report {
        carbon_grams: None,
        carbon_range: None,
        uncovered_joules: 1_500_000.0,
        subtotals: vec![Subtotal {
            kind: "marginal-direct".parse().unwrap(),
            energy_joules: 1_200_000.0,
            carbon_grams: 148.9,
        }],
        scope2: Scope2::default(),
        embodied_grams: None,
        equivalents: Vec::new(),
        intensity_basis: IntensityShares::default(),
        ..rich()
    };
    for part in &mut report.course[10..30] {
        part.g_per_kwh = None;
    }
    for stage in &mut report.stages {
        stage.carbon_grams = None;
    }
    if let Some(baseline) = &mut report.baseline {
        for line in baseline.stages.iter_mut().chain([&mut baseline.total]) {
            line.run_grams = None;
            line.difference_grams = None;
        }
    }
    for pod in &mut report.pods {
        pod.carbon_grams = None;
    }
    if let Some(sci) = &mut report.sci {
        sci.operational_grams_per_unit = None;
        sci.embodied_grams_per_unit = None;
        sci.grams_per_unit = None;
    }
    report
}
