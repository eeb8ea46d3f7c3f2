//! A server's life: check, lock, open, bind, serve, drain.

mod accept;
mod budgets;
pub mod tls;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{self, Access, AccessError};
use crate::app::App;
use crate::config::{Fed, InvalidConfig, ServeConfig};
use crate::feed::Feed;
use crate::intensity::{normalized_zone, yearly_nearest};
use crate::ledger::IntensityQuery;
use crate::provider::Coverage;
use crate::router::router;
use crate::serve::accept::{Acceptor, accept};
use crate::serve::tls::{Tls, TlsError};
use crate::site::Site;
use crate::store::{Retention, SqliteStore, Store, StoreError, Tidied};

pub use budgets::show as show_budgets;

/// How long requests under way may take once the server was told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// In the data directory; held by the one server that serves it.
const LOCK_FILE: &str = "serve.lock";
/// How often the shown intensity and the store's size are read anew.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked for what is older than the retention.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Between two steps where there is much of it.
const KEEP_PAUSE: Duration = Duration::from_millis(50);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was told something impossible.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The ledger cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another server has this data directory.
    #[error(
        "the data directory {0} is already served by another hxmlops; stop it, or choose another with --data-dir"
    )]
    Served(String),
    /// The data directory cannot be kept from other servers.
    #[error("cannot lock {0}: {1}")]
    Lock(String, std::io::Error),
    /// Its certificate cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// Who may ask is not known.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Listen(SocketAddr, std::io::Error),
}

/// A server that listens, and does not answer yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    retention: Retention,
    fed: Vec<Fed>,
    lock: File,
}

impl Server {
    /// Opens the ledger and takes the port. Only then are the sites in the ledger made its own.
    ///
    /// # Errors
    /// [`StartError`]; an unknown intensity zone, or a provider that cannot be, is found before a ledger is made or a port bound.
    pub async fn bind(config: ServeConfig) -> Result<Self, StartError> {
        let sites = config.sites.sites();
        let fed = config.fed.clone();
        let is_told = |zone: &str| {
            let mut fed = fed.iter().filter(|fed| fed.zone == zone);
            fed.any(|fed| fed.provider.coverage(zone) == Coverage::Has)
        };
        if !SqliteStore::exists(&config.data_dir) {
            check_zones(sites, |zone| Ok(is_told(zone)))?;
        }
        let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        let lock = lock(&config.data_dir)?;
        // Opened for writing before anything is asked of it: a ledger of an older program is not read as it is.
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.data_dir)?);
        check_zones(sites, |zone| Ok(is_told(zone) || store.has_slots(zone)?))?;
        let access = guard(&config, &store, tls.as_deref())?;
        let in_use = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(in_use)?;
        let address = listener.local_addr().map_err(in_use)?;
        store.put_sites(sites, Timestamp::now())?;
        let app = App::new(store, access, &config);
        for fed in &fed {
            app.metrics.announce_provider(fed.provider.name());
        }
        Ok(Self {
            app: Arc::new(app),
            listener,
            address,
            tls,
            retention: config.retention,
            fed,
            lock,
        })
    }

    /// Where it listens; the real port where it was told 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `stop`, then ends what is under way within a grace period.
    ///
    /// # Errors
    /// Where a task of the server panics.
    pub async fn run(self, stop: CancellationToken) -> std::io::Result<()> {
        let _lock = self.lock;
        let tasks = TaskTracker::new();
        tasks.spawn(refresh(Arc::clone(&self.app), stop.clone()));
        tasks.spawn(budgets::watch(Arc::clone(&self.app), stop.clone()));
        tasks.spawn(keep_guard(
            Arc::clone(&self.app),
            self.tls.clone(),
            stop.clone(),
        ));
        tasks.spawn(keep(Arc::clone(&self.app), self.retention, stop.clone()));
        for Fed { provider, zone } in self.fed {
            tasks.spawn(Feed::new(provider, zone).run(Arc::clone(&self.app), stop.clone()));
        }
        tasks.close();
        let acceptor = Acceptor {
            metrics: Arc::clone(&self.app.metrics),
            router: router(self.app),
            tls: self.tls,
        };
        let mut serving = tokio::spawn(accept(self.listener, acceptor, stop.clone()));

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
        ended.map_err(std::io::Error::other)
    }
}

/// Who is let in; nobody is not an answer where other machines can ask.
fn guard(
    config: &ServeConfig,
    store: &Arc<dyn Store>,
    tls: Option<&Tls>,
) -> Result<Access, StartError> {
    let takes_certificates = tls.is_some_and(Tls::takes_certificates);
    let access = Access::open(
        Arc::clone(store),
        config.token_files.clone(),
        takes_certificates,
    )?;
    if config.must_be_guarded && !access.is_guarded() {
        return Err(InvalidConfig(format!(
            "{} can be reached from other machines and there is no token: make one with \
             `hxmlops token create --role admin --data-dir {}`, or give --token-file or --client-ca",
            config.listen,
            config.data_dir.display()
        ))
        .into());
    }
    Ok(access)
}

/// Follows tokens that other processes write, and certificates that are renewed.
async fn keep_guard(app: Arc<App>, tls: Option<Arc<Tls>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(access::REFRESH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (app, tls) = (Arc::clone(&app), tls.clone());
        let looked = tokio::task::spawn_blocking(move || look_at_guard(&app, tls.as_deref()));
        if let Err(error) = looked.await {
            tracing::error!(%error, "tokens and certificates could not be looked at");
        }
    }
}

fn look_at_guard(app: &App, tls: Option<&Tls>) {
    if let Err(error) = app.access.refresh() {
        tracing::warn!("tokens could not be read, those known stay good: {error}");
    }
    match tls.map(Tls::reload_if_changed) {
        Some(Ok(true)) => {
            tracing::info!("new connections are served with the certificate as it is now");
        }
        Some(Err(error)) => {
            tracing::warn!(
                "the certificate as it is now cannot be used, the one before stays: {error}"
            );
        }
        _ => {}
    }
}

async fn grace_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Takes the data directory, which is made where there is none; it is free again when the file is dropped.
fn lock(data_dir: &Path) -> Result<File, StartError> {
    let path = data_dir.join(LOCK_FILE);
    let failed = |error| StartError::Lock(path.display().to_string(), error);
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(StartError::Served(data_dir.display().to_string())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Every site's intensity zone is in the yearly table, or known otherwise: to a provider, or since there are slots of it in the ledger.
fn check_zones(
    sites: &[Site],
    is_known: impl Fn(&str) -> Result<bool, StoreError>,
) -> Result<(), StartError> {
    for zone in sites.iter().filter_map(|site| site.intensity_zone.as_ref()) {
        let normalized = normalized_zone(zone);
        if yearly_nearest(&normalized).is_none() && !is_known(&normalized)? {
            return Err(InvalidConfig(format!(
                "unknown intensity zone '{zone}': neither in the yearly table (`hxmlops intensity --list`) nor \
                 in the ledger; a country is two letters, such as FR, a cloud's region such as aws:eu-west-3"
            ))
            .into());
        }
    }
    Ok(())
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

/// Keeps the retention, in steps between which agents have their turn.
async fn keep(app: Arc<App>, retention: Retention, stop: CancellationToken) {
    let mut pause = KEEP_EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let store = Arc::clone(&app.store);
        let tidy = move || store.tidy(Timestamp::now(), &retention);
        pause = match tokio::task::spawn_blocking(tidy).await {
            Ok(Ok(Tidied { more: true, .. })) => KEEP_PAUSE,
            Ok(Ok(_)) => KEEP_EVERY,
            Ok(Err(error)) => {
                tracing::warn!(%error, "old batches and minutes could not be tidied up");
                KEEP_EVERY
            }
            Err(panic) => {
                tracing::error!(%panic, "tidying up old batches and minutes ended in a panic");
                KEEP_EVERY
            }
        };
    }
}

/// Shows what the ledger holds and lacks.
pub(crate) fn show_figures(app: &App) {
    match app.store.figures() {
        Ok(figures) => app.metrics.show_figures(figures),
        Err(error) => tracing::warn!(%error, "the ledger's figures could not be read"),
    }
}

/// Shows the intensity of each site as of `now`, and the store's size.
pub fn show_current(app: &App, now: Timestamp) {
    app.metrics
        .show_store_bytes(SqliteStore::size_bytes(&app.data_dir));
    show_figures(app);
    let mut current = Vec::new();
    for site in app.sites.sites() {
        let Some(zone) = &site.intensity_zone else {
            continue;
        };
        let question = IntensityQuery {
            intensity_zone: zone.clone(),
            signal: Some(site.signal),
            from: now,
            to: now + SignedDuration::from_secs(1),
            as_of: None,
        };
        match app.ledger.intensity(&question) {
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
