//! The handles of a running server, made once and shared by all requests.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::config::ServeConfig;
use crate::error::ApiError;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::site_map::SiteMap;
use crate::store::Store;

/// Batches that are unpacked at once; each may take a hundred megabytes and more while it is.
const INGEST_PERMITS: usize = 4;
/// Questions that the store answers at once.
const READ_PERMITS: usize = 8;

/// Everything that a request may need.
pub struct App {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Questions to it.
    pub ledger: Ledger,
    /// Sites and their nodes.
    pub sites: SiteMap,
    /// What /metrics shows.
    pub metrics: Metrics,
    /// Where the ledger is.
    pub data_dir: PathBuf,
    ingest_permits: Semaphore,
    read_permits: Semaphore,
}

impl App {
    /// Over a store, as configured.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, config: &ServeConfig) -> Self {
        Self {
            ledger: Ledger::new(Arc::clone(&store)),
            store,
            sites: config.sites.clone(),
            metrics: Metrics::new(config.run_metrics_ttl, config.sites.sites()),
            data_dir: config.data_dir.clone(),
            ingest_permits: Semaphore::new(INGEST_PERMITS),
            read_permits: Semaphore::new(READ_PERMITS),
        }
    }

    /// Answers a question on a thread where it may block.
    ///
    /// # Errors
    /// As `ask` does.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.read_permits, ask).await
    }

    /// Takes in a batch on a thread where it may block.
    ///
    /// # Errors
    /// As `task` does.
    pub async fn ingest<T: Send + 'static>(
        self: &Arc<Self>,
        task: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.ingest_permits, task).await
    }

    async fn block<T: Send + 'static>(
        self: &Arc<Self>,
        permits: &Semaphore,
        task: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _permit = permits.acquire().await.expect("permits are never closed");
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || task(&app)).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended in a panic");
            Err(ApiError::new(
                axum::http::StatusCode::INTERNAL_SERVER_ERROR,
                "the request failed inside the server; its log says where",
            ))
        })
    }
}
