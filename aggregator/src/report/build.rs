//! One pass over a run's cells: each is shared out, and what the run bears of it is booked by stage, its
//! carbon by site, and the whole in the nodes' balance.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::balance::Balances;
use super::coverage::Coverage;
use super::footprint::{Footprint, Sites};
use super::notes::notes;
use super::stages::Stages;
use super::{EnergyBasis, EnergyRange, IdlePolicy, Lost, Report};
use crate::idle_policy::{IdleSplit, share_idle};
use crate::intensity::Slot;
use crate::site::Site;
use crate::store::{Cell, RunLedger, RunSummary, Share, WorkloadLabels};
use wire::Energy;

/// Timelines by intensity zone: by start, of one signal, without overlaps.
pub(super) type Timelines = BTreeMap<String, Vec<Slot>>;

/// The report on a run from all that the ledger knows of it.
///
/// `timelines` holds the intensity of each site's zone over the run's time, as
/// [`timeline`](crate::intensity::timeline) makes it. Energy for which there is none is told, and gets no
/// grams.
#[must_use]
pub fn build(
    ledger: &RunLedger,
    idle_policy: IdlePolicy,
    sites: &[Site],
    timelines: &BTreeMap<String, Vec<Slot>>,
) -> Report {
    let summary = &ledger.summary;
    let sites = Sites::new(sites, timelines);
    let mut stages = Stages::new(&summary.stages);
    let mut balances = Balances::default();
    let mut coverage = Coverage::default();
    let mut footprint = Footprint::default();
    let mut books = Books::default();

    for cell in &ledger.cells {
        let split = share_idle(cell, idle_policy);
        let own = own_shares(ledger, cell, &split);
        if is_unknown(cell) {
            if !own.is_empty() {
                coverage.ran(cell);
            }
            continue;
        }
        let energy: Energy = own.iter().map(|own| own.active + own.idle).sum();
        balances.add(cell, &split, energy);
        if own.is_empty() {
            continue;
        }
        coverage.ran(cell);
        books.add(cell, &own);
        let (from, to) = window(summary, cell);
        footprint.add(&sites, cell, energy, from, to);
        for own in own {
            let grams = sites.carbon(cell, own.active + own.idle, from, to).grams;
            stages.add(cell, own.labels, own.active, own.idle, grams);
        }
    }

    let coverage_ratio = coverage.ratio(summary, &ledger.cells);
    let told = books.any && footprint.is_complete();
    let mut report = Report {
        run: summary.key.run.clone(),
        workflow: summary.key.workflow.clone(),
        cluster: summary.key.cluster.clone(),
        start: summary.start,
        end: summary.end,
        idle_policy,
        energy_joules: books.energy.joules(),
        idle_joules: books.idle.joules(),
        carbon_grams: told.then_some(footprint.grams()),
        uncovered_joules: footprint.uncovered_joules(),
        embodied_grams: None,
        pue: footprint.pue(),
        coverage_ratio,
        energy_basis: books.basis(),
        energy_range: books.range(),
        idle_seeded: books.idle_seeded,
        intensity_basis: footprint.shares_by_basis(),
        intensity: footprint.intensity(),
        stages: stages.finish(told),
        balance: balances.finish(),
        lost: ledger.losses.iter().map(Lost::from).collect(),
        idle_by_hour: books.by_hour,
        notes: Vec::new(),
    };
    report.notes = notes(&report, &footprint);
    report
}

/// Whether the zone could not be read in all of the cell's time: then 0 is not its energy.
fn is_unknown(cell: &Cell) -> bool {
    cell.covered_ms == 0 && cell.measured == Energy::ZERO
}

/// What the run bears of one share of a cell.
struct Own<'a> {
    labels: &'a WorkloadLabels,
    active: Energy,
    idle: Energy,
}

fn own_shares<'a>(ledger: &'a RunLedger, cell: &Cell, split: &IdleSplit) -> Vec<Own<'a>> {
    let key = &ledger.summary.key;
    if cell.node.cluster != key.cluster {
        return Vec::new();
    }
    let own = |(share, &idle): (&Share, &Energy)| {
        let labels = ledger.workloads.get(share.workload)?;
        let is_own = labels.run == key.run && labels.workflow == key.workflow;
        is_own.then_some(Own {
            labels,
            active: share.active,
            idle,
        })
    };
    cell.shares
        .iter()
        .zip(&split.shares)
        .filter_map(own)
        .collect()
}

/// The part of a cell's time in which the run ran; all of it where the run's times do not touch it.
fn window(summary: &RunSummary, cell: &Cell) -> (Timestamp, Timestamp) {
    let (from, to) = (cell.start.max(summary.start), cell.end().min(summary.end));
    if from < to {
        (from, to)
    } else {
        (cell.start, cell.end())
    }
}

/// Sums over the whole run.
#[derive(Default)]
struct Books {
    /// There is energy that is known, be it 0.
    any: bool,
    energy: Energy,
    idle: Energy,
    modelled: Energy,
    /// Of what is modelled and has a range.
    ranged: Energy,
    low_joules: f64,
    high_joules: f64,
    idle_seeded: bool,
    /// Some of it is from an hour into which minutes were folded.
    by_hour: bool,
}

impl Books {
    fn add(&mut self, cell: &Cell, own: &[Own<'_>]) {
        let idle: Energy = own.iter().map(|own| own.idle).sum();
        let energy = idle + own.iter().map(|own| own.active).sum();
        self.any = true;
        self.energy += energy;
        self.idle += idle;
        if cell.modelled {
            self.modelled += energy;
        }
        if let Some((low, high)) = cell.range_percent {
            self.ranged += energy;
            self.low_joules += energy.joules() * f64::from(low) / 100.0;
            self.high_joules += energy.joules() * f64::from(high) / 100.0;
        }
        self.idle_seeded |= cell.idle_seeded;
        self.by_hour |= cell.is_hour();
    }

    fn range(&self) -> Option<EnergyRange> {
        let measured = self.energy.checked_sub(self.modelled)?.joules();
        let is_whole = self.modelled > Energy::ZERO && self.ranged == self.modelled;
        is_whole.then_some(EnergyRange {
            low_joules: measured + self.low_joules,
            high_joules: measured + self.high_joules,
        })
    }

    fn basis(&self) -> EnergyBasis {
        if self.energy == Energy::ZERO {
            return EnergyBasis::default();
        }
        let modelled = self.modelled.joules() / self.energy.joules();
        EnergyBasis {
            measured: 1.0 - modelled,
            modelled,
        }
    }
}
