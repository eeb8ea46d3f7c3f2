//! One pass over a run's cells: each is shared out, and what the run bears of it is booked by stage, its
//! carbon by site, and the whole in the nodes' balance.

use jiff::Timestamp;

use super::balance::Balances;
use super::course::Course;
use super::coverage::Coverage;
use super::embodied::{Embodied, by_node_and_start};
use super::footprint::Footprint;
use super::notes::{Known, notes};
use super::pods::Pods;
use super::sites::Sites;
use super::stages::Stages;
use super::{EnergyBasis, EnergyRange, Lost, Report, Revision};
use crate::equivalents::equivalents;
use crate::idle_policy::{IdleSplit, share_idle};
use crate::intensity::Grids;
use crate::ledger::ReportQuery;
use crate::site::Site;
use crate::store::{Cell, RunLedger, RunSummary, Share, WorkloadLabels};
use wire::Energy;

/// The report on a run from all that the ledger knows of it.
///
/// `sites` and `grids` are as they were known at `query.as_of`; `grids` has each site's intensity zone, over the
/// cells' time. Energy for which there is no figure of the site's signal is told, and gets no grams.
#[must_use]
pub fn build(ledger: &RunLedger, query: &ReportQuery, sites: &[Site], grids: &Grids) -> Report {
    let mut account = Account::new(ledger, query, Sites::new(sites, grids));
    for cell in &ledger.cells {
        account.add(cell);
    }
    for cells in by_node_and_start(&ledger.cells) {
        account.add_embodied(cells);
    }
    account.finish()
}

/// Everything that one pass over the cells fills.
struct Account<'a> {
    ledger: &'a RunLedger,
    query: &'a ReportQuery,
    own: OwnWorkloads<'a>,
    sites: Sites<'a>,
    stages: Stages,
    pods: Pods,
    balances: Balances,
    coverage: Coverage,
    footprint: Footprint,
    embodied: Embodied,
    course: Course,
    books: Books,
}

impl<'a> Account<'a> {
    fn new(ledger: &'a RunLedger, query: &'a ReportQuery, sites: Sites<'a>) -> Self {
        let summary = &ledger.summary;
        let longest_ms = ledger.cells.iter().map(|cell| cell.length_ms).max();
        Self {
            ledger,
            query,
            own: OwnWorkloads::new(ledger),
            sites,
            stages: Stages::new(&summary.stages),
            pods: Pods::default(),
            balances: Balances::default(),
            coverage: Coverage::default(),
            footprint: Footprint::default(),
            embodied: Embodied::default(),
            course: Course::new(summary.start, summary.end, longest_ms.unwrap_or_default()),
            books: Books::default(),
        }
    }

    fn add(&mut self, cell: &Cell) {
        let ledger = self.ledger;
        let split = share_idle(cell, self.query.idle);
        let own = self.own.shares(cell, &split);
        if is_unknown(cell) {
            if !own.is_empty() {
                self.coverage.ran(cell);
            }
            return;
        }
        let energy: Energy = own.iter().map(|own| own.active + own.idle).sum();
        self.balances.add(cell, &split, energy);
        if own.is_empty() {
            return;
        }
        self.coverage.ran(cell);
        self.books.add(cell, &own);
        let (from, to) = window(&ledger.summary, cell);
        let carbon = self.footprint.add(&self.sites, cell, energy, from, to);
        self.course
            .add_carbon(cell.start, carbon.grams_at_pue_1, carbon.uncovered_joules);
        let rates = self.sites.rates(cell, from, to);
        for Own {
            workload,
            active,
            idle,
        } in own
        {
            let grams = rates.grams(active + idle);
            let labels = &ledger.workloads[workload];
            let factors = (grams, rates.pue());
            let stage = self.stages.add(cell, labels, active, idle, factors);
            self.pods.add(workload, labels, active, idle, grams);
            self.course.add(cell.start, stage, active, idle);
        }
    }

    fn add_embodied(&mut self, cells: &[Cell]) {
        let Some(first) = cells.first() else { return };
        let site = self.sites.settings(first);
        let policy = self.query.embodied;
        let is_own = |share: &Share| self.own.has(first, share);
        self.embodied.add(cells, site, policy, is_own);
    }

    fn finish(self) -> Report {
        let summary = &self.ledger.summary;
        let footprint = &self.footprint;
        let told = self.books.any && footprint.is_complete();
        let carbon_grams = told.then_some(footprint.grams());
        let embodied_grams = self.embodied.grams();
        let stages = self.stages.finish(told);
        let unit = self.query.unit.as_ref();
        let mut report = Report {
            run: summary.key.run.clone(),
            workflow: summary.key.workflow.clone(),
            cluster: summary.key.cluster.clone(),
            start: summary.start,
            end: summary.end,
            idle_policy: self.query.idle,
            energy_joules: self.books.energy.joules(),
            idle_joules: self.books.idle.joules(),
            carbon_grams,
            uncovered_joules: footprint.uncovered_joules(),
            subtotals: footprint.subtotals(),
            carbon_range: footprint.range(carbon_grams),
            scope2: footprint.scope2(carbon_grams),
            embodied_grams,
            embodied_by: self.query.embodied,
            sci: unit.map(|unit| unit.sci(carbon_grams, embodied_grams)),
            pue: footprint.pue(),
            sites: footprint.sites(),
            coverage_ratio: self.coverage.ratio(summary, &self.ledger.cells),
            energy_basis: self.books.basis(),
            energy_range: self.books.range(),
            idle_seeded: self.books.idle_seeded,
            intensity_basis: footprint.shares_by_basis(),
            intensity: footprint.intensity(),
            revision: revision(footprint, self.query.as_of),
            baseline: None,
            equivalents: if self.query.equivalents {
                carbon_grams.map(equivalents).unwrap_or_default()
            } else {
                Vec::new()
            },
            course: if self.query.course {
                self.course
                    .finish(stages.len(), footprint.signals().len() <= 1)
            } else {
                Vec::new()
            },
            stages,
            pods: self.pods.finish(told),
            balance: self.balances.finish(),
            lost: self.ledger.losses.iter().map(Lost::from).collect(),
            idle_by_hour: self.books.by_hour,
            notes: Vec::new(),
        };
        let known = Known {
            footprint,
            embodied: &self.embodied,
        };
        report.notes = notes(&report, &known);
        report
    }
}

fn revision(footprint: &Footprint, as_of: Option<Timestamp>) -> Revision {
    let times = footprint.revisions();
    Revision {
        number: times.len() as u64,
        recorded: times.last().copied(),
        as_of,
    }
}

/// Whether the zone could not be read in all of the cell's time: then 0 is not its energy.
fn is_unknown(cell: &Cell) -> bool {
    cell.covered_ms == 0 && cell.measured == Energy::ZERO
}

/// What the run bears of one share of a cell.
struct Own {
    /// Index into the ledger's workloads.
    workload: usize,
    active: Energy,
    idle: Energy,
}

/// Which shares are the run's.
struct OwnWorkloads<'a> {
    cluster: &'a str,
    /// By index of the workload: whether it is the run's, where it is in its cluster.
    are_own: Vec<bool>,
}

impl<'a> OwnWorkloads<'a> {
    fn new(ledger: &'a RunLedger) -> Self {
        let key = &ledger.summary.key;
        let is_own =
            |labels: &WorkloadLabels| labels.run == key.run && labels.workflow == key.workflow;
        Self {
            cluster: &key.cluster,
            are_own: ledger.workloads.iter().map(is_own).collect(),
        }
    }

    fn has(&self, cell: &Cell, share: &Share) -> bool {
        cell.node.cluster == self.cluster && self.are_own.get(share.workload) == Some(&true)
    }

    fn shares(&self, cell: &Cell, split: &IdleSplit) -> Vec<Own> {
        let shares = cell.shares.iter().zip(&split.shares);
        let own = shares.filter(|(share, _)| self.has(cell, share));
        own.map(|(share, &idle)| Own {
            workload: share.workload,
            active: share.active,
            idle,
        })
        .collect()
    }
}

/// The time that a cell's energy is spread over: its minute, as metrics and exports have it; of an hour into which minutes were
/// folded, the part in which the run ran.
fn window(summary: &RunSummary, cell: &Cell) -> (Timestamp, Timestamp) {
    if !cell.is_hour() {
        return (cell.start, cell.end());
    }
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
    fn add(&mut self, cell: &Cell, own: &[Own]) {
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
        EnergyBasis::of(self.energy, self.modelled)
    }
}
