//! A report as CSV: one row per stage, full precision.

use super::escape;
use crate::report::{Report, StageReport};

const HEADER: [&str; 14] = [
    "cluster",
    "workflow",
    "run",
    "stage",
    "start",
    "end",
    "idle_policy",
    "energy_joules",
    "active_joules",
    "idle_joules",
    "carbon_grams",
    "pue",
    "coverage_ratio",
    "modelled_ratio",
];

/// The report as CSV. `start` to `modelled_ratio` but for the energies and grams are the run's; grams that
/// are not known are an empty field. Names are [escaped](escape::csv) from being formulas.
///
/// # Errors
/// None into memory; csv's interface allows for them.
pub fn report_csv(report: &Report) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for stage in &report.stages {
        writer.write_record(row(report, stage))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row(report: &Report, stage: &StageReport) -> [String; HEADER.len()] {
    let active: f64 = stage.components.iter().map(|part| part.active_joules).sum();
    let idle: f64 = stage.components.iter().map(|part| part.idle_joules).sum();
    [
        escape::csv(&report.cluster),
        escape::csv(&report.workflow),
        escape::csv(&report.run),
        escape::csv(&stage.stage),
        report.start.to_string(),
        report.end.to_string(),
        report.idle_policy.as_str().to_owned(),
        format!("{:.6}", stage.energy_joules),
        format!("{active:.6}"),
        format!("{idle:.6}"),
        stage
            .carbon_grams
            .map(|grams| grams.to_string())
            .unwrap_or_default(),
        report.pue.to_string(),
        report.coverage_ratio.to_string(),
        report.energy_basis.modelled.to_string(),
    ]
}
