//! A report for a terminal.

use std::fmt::Write;

use super::comparison::comparison_tables;
use super::escape::terminal;
use super::grid::{Align, table};
use super::report_facts::{figures, grounds, intensities};
use super::units::{duration, energy, known_mass, time};
use crate::report::{Report, StageReport};

/// The report as text, within `width` columns where that is given.
#[must_use]
pub fn report_table(report: &Report, width: Option<u16>) -> String {
    let sections = [
        heading(report),
        stages(report, width),
        facts(report, width),
        difference(report, width),
        balance(report, width),
        notes(report),
    ];
    sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn heading(report: &Report) -> String {
    let [run, workflow, cluster] =
        [&report.run, &report.workflow, &report.cluster].map(|name| terminal(name));
    let (start, length) = (time(report.start), duration(report.start, report.end));
    format!("Run {run} of workflow {workflow}, cluster {cluster}\n{start}, for {length}\n")
}

fn stages(report: &Report, width: Option<u16>) -> String {
    let columns = [
        ("STAGE", Align::Left),
        ("ENERGY", Align::Right),
        ("ACTIVE", Align::Right),
        ("IDLE", Align::Right),
        ("CARBON", Align::Right),
        ("BASIS", Align::Left),
    ];
    let mut rows: Vec<Vec<String>> = report.stages.iter().map(stage_row).collect();
    rows.push(vec![
        "total".to_owned(),
        energy(report.energy_joules),
        energy(report.energy_joules - report.idle_joules),
        energy(report.idle_joules),
        known_mass(report.carbon_grams),
        String::new(),
    ]);
    table(&columns, rows, width)
}

fn stage_row(stage: &StageReport) -> Vec<String> {
    let idle: f64 = stage.components.iter().map(|part| part.idle_joules).sum();
    let mut bases: Vec<&str> = stage
        .components
        .iter()
        .map(|part| part.basis.as_str())
        .collect();
    bases.sort_unstable();
    bases.dedup();
    vec![
        stage_name(&stage.stage).to_owned(),
        energy(stage.energy_joules),
        energy(stage.energy_joules - idle),
        energy(idle),
        known_mass(stage.carbon_grams),
        bases.join(", "),
    ]
}

/// A stage's name, or what stands for none.
#[must_use]
pub fn stage_name(name: &str) -> &str {
    if name.is_empty() { "(no stage)" } else { name }
}

fn facts(report: &Report, width: Option<u16>) -> String {
    let facts = [figures(report), grounds(report), intensities(report)].concat();
    let mut text = String::new();
    for (name, fact) in facts {
        let lines = wrapped(&terminal(&fact), width);
        for (line, name) in lines
            .iter()
            .zip([name].into_iter().chain(std::iter::repeat("")))
        {
            let _ = writeln!(text, "{name:<NAME_COLUMNS$}{line}");
        }
    }
    text
}

/// Columns of a fact's name, with what parts it from the fact.
const NAME_COLUMNS: usize = 11;

/// Lines of what fits beside a name.
fn wrapped(text: &str, width: Option<u16>) -> Vec<String> {
    let columns = width.map_or(usize::MAX, |width| {
        usize::from(width).saturating_sub(NAME_COLUMNS)
    });
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn balance(report: &Report, width: Option<u16>) -> String {
    if report.balance.is_empty() {
        return String::new();
    }
    let columns = [
        ("NODE", Align::Left),
        ("ZONE", Align::Left),
        ("MEASURED", Align::Right),
        ("THIS RUN", Align::Right),
        ("OTHERS", Align::Right),
        ("SYSTEM", Align::Right),
        ("IDLE", Align::Right),
    ];
    let joules = |microjoules: u64| energy(microjoules as f64 / 1e6);
    let rows = report.balance.iter().map(|row| {
        let parts = [
            row.measured_microjoules,
            row.run_microjoules,
            row.other_microjoules,
            row.system_microjoules,
            row.idle_microjoules,
        ];
        let names = [row.node.clone(), row.zone.clone()];
        names.into_iter().chain(parts.map(joules)).collect()
    });
    let table = table(&columns, rows.collect(), width);
    format!("Where the nodes' energy went in that time:\n{table}")
}

fn difference(report: &Report, width: Option<u16>) -> String {
    let baseline = report.baseline.as_ref();
    baseline.map_or_else(String::new, |baseline| comparison_tables(baseline, width))
}

fn notes(report: &Report) -> String {
    let mut text = String::new();
    for note in &report.notes {
        let _ = writeln!(text, "Note: {}", terminal(note));
    }
    if let Some(baseline) = &report.baseline {
        for note in &baseline.notes {
            let _ = writeln!(
                text,
                "Note on {}: {}",
                terminal(&baseline.baseline),
                terminal(note)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::fixture::{rich, without_grams};

    #[test]
    fn a_table_fits_a_terminal_of_80_columns() {
        let told = [rich(), without_grams()].map(|report| report_table(&report, Some(80)));
        for line in told.iter().flat_map(|text| text.lines()) {
            // Notes are sentences, which the terminal breaks.
            assert!(
                line.starts_with("Note") || line.chars().count() <= 80,
                "{line}"
            );
        }
        insta::assert_snapshot!("report_table", told[0]);
        insta::assert_snapshot!("report_table_without_grams", told[1]);
    }
}
