//! A server's life: check, open, bind, serve, drain.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::{InvalidConfig, ServeConfig};
use crate::intensity::{normalized_zone, yearly};
use crate::router::router;
use crate::site::Site;
use crate::store::{SqliteStore, Store, StoreError};

/// How long requests under way may take once the server was told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often the shown intensity and the store's size are read anew.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was told something impossible.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The ledger cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Listen(SocketAddr, std::io::Error),
}

/// A server that listens, and does not answer yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the ledger and takes the port.
    ///
    /// # Errors
    /// [`StartError`]; an unknown intensity zone is found before anything is made or bound.
    pub async fn bind(config: ServeConfig) -> Result<Self, StartError> {
        check_zones(config.sites.sites(), &config.data_dir)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.data_dir)?);
        store.put_sites(config.sites.sites())?;
        let in_use = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(in_use)?;
        let address = listener.local_addr().map_err(in_use)?;
        Ok(Self {
            app: Arc::new(App::new(store, &config)),
            listener,
            address,
        })
    }

    /// Where it listens; the real port where it was told 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends what is under way within a grace period.
    ///
    /// # Errors
    /// Where accepting connections fails for good.
    pub async fn run(self, stop: CancellationToken) -> std::io::Result<()> {
        let tasks = TaskTracker::new();
        tasks.spawn(refresh(Arc::clone(&self.app), stop.clone()));
        tasks.close();
        let serving = axum::serve(self.listener, router(self.app))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let mut serving = tokio::spawn(serving.into_future());

        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = grace_over(&stop) => {
                tracing::warn!("requests were still under way after {GRACE:?} and are cut off");
                serving.abort();
                return Ok(());
            }
        };
        stop.cancel();
        tasks.wait().await;
        ended.unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
    }
}

async fn grace_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Every site's intensity zone is in the yearly table, or there are slots of it in the ledger.
fn check_zones(sites: &[Site], data_dir: &Path) -> Result<(), StartError> {
    for zone in sites.iter().filter_map(|site| site.intensity_zone.as_ref()) {
        let known = yearly(&normalized_zone(zone)).is_some() || has_slots(zone, data_dir)?;
        if !known {
            return Err(InvalidConfig(format!(
                "unknown intensity zone '{zone}': neither in the yearly table (`hxmlops intensity --list`) nor \
                 in the ledger; a country is two letters, such as FR"
            ))
            .into());
        }
    }
    Ok(())
}

fn has_slots(zone: &str, data_dir: &Path) -> Result<bool, StoreError> {
    match SqliteStore::open_existing(data_dir) {
        Ok(store) => {
            let zone = normalized_zone(zone);
            let slots = store.slots(&zone, Timestamp::UNIX_EPOCH, Timestamp::MAX)?;
            Ok(!slots.is_empty())
        }
        Err(StoreError::Missing(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keeps the figures that come from the store fresh, so that a scrape need not ask it.
async fn refresh(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(REFRESH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let app = Arc::clone(&app);
        let refreshed = tokio::task::spawn_blocking(move || show_current(&app, Timestamp::now()));
        if let Err(error) = refreshed.await {
            tracing::error!(%error, "the figures of the store could not be read");
        }
    }
}

/// Shows the intensity of each site as of `now`, and the store's size.
pub fn show_current(app: &App, now: Timestamp) {
    app.metrics
        .show_store_bytes(SqliteStore::size_bytes(&app.data_dir));
    let mut current = Vec::new();
    for site in app.sites.sites() {
        let Some(zone) = &site.intensity_zone else {
            continue;
        };
        match app
            .ledger
            .intensity(zone, now, now + SignedDuration::from_secs(1))
        {
            Ok(slots) => {
                let slot = slots.into_iter().next();
                current.extend(slot.map(|slot| (site.name.clone(), slot)));
            }
            Err(error) => {
                tracing::warn!(%error, site = site.name, "no intensity to show for the site");
            }
        }
    }
    app.metrics.show_intensity(&current);
}
