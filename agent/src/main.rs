//! hxmlops-agent.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::clock::{Clock, Moment};
use agent::config::{Config, SiteSource};
use agent::http::{Bounded, Health, router};
use agent::kube::node::{Label, SiteName};
use agent::kube::{self, Follower, Kube};
use agent::metrics::Metrics;
use agent::node::Node;
use agent::run::Loop;
use agent::spool::{Lock, Measured, Origin, Spool};
use agent::state::IdleFile;
use agent::uplink::Uplink;
use agent::{batch, check, memory, run};
use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Time to deliver what is left once told to stop.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<ExitCode> {
    memory::prepare();
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    // What the client says of each failure, we say once.
    let default = || EnvFilter::new("info,kube_runtime=off,kube_client=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if config.check {
        let (text, good) = check::check(&config);
        print!("{text}");
        return Ok(ExitCode::from(if good { 0 } else { 3 }));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(config));
    // Who hangs in a call is not waited for.
    runtime.shutdown_background();
    served?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = stop_signal()?;
    let _lock = config.spool_dir.as_deref().map(Lock::take).transpose()?;
    let (kube, follower) = begin_kube(&config).await?;
    // Names are there before the first interval is. It ends with the process: it holds nothing.
    let follower = follower.map(tokio::spawn);
    let looked_for = config.clone();
    let mut node = tokio::select! {
        found = tokio::task::spawn_blocking(move || Node::find(&looked_for)) => found??,
        () = shutdown.cancelled() => return Ok(()),
    };
    if let Some(kube) = kube {
        info!("names of pods from {}", kube.way.name());
        node.identities.name_pods(kube);
    }
    let kept = IdleFile::open(&config, &mut node.zones)?;
    let listener = match config.listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?,
        ),
        None => None,
    };
    for state in &node.zones {
        info!(zone = %state.zone, "power from {}", state.zone.source);
    }
    info!("CPU time from {}", node.counting.name());

    let site = begin_site(&config).await?;
    let (clock, start, uplink) = begin(&config, &mut node, &site)?;
    let spool = uplink.as_ref().map(|uplink| uplink.spool().clone());
    let metrics = Arc::new(Metrics::new(&config, uplink.clone())?);
    let health = Arc::new(Health::new(config.interval, spool.clone()));
    let tasks = TaskTracker::new();
    let (closing, deadline) = (CancellationToken::new(), CancellationToken::new());
    if let Some(listener) = listener {
        info!("listening on http://{}", listener.local_addr()?);
        let app = router(metrics.clone(), health.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move {
            axum::serve(Bounded::new(listener), app)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        });
    }
    if let Some(follower) = follower {
        let health = health.clone();
        tokio::spawn(async move {
            if let Err(died) = follower.await {
                error!("what asks Kubernetes for pods has died, please report this: {died}");
                health.follower_has_died();
            }
        });
    }
    if let Some(uplink) = uplink {
        let (closing, deadline) = (closing.clone(), deadline.clone());
        let delivery = tokio::spawn(async move { uplink.deliver(closing, deadline).await });
        let health = health.clone();
        tasks.spawn(async move {
            if let Err(died) = delivery.await {
                error!("what delivers batches has died, please report this: {died}");
                health.uplink_has_died();
            }
        });
    }

    let state = Loop {
        node,
        period: config.interval,
        clock,
        start,
        metrics,
        health,
        spool,
        site,
        kept,
    };
    let ended = run::run(state, shutdown.clone()).await;
    shutdown.cancel();
    tasks.close();
    closing.cancel();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        deadline.cancel();
        // Connections that stay open past their grace end with the process.
        let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
    }
    ended
}

/// Where pods have names: what is known of them, and what follows them.
async fn begin_kube(config: &Config) -> anyhow::Result<(Option<Arc<Kube>>, Option<Follower>)> {
    let Some(access) = &config.kube else {
        return Ok((None, None));
    };
    let kube = Kube::new(access.way(), config.stage_rules.clone());
    let follower = kube::follower(access, config.node_name.clone(), kube.clone()).await?;
    Ok((Some(kube), Some(follower)))
}

/// The node's site, and what follows it where a label says it. It ends with the process: it holds nothing.
async fn begin_site(config: &Config) -> anyhow::Result<Arc<SiteName>> {
    let site = match &config.site {
        SiteSource::Name(name) => SiteName::new(name),
        SiteSource::Aggregator | SiteSource::Label(..) => SiteName::default(),
    };
    let site = Arc::new(site);
    if let SiteSource::Label(key, kubeconfig) = &config.site {
        let label = Label::new(kubeconfig.as_deref(), &config.node_name, key).await?;
        let site = site.clone();
        tokio::spawn(async move { label.follow(&site).await });
    }
    Ok(site)
}

/// Where there is an aggregator: opens the spool, goes on from where an earlier agent of this boot has left it, and
/// books what was used since then.
fn begin(
    config: &Config,
    node: &mut Node,
    site: &SiteName,
) -> anyhow::Result<(Clock, Moment, Option<Arc<Uplink>>)> {
    let mut clock = Clock::default();
    let now = clock.now();
    let Some(access) = &config.aggregator else {
        return Ok((clock, now, None));
    };
    let origin = Origin {
        cluster: config.cluster.clone(),
        node: config.node_name.clone(),
        boot_id: boot_id(config)?,
    };
    let standing = batch::standing(&node.zones, now);
    let directory = config.spool_dir.as_deref();
    let (spool, earlier) = Spool::open(directory, config.spool_max_bytes, origin, &standing)?;
    let mut start = now;
    if let Some(earlier) = earlier {
        clock = Clock::after(earlier.boottime_ns, earlier.unix_ms);
        start = clock.now();
        if let Some(gap) = batch::gap(&mut node.zones, &earlier, start) {
            let site = site.get();
            spool.add(Measured { site, ..gap });
        }
    }
    let uplink = Uplink::new(access, Arc::new(spool))?;
    Ok((clock, start, Some(Arc::new(uplink))))
}

fn boot_id(config: &Config) -> anyhow::Result<String> {
    let path = config.proc_root.join("sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Cancelled by the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
    });
    Ok(token)
}
