//! hxmlops-agent.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::batch::Batcher;
use agent::config::Config;
use agent::http::{Health, router};
use agent::metrics::Metrics;
use agent::node::Node;
use agent::state::IdleFile;
use agent::uplink::Uplink;
use agent::{check, run};
use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
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
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
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
    runtime.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = stop_signal()?;
    let mut node = Node::find(&config)?;
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

    let uplink = config
        .aggregator_url
        .as_ref()
        .map(Uplink::new)
        .transpose()?
        .map(Arc::new);
    let metrics = Arc::new(Metrics::new(&config, uplink.clone())?);
    let health = Arc::new(Health::new(config.interval));
    let tasks = TaskTracker::new();
    let (closing, deadline) = (CancellationToken::new(), CancellationToken::new());
    if let Some(listener) = listener {
        info!("listening on http://{}", listener.local_addr()?);
        let app = router(metrics.clone(), health.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        });
    }
    let outgoing = uplink.map(|uplink| -> anyhow::Result<_> {
        let (uplink_task, closing, deadline) = (uplink.clone(), closing.clone(), deadline.clone());
        tasks.spawn(async move { uplink_task.deliver(closing, deadline).await });
        Ok((
            Batcher::new(&config.cluster, &config.node_name, &boot_id(&config)?)?,
            uplink,
        ))
    });

    let ended = run::run(
        node,
        config.interval,
        metrics,
        health,
        outgoing.transpose()?,
        kept,
        shutdown.clone(),
    )
    .await;
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
