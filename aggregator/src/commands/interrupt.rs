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

/// Interrupted, and how things are then.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
struct Left(&'static str);

/// The same error; one that says how things are, where it is that somebody interrupted it and that was not said yet.
#[must_use]
pub fn left(error: anyhow::Error, how: &'static str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(EngineError::Interrupted) => Left(how).into(),
        _ => error,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_once_and_of_interruptions_alone() {
        let check = |error: anyhow::Error, expected: &str| {
            let said = left(left(error, "a"), "b");
            assert_eq!(format!("{said:#}"), expected);
        };
        let interrupted = || anyhow::Error::from(EngineError::Interrupted);
        check(interrupted(), "interrupted: a");
        check(interrupted().context("line 8"), "interrupted: a");
        check(anyhow::anyhow!("no"), "no");
        check(
            EngineError::TimedOut("x".to_owned(), 1).into(),
            "x did not end within 1 s",
        );
    }
}
