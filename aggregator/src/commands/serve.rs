//! `hxmlops serve`: starts the server and lets it run until it is told to stop.

use std::io::{IsTerminal, Write};
use std::process::{self, ExitCode};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::access::AccessError;
use crate::config::ServeConfig;
use crate::serve::{Server, StartError};

pub use crate::config::ServeArgs;

/// Exit code of a command that was told something impossible.
const USAGE: u8 = 2;
/// Added to a signal's number: the exit code of what it ended, as shells have it.
const SIGNALLED: i32 = 128;

/// Serves until SIGTERM or SIGINT; a second one ends it at once. A configuration that cannot be gives one line and exit code 2, before
/// any port is bound.
///
/// # Errors
/// Where the ledger cannot be opened or the address cannot be listened on.
pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    let config = match ServeConfig::read(args) {
        Ok(config) => config,
        Err(invalid) => return Ok(usage(&invalid)),
    };
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let server = match Server::bind(config).await {
        Ok(server) => server,
        Err(StartError::Config(invalid)) => return Ok(usage(&invalid)),
        Err(StartError::Tls(error)) => return Ok(usage(&format!("TLS: {error}"))),
        Err(StartError::Access(AccessError::File(error))) => return Ok(usage(&error)),
        Err(error) => return Err(error.into()),
    };
    let mut out = std::io::stdout();
    writeln!(
        out,
        "listening on {}://{}",
        server.scheme(),
        server.address()
    )
    .and_then(|()| out.flush())
    .context("cannot write to standard output")?;
    server.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn usage(invalid: &impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {invalid}");
    ExitCode::from(USAGE)
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only where a log was set up before, which then stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: no new requests, those under way are finished");
        stop.cancel();
        let kind = either(&mut terminate, &mut interrupt).await;
        tracing::warn!("stopped at once: requests that were under way are cut off");
        process::exit(SIGNALLED + kind.as_raw_value());
    });
    Ok(())
}

/// The one that comes first.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    }
}
