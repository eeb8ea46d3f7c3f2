//! /metrics, /healthz and /readyz.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::Metrics;
use crate::sensor::boottime_ns;

/// Whether the agent does its work.
#[derive(Debug)]
pub struct Health {
    started_ns: u64,
    last_tick_ns: AtomicU64,
    /// Longer than this without a measured interval: something hangs.
    patience: Duration,
}

impl Health {
    /// For an agent that measures every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        let patience = interval * 3 + Duration::from_secs(10);
        Self {
            started_ns: boottime_ns(),
            last_tick_ns: AtomicU64::new(0),
            patience,
        }
    }

    /// An interval was measured.
    pub fn tick(&self) {
        self.last_tick_ns.store(boottime_ns(), Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.last_tick_ns.load(Relaxed) > 0
    }

    fn is_alive(&self) -> bool {
        let last = self.last_tick_ns.load(Relaxed).max(self.started_ns);
        boottime_ns().saturating_sub(last) <= self.patience.as_nanos() as u64
    }
}

#[derive(Clone)]
struct App {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// The agent's three paths.
pub fn router(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route(
            "/healthz",
            get(async |State(app): State<App>| {
                verdict(
                    app.health.is_alive(),
                    "no interval was measured for too long",
                )
            }),
        )
        .route(
            "/readyz",
            get(async |State(app): State<App>| {
                verdict(app.health.is_ready(), "no interval was measured yet")
            }),
        )
        .with_state(App { metrics, health })
}

async fn show_metrics(State(app): State<App>) -> Response {
    match app.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn verdict(good: bool, why_not: &str) -> Response {
    if good {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{why_not}\n")).into_response()
    }
}
