//! The comparison of two runs for a terminal.

use std::fmt::Write;

use super::escape::terminal;
use super::grid::{Align, table};
use super::report_table::stage_name;
use super::units::{energy, known_mass, mass, signed};
use crate::compare::{Comparison, Difference};

/// Two tables: how much, and why.
#[must_use]
pub fn comparison_table(comparison: &Comparison, width: Option<u16>) -> String {
    let mut text = comparison_tables(comparison, width);
    if !comparison.notes.is_empty() {
        text += "\n";
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "Note: {}", terminal(note));
    }
    text
}

/// The same without the notes.
pub(super) fn comparison_tables(comparison: &Comparison, width: Option<u16>) -> String {
    let [baseline, run] = [&comparison.baseline, &comparison.run].map(|name| terminal(name));
    let (amounts, reasons) = (amounts(comparison, width), reasons(comparison, width));
    format!(
        "Run {run} (NEW) against run {baseline} (OLD)\n\n{amounts}\nWhy the grams differ:\n{reasons}"
    )
}

fn amounts(comparison: &Comparison, width: Option<u16>) -> String {
    let columns = [
        ("STAGE", Align::Left),
        ("ENERGY OLD", Align::Right),
        ("NEW", Align::Right),
        ("CHANGE", Align::Right),
        ("CARBON OLD", Align::Right),
        ("NEW", Align::Right),
        ("CHANGE", Align::Right),
    ];
    let row = |name: &str, line: &Difference| {
        let difference = line.difference_grams;
        vec![
            name.to_owned(),
            energy(line.baseline_joules),
            energy(line.run_joules),
            signed(line.difference_joules, energy),
            known_mass(line.baseline_grams),
            known_mass(line.run_grams),
            difference.map_or_else(|| "unknown".to_owned(), |why| signed(why.total, mass)),
        ]
    };
    table(&columns, rows(comparison, row), width)
}

fn reasons(comparison: &Comparison, width: Option<u16>) -> String {
    let columns = [
        ("STAGE", Align::Left),
        ("ENERGY", Align::Right),
        ("INTENSITY", Align::Right),
        ("PUE", Align::Right),
        ("TOGETHER", Align::Right),
    ];
    let row = |name: &str, line: &Difference| {
        let parts = line.difference_grams.map_or_else(
            || vec!["unknown".to_owned(); 4],
            |why| {
                let parts = [why.energy, why.intensity, why.pue, why.total];
                parts.map(|part| signed(part, mass)).to_vec()
            },
        );
        [vec![name.to_owned()], parts].concat()
    };
    table(&columns, rows(comparison, row), width)
}

fn rows(comparison: &Comparison, row: fn(&str, &Difference) -> Vec<String>) -> Vec<Vec<String>> {
    let stages = comparison.stages.iter();
    let mut rows: Vec<_> = stages
        .map(|line| row(stage_name(&line.stage), line))
        .collect();
    rows.push(row("total", &comparison.total));
    rows
}
