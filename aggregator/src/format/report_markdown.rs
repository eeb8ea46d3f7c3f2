//! A report as Markdown, for a comment on a pull request.

use std::fmt::Write;

use super::escape::{markdown, markdown_sentence};
use super::report_table::stage_name;
use super::units::{duration, energy, figure, known_mass, percent, time};
use crate::report::Report;

/// Stages that are listed; a comment holds 65,536 characters.
const MAX_STAGES: usize = 50;

/// The report as Markdown.
#[must_use]
pub fn report_markdown(report: &Report) -> String {
    let mut text = format!(
        "### Energy and carbon of run {}\n\n**{}**, **{}CO2e**\n\n",
        markdown(&report.run),
        energy(report.energy_joules),
        carbon(report.carbon_grams),
    );
    text += "| Stage | Energy | Idle part | Carbon |\n| :--- | ---: | ---: | ---: |\n";
    for stage in report.stages.iter().take(MAX_STAGES) {
        let idle: f64 = stage.components.iter().map(|part| part.idle_joules).sum();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            markdown(stage_name(&stage.stage)),
            energy(stage.energy_joules),
            energy(idle),
            known_mass(stage.carbon_grams),
        );
    }
    let more = report.stages.len().saturating_sub(MAX_STAGES);
    if more > 0 {
        let _ = writeln!(text, "| and {more} more | | | |");
    }
    let _ = writeln!(
        text,
        "| **Total** | **{}** | **{}** | **{}** |\n",
        energy(report.energy_joules),
        energy(report.idle_joules),
        known_mass(report.carbon_grams),
    );
    text += &facts(report);
    for note in report.notes.iter().take(MAX_STAGES) {
        let _ = writeln!(text, "- {}", markdown_sentence(note));
    }
    text
}

fn carbon(grams: Option<f64>) -> String {
    grams.map_or_else(
        || "unknown ".to_owned(),
        |grams| known_mass(Some(grams)) + " ",
    )
}

fn facts(report: &Report) -> String {
    let mut text = format!(
        "Workflow {}, cluster {}; {}, for {}.\n\n",
        markdown(&report.workflow),
        markdown(&report.cluster),
        time(report.start),
        duration(report.start, report.end),
    );
    let _ = writeln!(
        text,
        "- Energy: {} measured, {} modelled; known for {} of the time\n- PUE: {}",
        percent(report.energy_basis.measured),
        percent(report.energy_basis.modelled),
        percent(report.coverage_ratio),
        figure(report.pue),
    );
    for used in report.intensity.iter().take(MAX_STAGES) {
        let _ = writeln!(
            text,
            "- Intensity: {} {} gCO2e/kWh, {}, {}",
            markdown(&used.intensity_zone),
            figure(used.g_per_kwh),
            used.kind,
            markdown(&used.provider),
        );
    }
    text
}
