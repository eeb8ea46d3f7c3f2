//! For how much of a run's time its energy is known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::store::{Cell, NodeKey, RunSummary};

/// The nodes and zones that a run used, and when.
#[derive(Default)]
pub(super) struct Coverage {
    /// Start of the first and end of the last cell in which the run ran on a node.
    nodes: BTreeMap<NodeKey, (Timestamp, Timestamp)>,
    zones: BTreeSet<(NodeKey, String)>,
}

impl Coverage {
    /// Notes that the run has a share in this cell.
    pub(super) fn ran(&mut self, cell: &Cell) {
        let (start, end) = (cell.start, cell.end());
        let times = self.nodes.entry(cell.node.clone()).or_insert((start, end));
        *times = (times.0.min(start), times.1.max(end));
        self.zones.insert((cell.node.clone(), cell.zone.clone()));
    }

    /// Known time over elapsed time, 0 to 1. Elapsed: for each node and zone used, every minute from the
    /// first to the last in which the run ran on the node, as far as it lies in the run's time. A minute
    /// without a cell is elapsed and not known.
    pub(super) fn ratio(&self, summary: &RunSummary, cells: &[Cell]) -> f64 {
        let elapsed_ms: f64 = self
            .zones
            .iter()
            .map(|(node, _)| {
                let (first, last) = self.nodes[node];
                overlap_ms(summary, first, last)
            })
            .sum();
        if elapsed_ms <= 0.0 {
            return 0.0;
        }
        let known_ms: f64 = cells.iter().map(|cell| self.known_ms(summary, cell)).sum();
        (known_ms / elapsed_ms).min(1.0)
    }

    fn known_ms(&self, summary: &RunSummary, cell: &Cell) -> f64 {
        let used = self.zones.contains(&(cell.node.clone(), cell.zone.clone()));
        let within = self
            .nodes
            .get(&cell.node)
            .is_some_and(|(first, last)| (*first..*last).contains(&cell.start));
        if !(used && within) {
            return 0.0;
        }
        let overlap = overlap_ms(summary, cell.start, cell.end());
        f64::from(cell.covered_ms).min(overlap)
    }
}

fn overlap_ms(summary: &RunSummary, from: Timestamp, to: Timestamp) -> f64 {
    let (from, to) = (from.max(summary.start), to.min(summary.end));
    from.duration_until(to).as_secs_f64().max(0.0) * 1e3
}
