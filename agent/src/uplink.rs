//! Batches on their way: kept in order until the aggregator has acknowledged each.
//!
//! They wait in memory, up to a bound. What has to be dropped beyond it, and what the aggregator refuses for
//! good, is counted in joules.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::Energy;

use crate::batch::Packed;
use crate::causes::with_causes;

/// Bytes of batches that may wait; hours of a busy node.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// A request that has no answer by then is tried again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// What became of batches since start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Acknowledged.
    pub acknowledged: AtomicU64,
    /// Refused for good.
    pub refused: AtomicU64,
    /// Dropped because too many were waiting.
    pub dropped: AtomicU64,
    /// Requests that failed and were tried again.
    pub retries: AtomicU64,
    /// Energy in refused batches, in microjoules.
    pub refused_uj: AtomicU64,
    /// Energy in dropped batches, in microjoules.
    pub dropped_uj: AtomicU64,
    /// Still waiting when the agent had to end.
    pub undelivered: AtomicU64,
    /// Energy in those, in microjoules.
    pub undelivered_uj: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Packed>,
    bytes: usize,
}

/// The way to one aggregator.
#[derive(Debug)]
pub struct Uplink {
    client: Client,
    url: Url,
    queue: Mutex<Queue>,
    wake: Notify,
    /// Since start.
    pub counts: Counts,
}

enum Answer {
    Acknowledged,
    Refused(String),
    Later(String),
}

impl Uplink {
    /// To the aggregator at `base`. Connects when there is something to send.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(base: &Url) -> anyhow::Result<Self> {
        let client = Client::builder()
            .http2_prior_knowledge()
            // Whoever redirects a batch has not taken it.
            .redirect(Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        let mut url = base.clone();
        url.set_path(&format!("{}/v1/batches", base.path().trim_end_matches('/')));
        Ok(Self {
            client,
            url,
            queue: Mutex::default(),
            wake: Notify::new(),
            counts: Counts::default(),
        })
    }

    /// Queues a batch; drops the oldest where too much is waiting.
    pub fn send(&self, packed: Packed) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.bytes += packed.bytes.len();
        queue.batches.push_back(packed);
        while queue.bytes > MAX_WAITING_BYTES
            && let Some(oldest) = queue.batches.pop_front()
        {
            queue.bytes -= oldest.bytes.len();
            lost(&self.counts.dropped, &self.counts.dropped_uj, oldest.energy);
        }
        self.wake.notify_one();
    }

    /// (batches, bytes) that wait, without the one under way.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        (queue.batches.len(), queue.bytes)
    }

    /// Delivers in order until `closing`, and then what is left until `deadline` has passed.
    pub async fn deliver(&self, closing: CancellationToken, deadline: CancellationToken) {
        loop {
            while let Some(packed) = self.next() {
                let energy = packed.energy;
                tokio::select! {
                    () = self.deliver_one(packed) => {}
                    () = deadline.cancelled() => return self.give_up(energy),
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                // The last batch may have come at this very moment.
                () = closing.cancelled() => if self.waiting().0 == 0 { return },
            }
        }
    }

    fn next(&self) -> Option<Packed> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = queue.batches.pop_front()?;
        queue.bytes -= packed.bytes.len();
        Some(packed)
    }

    async fn deliver_one(&self, packed: Packed) {
        let mut back_off = FIRST_BACK_OFF;
        let mut failing = false;
        loop {
            match self.post(packed.bytes.clone()).await {
                Answer::Acknowledged => {
                    self.counts.acknowledged.fetch_add(1, Relaxed);
                    if failing {
                        info!(url = %self.url, "batches are delivered again");
                    }
                    return;
                }
                Answer::Refused(why) => {
                    warn!(
                        "a batch was refused for good, its {} are lost: {why}",
                        packed.energy
                    );
                    return lost(&self.counts.refused, &self.counts.refused_uj, packed.energy);
                }
                Answer::Later(why) => {
                    self.counts.retries.fetch_add(1, Relaxed);
                    if !failing {
                        warn!(
                            "cannot deliver to {}: {why}; batches wait and are sent again",
                            self.url
                        );
                    }
                    failing = true;
                }
            }
            tokio::time::sleep(jittered(back_off)).await;
            back_off = (back_off * 2).min(MAX_BACK_OFF);
        }
    }

    async fn post(&self, bytes: Vec<u8>) -> Answer {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, wire::CONTENT_TYPE)
            .header(CONTENT_ENCODING, wire::CONTENT_ENCODING)
            .body(bytes);
        match request.send().await {
            Ok(response) if response.status() == StatusCode::OK => Answer::Acknowledged,
            Ok(response) if is_final(response.status()) => {
                let status = response.status();
                let body = response.text().await.unwrap_or_default();
                Answer::Refused(format!("{status}: {:.300}", body.escape_debug()))
            }
            Ok(response) => Answer::Later(format!("it answers {}", response.status())),
            Err(error) => Answer::Later(with_causes(&error)),
        }
    }

    /// Counts what waits, and the energy of the batch that was under way.
    fn give_up(&self, under_way: Energy) {
        let counts = &self.counts;
        lost(&counts.undelivered, &counts.undelivered_uj, under_way);
        while let Some(packed) = self.next() {
            lost(&counts.undelivered, &counts.undelivered_uj, packed.energy);
        }
        let batches = counts.undelivered.load(Relaxed);
        let energy = Energy::from_microjoules(counts.undelivered_uj.load(Relaxed));
        warn!("stopped with {batches} batches undelivered; {energy} did not reach the ledger");
    }
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

fn lost(batches: &AtomicU64, microjoules: &AtomicU64, energy: Energy) {
    batches.fetch_add(1, Relaxed);
    microjoules.fetch_add(energy.microjoules(), Relaxed);
}

/// Between half of `back_off` and all of it, so that a thousand agents do not come back at one moment.
fn jittered(back_off: Duration) -> Duration {
    let mut random = [0_u8; 2];
    // Without random bytes the back-off is merely even.
    let _ = getrandom(&mut random, GetRandomFlags::NONBLOCK);
    back_off / 2 + back_off / 2 * u32::from(u16::from_le_bytes(random)) / u32::from(u16::MAX)
}
