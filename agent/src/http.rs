//! /metrics, /healthz and /readyz.

mod connections;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::Metrics;
use crate::sensor::boottime_ns;
use crate::spool::Spool;

pub use self::connections::{Bounded, MAX_CONNECTIONS};

/// Whether the agent does its work.
pub struct Health {
    started_ns: u64,
    last_tick_ns: AtomicU64,
    uplink_has_died: AtomicBool,
    follower_has_died: AtomicBool,
    spool: Option<Arc<Spool>>,
    /// Longer than this without a measured interval: something hangs.
    patience: Duration,
}

impl Health {
    /// For an agent that measures every `interval`, into this spool.
    #[must_use]
    pub fn new(interval: Duration, spool: Option<Arc<Spool>>) -> Self {
        let patience = interval * 3 + Duration::from_secs(10);
        Self {
            started_ns: boottime_ns(),
            last_tick_ns: AtomicU64::new(0),
            uplink_has_died: AtomicBool::new(false),
            follower_has_died: AtomicBool::new(false),
            spool,
            patience,
        }
    }

    /// An interval was measured.
    pub fn tick(&self) {
        self.last_tick_ns.store(boottime_ns(), Relaxed);
    }

    /// Nothing will be delivered any more.
    pub fn uplink_has_died(&self) {
        self.uplink_has_died.store(true, Relaxed);
    }

    /// No pod will get a name any more.
    pub fn follower_has_died(&self) {
        self.follower_has_died.store(true, Relaxed);
    }

    /// Does its work in full; else, why not.
    fn is_ready(&self) -> Result<(), &'static str> {
        if self.last_tick_ns.load(Relaxed) == 0 {
            return Err("no interval was measured yet");
        }
        match &self.spool {
            Some(spool) if !spool.is_writable() => {
                Err("the spool cannot be written: intervals wait in memory")
            }
            _ => Ok(()),
        }
    }

    /// A new start would not make it better; else, why it would.
    fn is_alive(&self) -> Result<(), &'static str> {
        let last = self.last_tick_ns.load(Relaxed).max(self.started_ns);
        if boottime_ns().saturating_sub(last) > self.patience.as_nanos() as u64 {
            return Err("no interval was measured for too long");
        }
        if self.uplink_has_died.load(Relaxed) {
            return Err("what delivers batches has died");
        }
        if self.follower_has_died.load(Relaxed) {
            return Err("what asks Kubernetes for pods has died");
        }
        Ok(())
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
            get(async |State(app): State<App>| verdict(app.health.is_alive())),
        )
        .route(
            "/readyz",
            get(async |State(app): State<App>| verdict(app.health.is_ready())),
        )
        .with_state(App { metrics, health })
}

async fn show_metrics(State(app): State<App>) -> Response {
    match app.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn verdict(verdict: Result<(), &'static str>) -> Response {
    match verdict {
        Ok(()) => "ok\n".into_response(),
        Err(why_not) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why_not}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_whose_uplink_has_died_is_not_alive() {
        let health = Health::new(Duration::from_secs(5), None);
        assert_eq!(health.is_ready(), Err("no interval was measured yet"));
        health.tick();
        assert_eq!((health.is_ready(), health.is_alive()), (Ok(()), Ok(())));
        health.uplink_has_died();
        assert_eq!(health.is_alive(), Err("what delivers batches has died"));
    }
}
