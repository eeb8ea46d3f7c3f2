//! The handles of a running server, made once and shared by all requests.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::Access;
use crate::amounts::Amounts;
use crate::config::ServeConfig;
use crate::error::ApiError;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::site_map::SiteMap;
use crate::store::Store;

/// Batches that are unpacked at once, where there are so many CPUs; each may take a hundred megabytes and more
/// while it is.
const MAX_INGEST_PERMITS: usize = 4;
/// KiB of batches that are read, wait to be unpacked or are, packed as they came. More are told to come again.
const INGEST_KIB: usize = 64 << 10;
/// Questions that the store answers at once.
const READ_PERMITS: usize = 8;

/// Probes of readiness at once; they wait for each other only, never behind what is slow.
const PROBE_PERMITS: usize = 2;

/// Everything that a request may need.
pub struct App {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Questions to it.
    pub ledger: Ledger,
    /// Sites and their nodes.
    pub sites: SiteMap,
    /// What /metrics shows.
    pub metrics: Arc<Metrics>,
    /// Who may do what.
    pub access: Access,
    /// What runs used, for budgets.
    pub amounts: Amounts,
    /// Where the ledger is.
    pub data_dir: PathBuf,
    ingest_kib: Arc<Semaphore>,
    ingest_permits: Arc<Semaphore>,
    read_permits: Arc<Semaphore>,
    probe_permits: Arc<Semaphore>,
}

impl App {
    /// Over a store, as configured, for callers that `access` lets in.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, access: Access, config: &ServeConfig) -> Self {
        Self {
            access,
            ledger: Ledger::new(Arc::clone(&store)),
            store,
            sites: config.sites.clone(),
            metrics: Arc::new(Metrics::new(config.run_metrics_ttl, config.sites.sites())),
            amounts: Amounts::default(),
            data_dir: config.data_dir.clone(),
            ingest_kib: Arc::new(Semaphore::new(INGEST_KIB)),
            ingest_permits: Arc::new(Semaphore::new(ingest_permits())),
            read_permits: Arc::new(Semaphore::new(READ_PERMITS)),
            probe_permits: Arc::new(Semaphore::new(PROBE_PERMITS)),
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

    /// Asks whether the server is ready on a thread where it may block, however busy the server is.
    ///
    /// # Errors
    /// As `ask` does.
    pub async fn probe<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.probe_permits, ask).await
    }

    /// Room for a batch of so many bytes, until it is dropped; `None` where there is none now.
    #[must_use]
    pub fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        Arc::clone(&self.ingest_kib)
            .try_acquire_many_owned(kib)
            .ok()
    }

    /// Unpacks a batch on a thread where it may block.
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
        permits: &Arc<Semaphore>,
        task: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(permits).acquire_owned().await;
        let permit = permit.expect("permits are never closed");
        let app = Arc::clone(self);
        let blocking = move || {
            // Held until the work is done: a client that goes away ends the request, but not the work.
            let _permit = permit;
            task(&app)
        };
        let done = tokio::task::spawn_blocking(blocking).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended in a panic");
            Err(ApiError::new(
                axum::http::StatusCode::INTERNAL_SERVER_ERROR,
                "the request failed inside the server; its log says where",
            ))
        })
    }
}

fn ingest_permits() -> usize {
    let cpus = std::thread::available_parallelism();
    cpus.map_or(1, |cpus| cpus.get().min(MAX_INGEST_PERMITS))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use axum::extract::State;
    use tokio::sync::oneshot;

    use super::*;
    use crate::api::health;
    use crate::config::ServeArgs;
    use crate::store::SqliteStore;

    fn app() -> (tempfile::TempDir, Arc<App>) {
        let directory = tempfile::tempdir().unwrap();
        let args = ServeArgs {
            data_dir: Some(directory.path().to_owned()),
            ..ServeArgs::default()
        };
        let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
        let access =
            Access::open(store.clone(), crate::access::TokenFiles::default(), false).unwrap();
        let app = App::new(store, access, &ServeConfig::read(args).unwrap());
        (directory, Arc::new(app))
    }

    #[tokio::test]
    async fn work_keeps_its_permit_when_its_client_goes_away() {
        let (_directory, app) = app();
        let (started, has_started) = oneshot::channel();
        let (let_end, may_end) = mpsc::channel::<()>();
        let asked = Arc::clone(&app);
        let request = tokio::spawn(async move {
            let work = move |_: &App| {
                let _ = started.send(());
                let _ = may_end.recv();
                Ok(())
            };
            asked.read(work).await
        });
        has_started.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        assert_eq!(app.read_permits.available_permits(), READ_PERMITS - 1);

        drop(let_end);
        let all = app.read_permits.acquire_many(READ_PERMITS as u32).await;
        assert!(all.is_ok(), "the permit comes back when the work is done");
    }

    #[tokio::test]
    async fn a_probe_does_not_wait_for_readers() {
        let (_directory, app) = app();
        let readers = app.read_permits.acquire_many(READ_PERMITS as u32).await;
        // Without end where it waits for them; the bound only makes that a failure.
        let ready = health::ready(State(Arc::clone(&app)));
        let ready = tokio::time::timeout(Duration::from_secs(60), ready).await;
        assert_eq!(ready.unwrap().unwrap(), "ready\n");
        drop(readers);
    }
}
