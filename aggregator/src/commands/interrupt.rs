//! Ctrl-C in commands that must not simply vanish: they end what they began, and say so.

use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::deploy::engine::EngineError;

/// As shells tell of a program that SIGINT ended.
const BY_SIGINT: i32 = 130;

/// A token that the first SIGINT or SIGTERM cancels. The second one ends the process at once.
#[must_use]
pub fn token() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        // Without them the process ends by its signal, as any other.
        let [Ok(mut interrupt), Ok(mut terminate)] = kinds.map(signal) else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancelled.is_cancelled() {
                process::exit(BY_SIGINT);
            }
            cancelled.cancel();
        }
    });
    token
}

/// Does something that may be left at any time.
///
/// # Errors
/// [`EngineError::Interrupted`] where it was.
pub async fn unless<T>(
    token: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, EngineError> {
    let done = token.run_until_cancelled(work).await;
    done.ok_or(EngineError::Interrupted)
}
