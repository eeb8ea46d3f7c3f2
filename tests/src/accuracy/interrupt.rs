//! SIGINT and SIGTERM end a bench at its next pause, with an error, so that everything is removed on the way out.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Looks out for the signals from now on.
///
/// # Errors
/// Where they cannot be caught.
pub fn watch() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        });
        INTERRUPTED.store(true, Relaxed);
    });
    Ok(())
}

/// Waits.
///
/// # Errors
/// Where a signal came.
pub fn pause(time: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// Fails where a signal came.
///
/// # Errors
/// Then.
pub fn check() -> anyhow::Result<()> {
    if INTERRUPTED.load(Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// A process; killed when it is dropped.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Waits for its end, which must be a good one.
    ///
    /// # Errors
    /// Where it is not, or a signal came.
    pub fn wait(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "a load ended with {status}");
                return Ok(());
            }
            pause(Duration::from_millis(2))?;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either it has ended, or it ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
