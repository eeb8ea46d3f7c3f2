//! The books of energy and grams, as a collector: exact integers inside, joules and grams outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::book::{Book, Labels};
use super::booking::Booking;
use super::family::Family;
use super::runs::Runs;

/// Series of one family.
const MAX_SERIES: usize = 20_000;
/// Bytes of one label's value.
const MAX_LABEL_BYTES: usize = 128;

const STAGE_ENERGY: Family = Family {
    name: "hxmlops_stage_energy_joules_total",
    help: "Active energy of a stage over all its runs, idle energy apart, since the server started; what was named later than it was told is in reports only.",
    kind: MetricType::COUNTER,
    labels: &["cluster", "workflow", "stage", "zone", "basis"],
};
const RUN_ENERGY: Family = Family {
    name: "hxmlops_run_energy_joules_total",
    help: "Active energy of a run by stage, idle energy apart, since the server started.",
    kind: MetricType::COUNTER,
    labels: &["cluster", "workflow", "run", "stage", "zone", "basis"],
};
const STAGE_CARBON: Family = Family {
    name: "hxmlops_stage_carbon_grams_total",
    help: "Carbon (gCO2e) of a stage's active energy, PUE included, booked at the intensity known at ingest; \
           reports restate it.",
    kind: MetricType::COUNTER,
    labels: &["cluster", "workflow", "stage", "site", "signal"],
};
const RUN_CARBON: Family = Family {
    name: "hxmlops_run_carbon_grams_total",
    help: "Carbon (gCO2e) of a run's active energy, PUE included, booked at the intensity known at ingest; \
           reports restate it.",
    kind: MetricType::COUNTER,
    labels: &["cluster", "workflow", "run", "stage", "site", "signal"],
};
const UNCOVERED: Family = Family {
    name: "hxmlops_carbon_uncovered_energy_joules_total",
    help: "Active energy of stages that no grams were booked for, because no intensity was known.",
    kind: MetricType::COUNTER,
    labels: &["site"],
};
const CUT: Family = Family {
    name: "hxmlops_metrics_cut_bookings_total",
    help: "Bookings that went to the series 'other' because their family was full.",
    kind: MetricType::COUNTER,
    labels: &["family"],
};
const FAMILIES: [Family; 6] = [
    STAGE_ENERGY,
    RUN_ENERGY,
    STAGE_CARBON,
    RUN_CARBON,
    UNCOVERED,
    CUT,
];

/// How many labels name a run, at the head of every run family's labels.
const RUN_LABELS: usize = 3;

/// The books; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pages: Arc<Mutex<Pages>>,
    descriptions: Vec<Desc>,
    run_ttl: Duration,
}

#[derive(Debug)]
struct Pages {
    stage_energy_uj: Book<u64>,
    run_energy_uj: Book<u64>,
    stage_grams: Book<f64>,
    run_grams: Book<f64>,
    uncovered_uj: Book<u64>,
    /// Runs whose series are shown.
    runs: Runs,
    /// Runs whose series have ended, with what they came to still in the books.
    ended: Runs,
}

impl Books {
    pub(super) fn new(run_ttl: Duration) -> Self {
        Self::with_room(run_ttl, MAX_SERIES)
    }

    pub(super) fn with_room(run_ttl: Duration, max_series: usize) -> Self {
        let pages = Pages {
            stage_energy_uj: Book::new(max_series),
            run_energy_uj: Book::new(max_series),
            stage_grams: Book::new(max_series),
            run_grams: Book::new(max_series),
            uncovered_uj: Book::new(max_series),
            runs: Runs::default(),
            ended: Runs::default(),
        };
        Self {
            pages: Arc::new(Mutex::new(pages)),
            descriptions: FAMILIES.iter().map(Family::describe).collect(),
            run_ttl,
        }
    }

    pub(super) fn book(&self, booking: &Booking<'_>, now: Instant) {
        let mut pages = self.pages();
        pages.book_energy(booking, now);
        pages.book_grams(booking, now);
    }

    /// Ends the series of runs whose last batch is older than the time they stay.
    pub(super) fn expire(&self, now: Instant) {
        self.pages().expire(now, self.run_ttl);
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn book_energy(&mut self, booking: &Booking<'_>, now: Instant) {
        for (&(key, zone, basis), &energy_uj) in &booking.energy_uj {
            let [cluster, workflow, run] = [booking.cluster, key.workflow, key.run];
            let stage = labels(&[cluster, workflow, key.stage, zone, basis]);
            self.stage_energy_uj.add(stage, energy_uj);
            if !run.is_empty() {
                let series = labels(&[cluster, workflow, run, key.stage, zone, basis]);
                let run = series[..RUN_LABELS].to_vec();
                if self.run_energy_uj.add(series, energy_uj) {
                    self.show(&run, now);
                }
            }
        }
    }

    fn book_grams(&mut self, booking: &Booking<'_>, now: Instant) {
        for (key, &grams) in &booking.grams {
            let [cluster, workflow, run] = [booking.cluster, key.workflow, key.run];
            let (site, signal) = (booking.site, booking.signal);
            let stage = labels(&[cluster, workflow, key.stage, site, signal]);
            self.stage_grams.add(stage, grams);
            if !run.is_empty() {
                let series = labels(&[cluster, workflow, run, key.stage, site, signal]);
                let run = series[..RUN_LABELS].to_vec();
                if self.run_grams.add(series, grams) {
                    self.show(&run, now);
                }
            }
        }
        if booking.uncovered_uj > 0 {
            let site = labels(&[booking.site]);
            self.uncovered_uj.add(site, booking.uncovered_uj);
        }
    }

    fn show(&mut self, run: &Labels, now: Instant) {
        self.runs.set(run, now);
        self.ended.remove(run);
    }

    fn expire(&mut self, now: Instant, run_ttl: Duration) {
        let is_over = |last| now.saturating_duration_since(last) > run_ttl;
        while let Some((last, run)) = self.runs.take_oldest(is_over) {
            self.run_energy_uj.end(&run);
            self.run_grams.end(&run);
            self.ended.set(&run, last);
        }
        self.forget();
    }

    /// Bounds what is kept of ended runs; one that is forgotten and comes back starts at 0, as after a
    /// restart of the server.
    fn forget(&mut self) {
        while self.run_energy_uj.keeps_too_many() || self.run_grams.keeps_too_many() {
            let Some((_, run)) = self.ended.take_oldest(|_| true) else {
                return;
            };
            self.run_energy_uj.forget(&run);
            self.run_grams.forget(&run);
        }
    }

    fn families(&self) -> Vec<MetricFamily> {
        let joules = |uj: u64| uj as f64 / 1e6;
        let grams = |grams: f64| grams;
        let cut = [
            (STAGE_ENERGY, self.stage_energy_uj.cut()),
            (RUN_ENERGY, self.run_energy_uj.cut()),
            (STAGE_CARBON, self.stage_grams.cut()),
            (RUN_CARBON, self.run_grams.cut()),
        ];
        vec![
            STAGE_ENERGY.with(self.stage_energy_uj.rows(joules)),
            RUN_ENERGY.with(self.run_energy_uj.rows(joules)),
            STAGE_CARBON.with(self.stage_grams.rows(grams)),
            RUN_CARBON.with(self.run_grams.rows(grams)),
            UNCOVERED.with(self.uncovered_uj.rows(joules)),
            CUT.with(cut.map(|(family, cut)| (vec![family.name], cut as f64))),
        ]
    }
}

impl Collector for Books {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.pages().families()
    }
}

fn labels(values: &[&str]) -> Labels {
    values
        .iter()
        .map(|value| shorten(value).to_owned())
        .collect()
}

/// At most [`MAX_LABEL_BYTES`] of a label's value, whole characters.
pub(super) fn shorten(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_LABEL_BYTES)]
}
