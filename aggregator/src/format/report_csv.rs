//! A report as CSV: one row per stage, full precision.

use super::escape;
use crate::compare::{Difference, Reasons};
use crate::report::{IntensityUsed, Report, Sci, StageReport};

/// A column: its name, and what stands in it for a stage.
type Column = (&'static str, fn(&Report, &Row<'_>) -> String);

/// A stage of the run, or one that its baseline alone has.
struct Row<'a> {
    name: &'a str,
    stage: Option<&'a StageReport>,
    change: Option<&'a Difference>,
}

/// All columns. What begins with `run_` is the whole run's, and is never added up; so are the ratios and times.
const COLUMNS: [Column; 38] = [
    ("cluster", |report, _| escape::csv(&report.cluster)),
    ("workflow", |report, _| escape::csv(&report.workflow)),
    ("run", |report, _| escape::csv(&report.run)),
    ("stage", |_, row| escape::csv(row.name)),
    ("start", |report, _| report.start.to_string()),
    ("end", |report, _| report.end.to_string()),
    ("idle_policy", |report, _| {
        report.idle_policy.as_str().to_owned()
    }),
    ("energy_joules", |_, row| joules(row.energy())),
    ("active_joules", |_, row| joules(row.active())),
    ("idle_joules", |_, row| joules(row.idle())),
    ("carbon_grams", |_, row| told(row.grams())),
    ("pue", |report, _| report.pue.to_string()),
    ("coverage_ratio", |report, _| {
        report.coverage_ratio.to_string()
    }),
    ("modelled_ratio", |report, _| {
        report.energy_basis.modelled.to_string()
    }),
    ("intensity_zones", |report, _| {
        intensities(report, |used| used.intensity_zone.clone())
    }),
    ("intensity_kinds", |report, _| {
        intensities(report, |used| used.kind.to_string())
    }),
    ("intensity_providers", |report, _| {
        intensities(report, |used| used.provider.clone())
    }),
    ("intensity_g_per_kwh", |report, _| {
        intensities(report, |used| used.g_per_kwh.to_string())
    }),
    ("intensity_measured_ratio", |report, _| {
        report.intensity_basis.measured.to_string()
    }),
    ("intensity_estimated_ratio", |report, _| {
        report.intensity_basis.estimated.to_string()
    }),
    ("intensity_forecast_ratio", |report, _| {
        report.intensity_basis.forecast.to_string()
    }),
    ("intensity_annual_ratio", |report, _| {
        report.intensity_basis.annual.to_string()
    }),
    ("run_carbon_low_grams", |report, _| {
        told(report.carbon_range.map(|range| range.low_grams))
    }),
    ("run_carbon_high_grams", |report, _| {
        told(report.carbon_range.map(|range| range.high_grams))
    }),
    ("run_uncovered_joules", |report, _| {
        joules(report.uncovered_joules)
    }),
    ("run_other_kinds", |report, _| others(report)),
    ("run_embodied_grams", |report, _| {
        told(report.embodied_grams)
    }),
    ("run_scope2_location_grams", |report, _| {
        told(report.scope2.location_grams)
    }),
    ("run_scope2_market_grams", |report, _| {
        told(report.scope2.market_grams)
    }),
    ("run_sci_unit", |report, _| {
        sci(report, |sci| escape::csv(&sci.unit))
    }),
    ("run_sci_grams_per_unit", |report, _| {
        sci(report, |sci| told(sci.grams_per_unit))
    }),
    ("revision", |report, _| report.revision.number.to_string()),
    ("revision_recorded", |report, _| {
        report
            .revision
            .recorded
            .map(|time| time.to_string())
            .unwrap_or_default()
    }),
    ("baseline", |report, _| baseline(report)),
    ("difference_joules", |_, row| {
        row.change
            .map(|change| joules(change.difference_joules))
            .unwrap_or_default()
    }),
    ("difference_grams_by_energy", |_, row| {
        reason(row, |why| why.energy)
    }),
    ("difference_grams_by_intensity", |_, row| {
        reason(row, |why| why.intensity)
    }),
    ("difference_grams_by_pue", |_, row| {
        reason(row, |why| why.pue)
    }),
];

/// The report as CSV. What is not known, or was not asked for, is an empty field; where a field has several values they
/// are parted by semicolons. A stage that the baseline alone has is a row without energy. Names are
/// [escaped](escape::csv) from being formulas.
///
/// # Errors
/// None into memory; csv's interface allows for them.
pub fn report_csv(report: &Report) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.map(|(name, _)| name))?;
    for row in rows(report) {
        writer.write_record(COLUMNS.map(|(_, field)| field(report, &row)))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let changes = report.baseline.iter().flat_map(|baseline| &baseline.stages);
    let own = report.stages.iter().map(|stage| Row {
        name: &stage.stage,
        stage: Some(stage),
        change: changes.clone().find(|change| change.stage == stage.stage),
    });
    let is_own = |change: &&Difference| {
        report
            .stages
            .iter()
            .any(|stage| stage.stage == change.stage)
    };
    let gone = changes
        .clone()
        .filter(|change| !is_own(change))
        .map(|change| Row {
            name: &change.stage,
            stage: None,
            change: Some(change),
        });
    own.chain(gone).collect()
}

impl Row<'_> {
    fn energy(&self) -> f64 {
        self.stage.map_or(0.0, |stage| stage.energy_joules)
    }

    fn active(&self) -> f64 {
        let parts = self.stage.iter().flat_map(|stage| &stage.components);
        parts.map(|part| part.active_joules).sum()
    }

    fn idle(&self) -> f64 {
        let parts = self.stage.iter().flat_map(|stage| &stage.components);
        parts.map(|part| part.idle_joules).sum()
    }

    /// A stage that did not run has none, and that is known.
    fn grams(&self) -> Option<f64> {
        self.stage.map_or(Some(0.0), |stage| stage.carbon_grams)
    }
}

/// To the microjoule, without a sign before a 0.
fn joules(joules: f64) -> String {
    format!("{:.6}", joules + 0.0)
}

fn told(figure: Option<f64>) -> String {
    figure.map(|figure| figure.to_string()).unwrap_or_default()
}

fn intensities(report: &Report, field: fn(&IntensityUsed) -> String) -> String {
    let fields: Vec<String> = report.intensity.iter().map(field).collect();
    escape::csv(&fields.join(";"))
}

fn others(report: &Report) -> String {
    let others = report.subtotals.iter();
    let others: Vec<String> = others
        .map(|other| format!("{}={}", other.kind, other.carbon_grams))
        .collect();
    others.join(";")
}

fn sci(report: &Report, field: fn(&Sci) -> String) -> String {
    report.sci.as_ref().map(field).unwrap_or_default()
}

fn baseline(report: &Report) -> String {
    let baseline = report.baseline.as_ref();
    baseline
        .map(|baseline| escape::csv(&baseline.baseline))
        .unwrap_or_default()
}

fn reason(row: &Row<'_>, reason: fn(&Reasons) -> f64) -> String {
    let reasons = row.change.and_then(|change| change.difference_grams);
    told(reasons.as_ref().map(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::fixture::{rich, without_grams};

    #[test]
    fn a_row_has_what_the_report_has() {
        insta::assert_snapshot!("report_csv", report_csv(&rich()).unwrap());
        insta::assert_snapshot!(
            "report_csv_without_grams",
            report_csv(&without_grams()).unwrap()
        );
    }

    #[test]
    fn differences_add_up_also_where_a_stage_is_gone() {
        let mut report = rich();
        report.stages.remove(1);
        let text = report_csv(&report).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let at = |name| header.iter().position(|column| column == name).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let sum = |name| -> f64 {
            rows.iter()
                .map(|row| row[at(name)].parse::<f64>().unwrap())
                .sum()
        };
        let total = report.baseline.unwrap().total.difference_grams.unwrap();
        assert!((sum("difference_grams_by_energy") - total.energy).abs() < 1e-9);
        assert!((sum("difference_grams_by_intensity") - total.intensity).abs() < 1e-9);
        assert!((sum("difference_grams_by_pue") - total.pue).abs() < 1e-9);
        assert_eq!(
            (&rows[4][at("stage")], &rows[4][at("energy_joules")]),
            ("clean", "0.000000")
        );
    }

    #[test]
    fn names_are_no_formulas_and_stay_in_their_fields() {
        let mut report = rich();
        report.run = "=1+1".to_owned();
        report.stages[0].stage = "a,\"b\"\n@c".to_owned();
        report.intensity[0].intensity_zone = "@zone".to_owned();
        let text = report_csv(&report).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!(
            (&row[2], &row[3], &row[14]),
            ("'=1+1", "a,\"b\"\n@c", "'@zone;FR")
        );
    }
}
