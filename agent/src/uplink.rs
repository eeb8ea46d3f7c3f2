//! Batches on their way: from the spool to the aggregator, in order, one at a time, each until it is acknowledged.
//!
//! Nothing but an answer ends the sending of a batch: an aggregator that is away for hours is asked again and again, at
//! times that it may choose itself (`Retry-After`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::access::{Renewed, Token};
use crate::causes::with_causes;
use crate::spool::{Outgoing, Spool};

mod access;

pub use self::access::Access;

const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);
/// What an aggregator asks for beyond this, it does not get.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Characters of a refusal that are logged.
const MAX_REASON: usize = 300;

/// What became of batches since start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Acknowledged.
    pub acknowledged: AtomicU64,
    /// Requests that failed and were tried again.
    pub retries: AtomicU64,
    /// Still waiting in memory when the agent had to end.
    pub undelivered: AtomicU64,
    /// Energy in those, in microjoules.
    pub undelivered_uj: AtomicU64,
}

/// The way to one aggregator.
pub struct Uplink {
    client: Mutex<Renewed>,
    url: Url,
    token: Option<Mutex<Token>>,
    spool: Arc<Spool>,
    failing: AtomicBool,
    /// Since start.
    pub counts: Counts,
}

enum Answer {
    Acknowledged,
    Refused(String),
    /// Why, and after what time it is to be asked again.
    Later(String, Option<Duration>),
}

impl Uplink {
    /// For the batches of `spool`. Connects when there is something to send.
    ///
    /// # Errors
    /// Where a file of certificates or of a token cannot be used.
    pub fn new(access: &Access, spool: Arc<Spool>) -> anyhow::Result<Self> {
        let mut url = access.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/v1/batches"));
        Ok(Self {
            client: Mutex::new(Renewed::open(access)?),
            url,
            token: Token::open(access)?.map(Mutex::new),
            spool,
            failing: AtomicBool::new(false),
            counts: Counts::default(),
        })
    }

    /// The batches to be sent.
    #[must_use]
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Delivers in order until `closing`, and then what is left until `deadline` has passed.
    pub async fn deliver(&self, closing: CancellationToken, deadline: CancellationToken) {
        loop {
            let is_closing = closing.is_cancelled();
            while let Some(batch) = self.with_spool(Spool::next).await {
                tokio::select! {
                    () = self.deliver_one(batch, &closing) => {}
                    () = deadline.cancelled() => return self.give_up(),
                }
            }
            if is_closing {
                return;
            }
            tokio::select! {
                () = self.spool.sealed.notified() => {}
                // Once more: the last batch may have come at this very moment.
                () = closing.cancelled() => {}
            }
        }
    }

    /// The disk may be slow, and other tasks are not to wait for it.
    async fn with_spool<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Spool) -> T + Send + 'static,
    ) -> T {
        let spool = self.spool.clone();
        let called = tokio::task::spawn_blocking(move || call(&spool)).await;
        // A panic there is one of this task, which does not go unnoticed.
        called.expect("the spool's calls return")
    }

    async fn deliver_one(&self, batch: Outgoing, closing: &CancellationToken) {
        let mut back_off = FIRST_BACK_OFF;
        let key = batch.key;
        loop {
            let pause = match self.post(batch.bytes.clone()).await {
                Answer::Acknowledged => {
                    self.counts.acknowledged.fetch_add(1, Relaxed);
                    if self.failing.swap(false, Relaxed) {
                        info!(url = %self.url, "batches are delivered again");
                    }
                    return self.with_spool(move |spool| spool.settle(key)).await;
                }
                Answer::Refused(why) => {
                    warn!(
                        "batch {key} was refused for good, its {} are lost: {why}",
                        batch.energy
                    );
                    return self.with_spool(move |spool| spool.refuse(key)).await;
                }
                Answer::Later(why, pause) => {
                    self.counts.retries.fetch_add(1, Relaxed);
                    if !self.failing.swap(true, Relaxed) {
                        warn!(
                            "cannot deliver to {}: {why}; batches wait and are sent again",
                            self.url
                        );
                    }
                    pause
                }
            };
            let was_closing = closing.is_cancelled();
            let asked_for = pause.unwrap_or_default().min(MAX_RETRY_AFTER);
            tokio::select! {
                () = tokio::time::sleep(asked_for + jittered(back_off)) => {}
                // There may be little time left, and a long back-off may be of a time long gone.
                () = closing.cancelled(), if pause.is_none() && !was_closing => back_off = FIRST_BACK_OFF / 2,
            }
            back_off = (back_off * 2).min(MAX_BACK_OFF);
        }
    }

    async fn post(&self, bytes: Vec<u8>) -> Answer {
        let client = lock(&self.client).client();
        let mut request = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, wire::CONTENT_TYPE)
            .header(CONTENT_ENCODING, wire::CONTENT_ENCODING);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, lock(token).header());
        }
        match request.body(bytes).send().await {
            Ok(response) if response.status() == StatusCode::OK => Answer::Acknowledged,
            Ok(response) if is_final(response.status()) => {
                let status = response.status();
                let body = response.text().await.unwrap_or_default();
                Answer::Refused(format!("{status}: {:.MAX_REASON$}", body.escape_debug()))
            }
            Ok(response) => Answer::Later(
                format!("it answers {}", response.status()),
                retry_after(response.headers()),
            ),
            Err(error) => Answer::Later(with_causes(&error), None),
        }
    }

    /// What waits stays in the spool, or is lost with the memory that it is in.
    fn give_up(&self) {
        let figures = self.spool.figures();
        if self.spool.is_kept {
            let batches = figures.batches;
            info!(
                "stopped with {batches} batches to be sent: they wait in the spool for the next start"
            );
            return;
        }
        let (mut batches, mut energy) = (0, figures.unsealed_energy);
        while let Some(batch) = self.spool.next() {
            self.spool.settle(batch.key);
            (batches, energy) = (batches + 1, energy + batch.energy);
        }
        self.counts.undelivered.fetch_add(batches, Relaxed);
        self.counts
            .undelivered_uj
            .fetch_add(energy.microjoules(), Relaxed);
        warn!("stopped with {batches} batches undelivered; {energy} did not reach the ledger");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The aggregator will never take it. Where it is the address or the rights that are wrong, somebody may yet
/// mend them.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// In seconds; the form with a date is not ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse();
    Some(Duration::from_secs(seconds.ok()?))
}

/// Between half of `back_off` and all of it, so that a thousand agents do not come back at one moment.
fn jittered(back_off: Duration) -> Duration {
    let mut random = [0_u8; 2];
    // Without random bytes the back-off is merely even.
    let _ = getrandom(&mut random, GetRandomFlags::NONBLOCK);
    back_off / 2 + back_off / 2 * u32::from(u16::from_le_bytes(random)) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregator_may_say_when() {
        let check = |value: &str, seconds: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(
                retry_after(&headers),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        };
        check("7", Some(7));
        check("0", Some(0));
        check("-1", None);
        check("soon", None);
        check("Wed, 21 Oct 2026 07:28:00 GMT", None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
