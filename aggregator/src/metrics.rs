//! What /metrics shows: the books of energy and grams, and the server's own figures.
//!
//! Owns names and help texts. A scrape reads what is here and asks no store; only new batches are booked.

mod book;
mod booking;
mod books;
mod budgets;
mod family;
mod process;
mod providers;
mod runs;
mod store_figures;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::budget::BudgetState;
use crate::intensity::Slot;
use crate::provider::ProviderError;
use crate::site::Site;
use crate::store::Figures;
use books::Books;
use budgets::Budgets;
use process::Process;
use providers::Providers;
use store_figures::StoreFigures;

pub use booking::{Booking, time_range};

/// What became of a batch; label values of `hxmlops_ingest_batches_total`.
pub const INGEST_RESULTS: [&str; 14] = [
    "new",
    "duplicate",
    "conflict",
    "lost",
    "early",
    "future",
    "busy",
    "corrupt",
    "version",
    "invalid",
    "too_large",
    "unsupported",
    "forbidden",
    "failed",
];

/// Why somebody was not let in; label values of `hxmlops_http_denied_total`.
pub const DENIALS: [&str; 5] = [
    "unauthenticated",
    "forbidden",
    "rate",
    "connections",
    "handshake",
];

/// Bounds of the request histogram, in seconds.
const REQUEST_BUCKETS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All metrics of one server.
pub struct Metrics {
    registry: Registry,
    books: Books,
    intensity: GaugeVec,
    ingest_batches: IntCounterVec,
    ingest_bytes: IntCounter,
    requests: HistogramVec,
    denied: IntCounterVec,
    store_bytes: IntGauge,
    store: StoreFigures,
    budgets: Budgets,
    too_large: IntCounterVec,
    providers: Providers,
}

impl Metrics {
    /// With the sites whose PUE is shown; a run's series end `run_ttl` after its last batch.
    #[must_use]
    pub fn new(run_ttl: Duration, sites: &[Site]) -> Self {
        let registry = Registry::new();
        let books = Books::new(run_ttl);
        add(&registry, books.clone());
        add(&registry, Process::new());
        add(&registry, pue_ratio(sites));
        add(&registry, server_info());
        Self {
            books,
            intensity: add(&registry, intensity_gauge()),
            ingest_batches: add(&registry, ingest_batches()),
            ingest_bytes: add(&registry, ingest_bytes()),
            requests: add(&registry, requests()),
            denied: add(&registry, denied()),
            store_bytes: add(&registry, store_bytes()),
            store: add(&registry, StoreFigures::new()),
            budgets: add(&registry, Budgets::new()),
            too_large: add(&registry, cut_answers()),
            providers: Providers::new(&registry),
            registry,
        }
    }

    /// Books a new batch.
    pub fn book(&self, booking: &Booking<'_>, now: Instant) {
        self.books.book(booking, now);
    }

    /// Counts a batch by what became of it, one of [`INGEST_RESULTS`]; returns how many of these there are
    /// now.
    pub fn count_batch(&self, result: &str, bytes: usize) -> u64 {
        let counter = self.ingest_batches.with_label_values(&[result]);
        counter.inc();
        self.ingest_bytes.inc_by(bytes as u64);
        counter.get()
    }

    /// Notes how long a request took.
    pub fn observe_request(&self, method: &str, route: &str, status: u16, seconds: f64) {
        self.requests
            .with_label_values(&[method, route, &status.to_string()])
            .observe(seconds);
    }

    /// Counts somebody who was not let in, for one of [`DENIALS`].
    pub fn count_denied(&self, reason: &str) {
        self.denied.with_label_values(&[reason]).inc();
    }

    /// Shows the intensity of each site's grid as it is now, in place of what was shown before.
    pub fn show_intensity(&self, current: &[(String, Slot)]) {
        self.intensity.reset();
        for (site, slot) in current {
            let basis = slot.basis.to_string();
            let labels = [
                site.as_str(),
                &slot.intensity_zone,
                &slot.source,
                slot.kind.as_str(),
                &basis,
            ];
            let labels = labels.map(books::shorten);
            self.intensity
                .with_label_values(&labels)
                .set(slot.g_per_kwh);
        }
    }

    /// Shows the ledger's size on disk.
    pub fn show_store_bytes(&self, bytes: u64) {
        self.store_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Shows what the ledger holds and lacks.
    pub fn show_figures(&self, figures: Figures) {
        self.store.show(figures);
    }

    /// Shows how budgets stand, in place of what was shown before.
    pub fn show_budgets(&self, states: Vec<BudgetState>) {
        self.budgets.show(states);
    }

    /// Counts an answer that was cut or refused because it would have been too large.
    pub fn count_cut_answer(&self, route: &'static str) {
        self.too_large.with_label_values(&[route]).inc();
    }

    /// A provider of intensity will be asked.
    pub fn announce_provider(&self, provider: &str) {
        self.providers.announce(provider);
    }

    /// Counts a question to a provider, and why it was not answered.
    pub fn count_provider_answer(&self, provider: &str, error: Option<&ProviderError>) {
        self.providers.count(provider, error);
    }

    /// Shows whether a provider told the intensity of a zone, and if so when.
    pub fn show_provider(&self, provider: &str, zone: &str, success: Option<Timestamp>) {
        let seconds = success.map(|at| at.as_millisecond() as f64 / 1000.0);
        self.providers.show(provider, zone, seconds);
    }

    /// Everything, in the text format; ends the series of runs whose time is over.
    ///
    /// # Errors
    /// Where the encoder refuses a family.
    pub fn render(&self, now: Instant) -> prometheus::Result<String> {
        self.books.expire(now);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Registers a collector, and returns it.
fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry
        .register(Box::new(collector.clone()))
        .expect("each family is registered once, under a valid name");
    collector
}

/// Unwraps what can only fail for a bad name or label in this file.
fn valid<T>(metric: prometheus::Result<T>) -> T {
    metric.expect("names and labels are valid")
}

fn intensity_gauge() -> GaugeVec {
    let help = "Carbon intensity of the grid that feeds the site, as known now, in gCO2e per kWh.";
    valid(GaugeVec::new(
        Opts::new("hxmlops_carbon_intensity_grams_per_kwh", help),
        &["site", "intensity_zone", "provider", "signal", "basis"],
    ))
}

fn pue_ratio(sites: &[Site]) -> GaugeVec {
    let help = "Power usage effectiveness of the site: facility energy over IT energy.";
    let gauge = valid(GaugeVec::new(
        Opts::new("hxmlops_site_pue_ratio", help),
        &["site"],
    ));
    for site in sites {
        gauge
            .with_label_values(&[books::shorten(&site.name)])
            .set(site.pue);
    }
    gauge
}

fn server_info() -> GaugeVec {
    let help = "Always 1; the label says which version runs.";
    let gauge = valid(GaugeVec::new(
        Opts::new("hxmlops_server_info", help),
        &["version"],
    ));
    gauge
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1.0);
    gauge
}

fn ingest_batches() -> IntCounterVec {
    let help = "Batches that agents sent, by what became of them.";
    let counter = valid(IntCounterVec::new(
        Opts::new("hxmlops_ingest_batches_total", help),
        &["result"],
    ));
    for result in INGEST_RESULTS {
        counter.with_label_values(&[result]);
    }
    counter
}

fn ingest_bytes() -> IntCounter {
    let help = "Bytes of the batches that were read whole, packed as they were sent.";
    valid(IntCounter::new("hxmlops_ingest_bytes_total", help))
}

fn requests() -> HistogramVec {
    let help = "Time from a request's head to its response's head.";
    let options = HistogramOpts::new("hxmlops_http_request_duration_seconds", help)
        .buckets(REQUEST_BUCKETS.to_vec());
    valid(HistogramVec::new(options, &["method", "route", "status"]))
}

fn denied() -> IntCounterVec {
    let help =
        "Requests that were not let in, and connections that did not come to one, by reason.";
    let counter = valid(IntCounterVec::new(
        Opts::new("hxmlops_http_denied_total", help),
        &["reason"],
    ));
    for reason in DENIALS {
        counter.with_label_values(&[reason]);
    }
    counter
}

/// Routes whose answers are bounded; label values of `hxmlops_api_cut_answers_total`.
const BOUNDED: [&str; 3] = ["runs", "report", "series"];

fn cut_answers() -> IntCounterVec {
    let help = "Answers that were cut, or refused, because they would have been too large.";
    let counter = valid(IntCounterVec::new(
        Opts::new("hxmlops_api_cut_answers_total", help),
        &["route"],
    ));
    for route in BOUNDED {
        counter.with_label_values(&[route]);
    }
    counter
}

fn store_bytes() -> IntGauge {
    let help = "Size of the ledger's files on disk.";
    valid(IntGauge::new("hxmlops_store_size_bytes", help))
}

#[cfg(test)]
mod tests;
