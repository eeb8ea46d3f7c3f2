//! The list of runs for a terminal.

use super::grid::{Align, table};
use super::report_table::stage_name;
use super::units::{duration, energy, short_time};
use crate::store::RunSummary;

/// Longer ids are broken into lines.
const SHORT_ID: usize = 32;

/// One line per run.
#[must_use]
pub fn runs_table(runs: &[RunSummary], width: Option<u16>) -> String {
    let are_short = runs.iter().all(|run| run.key.run.len() <= SHORT_ID);
    let columns = [
        // To be copied whole.
        ("RUN", if are_short { Align::Whole } else { Align::Left }),
        ("WORKFLOW", Align::Left),
        ("CLUSTER", Align::Left),
        ("START", Align::Whole),
        ("LENGTH", Align::Right),
        ("ACTIVE", Align::Right),
        ("STAGES", Align::Left),
    ];
    let rows = runs.iter().map(|run| {
        let stages: Vec<&str> = run.stages.iter().map(|stage| stage_name(stage)).collect();
        vec![
            run.key.run.clone(),
            run.key.workflow.clone(),
            run.key.cluster.clone(),
            short_time(run.start),
            duration(run.start, run.end),
            energy(run.active_joules),
            stages.join(", "),
        ]
    });
    table(&columns, rows.collect(), width)
}
