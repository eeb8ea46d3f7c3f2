//! A watch, event by event.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Response;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Longer than an event takes to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the API server says, as long as it does.
pub struct Watch {
    runtime: Arc<Runtime>,
    response: Response,
    received: Vec<u8>,
}

impl Watch {
    pub(super) fn new(runtime: Arc<Runtime>, response: Response) -> Self {
        Self {
            runtime,
            response,
            received: Vec::new(),
        }
    }

    /// How it was answered.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The next event, or the error that is there instead of events; `None` where no more will come.
    ///
    /// # Errors
    /// Where the connection is cut, and where nothing comes.
    pub fn event(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let chunk = async { timeout(PATIENCE, self.response.chunk()).await };
            let chunk = self.runtime.block_on(chunk);
            match chunk.context("nothing comes")?.context("it was cut")? {
                Some(chunk) => self.received.extend_from_slice(&chunk),
                None if self.received.is_empty() => return Ok(None),
                // Errors have no newline at their end.
                None => self.received.push(b'\n'),
            }
        }
    }

    /// The next event of this type (ADDED, MODIFIED, DELETED, BOOKMARK, ERROR).
    ///
    /// # Errors
    /// As [`Watch::event`], and where no more comes.
    pub fn until(&mut self, kind: &str) -> anyhow::Result<Value> {
        loop {
            let event = self.event()?;
            let event = event.with_context(|| format!("it ended without {kind}"))?;
            if event["type"] == kind {
                return Ok(event);
            }
        }
    }
}
