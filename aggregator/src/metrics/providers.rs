//! Figures of the providers of intensity.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{add, books, valid};
use crate::provider::ProviderError;

/// What became of a question where it was answered; beside it stand [`ProviderError::NAMES`].
const OK: &str = "ok";
/// What a zone has of its own.
const OF_ZONE: [&str; 2] = ["provider", "intensity_zone"];

/// Families without a metric until somebody is asked.
pub(super) struct Providers {
    up: IntGaugeVec,
    requests: IntCounterVec,
    last_success: GaugeVec,
}

impl Providers {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            up: add(registry, up()),
            requests: add(registry, requests()),
            last_success: add(registry, last_success()),
        }
    }

    /// All results of a provider are there from the start.
    pub(super) fn announce(&self, provider: &str) {
        for result in [OK].into_iter().chain(ProviderError::NAMES) {
            self.requests.with_label_values(&[provider, result]);
        }
    }

    pub(super) fn count(&self, provider: &str, error: Option<&ProviderError>) {
        let result = error.map_or(OK, ProviderError::name);
        self.requests.with_label_values(&[provider, result]).inc();
    }

    pub(super) fn show(&self, provider: &str, zone: &str, success: Option<f64>) {
        let labels = [provider, books::shorten(zone)];
        let up = self.up.with_label_values(&labels);
        up.set(i64::from(success.is_some()));
        if let Some(at) = success {
            self.last_success.with_label_values(&labels).set(at);
        }
    }
}

fn up() -> IntGaugeVec {
    let help = "Whether the provider told the intensity of the zone when it was last asked.";
    valid(IntGaugeVec::new(
        Opts::new("hxmlops_intensity_provider_up", help),
        &OF_ZONE,
    ))
}

fn requests() -> IntCounterVec {
    let help = "Questions to providers of intensity, by what became of them.";
    valid(IntCounterVec::new(
        Opts::new("hxmlops_intensity_provider_requests_total", help),
        &["provider", "result"],
    ))
}

fn last_success() -> GaugeVec {
    let help = "When the provider last told the intensity of the zone.";
    valid(GaugeVec::new(
        Opts::new(
            "hxmlops_intensity_provider_last_success_timestamp_seconds",
            help,
        ),
        &OF_ZONE,
    ))
}
