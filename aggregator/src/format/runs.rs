//! The list of runs for a terminal.

use super::grid::{Align, table};
use super::report_table::stage_name;
use super::units::{duration, energy, short_time};
use crate::store::RunSummary;

/// Longer ids are broken into lines.
const SHORT_ID: usize = 24;

/// One line per run. The cluster is a column only where there are several.
#[must_use]
pub fn runs_table(runs: &[RunSummary], width: Option<u16>) -> String {
    let are_short = runs.iter().all(|run| run.key.run.len() <= SHORT_ID);
    let one_cluster = runs
        .windows(2)
        .all(|pair| pair[0].key.cluster == pair[1].key.cluster);
    let mut columns = vec![
        // To be copied whole.
        ("RUN", if are_short { Align::Whole } else { Align::Left }),
        ("WORKFLOW", Align::Left),
        ("CLUSTER", Align::Left),
        ("START", Align::Whole),
        ("LENGTH", Align::Right),
        ("ACTIVE", Align::Right),
        ("STAGES", Align::Left),
    ];
    let mut rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    if one_cluster {
        columns.remove(CLUSTER_COLUMN);
        for row in &mut rows {
            row.remove(CLUSTER_COLUMN);
        }
    }
    table(&columns, rows, width)
}

const CLUSTER_COLUMN: usize = 2;

fn row(run: &RunSummary) -> Vec<String> {
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
}
