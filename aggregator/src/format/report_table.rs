//! A report for a terminal.

use std::fmt::Write;

use super::escape::terminal;
use super::grid::{Align, table};
use super::units::{duration, energy, figure, known_mass, percent, time};
use crate::report::{IdlePolicy, Report, StageReport};

/// The report as text, within `width` columns where that is given.
#[must_use]
pub fn report_table(report: &Report, width: Option<u16>) -> String {
    let sections = [
        heading(report),
        stages(report, width),
        facts(report),
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

fn facts(report: &Report) -> String {
    let mut lines = Vec::new();
    let idle = match report.idle_policy {
        IdlePolicy::None => "not shared out",
        IdlePolicy::Usage => "shared out by CPU time",
        IdlePolicy::Request => "shared out by CPU requests",
        IdlePolicy::Equal => "shared out equally",
    };
    lines.push((
        "Energy",
        format!(
            "{} measured, {} modelled; known for {} of the time",
            percent(report.energy_basis.measured),
            percent(report.energy_basis.modelled),
            percent(report.coverage_ratio),
        ),
    ));
    lines.push(("Idle", idle.to_owned()));
    lines.push(("PUE", figure(report.pue)));
    for used in &report.intensity {
        lines.push((
            "Intensity",
            format!(
                "{} {} gCO2e/kWh, {}, {}",
                used.intensity_zone,
                figure(used.g_per_kwh),
                used.kind,
                used.provider
            ),
        ));
    }
    if report.uncovered_joules > 0.0 {
        lines.push((
            "No grams",
            format!("for {}", energy(report.uncovered_joules)),
        ));
    }
    lines.iter().fold(String::new(), |mut text, (name, fact)| {
        let _ = writeln!(text, "{name:<10} {}", terminal(fact));
        text
    })
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

fn notes(report: &Report) -> String {
    report.notes.iter().fold(String::new(), |mut text, note| {
        let _ = writeln!(text, "Note: {}", terminal(note));
        text
    })
}
