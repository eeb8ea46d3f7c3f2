//! `POST /v1/batches`: bytes from an agent into the ledger, and into the books.
//!
//! What needs no store is done here, by as many at once as there are CPUs; the store then makes those that wait
//! durable together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::{Json, RequestExt};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use utoipa::ToSchema;
use wire::DecodeError;
use wire::limits::MAX_BATCH_BYTES;
use wire::v1::Batch;

use crate::access::Caller;
use crate::app::App;
use crate::error::ApiError;
use crate::intensity::Slot;
use crate::ledger::IntensityQuery;
use crate::metrics::{Booking, time_range};
use crate::rollup::{Rollup, last_end_ms};
use crate::serve::show_figures;
use crate::site::Site;
use crate::store::{NodeKey, Prepared, ReceivedBatch, StoreError, Written};

/// How long a sender may take over one batch.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How far a batch may end after the server's clock: ten minutes, what unsynchronised clocks are apart at most.
const MAX_AHEAD_MS: i64 = 600_000;
/// How far ahead it may be to be worth waiting for: a day.
const MAX_WAIT_MS: i64 = 86_400_000;
/// Seconds after which it may come again.
const RETRY_EARLY_S: u64 = 60;

/// What became of a batch that was taken in.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Acknowledgement {
    /// Whether it is new or was there already.
    pub written: WrittenAs,
}

/// See [`Written`].
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WrittenAs {
    /// It is new, and durable now.
    New,
    /// It was there already, byte for byte.
    Duplicate,
}

/// A batch that was not taken in, and how it is counted.
struct Refusal {
    result: &'static str,
    error: ApiError,
}

impl Refusal {
    fn new(result: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            result,
            error: ApiError::new(status, message),
        }
    }
}

/// Takes in one batch: durable when the answer is 200.
#[utoipa::path(
    post, path = "/v1/batches", tag = "agents",
    request_body(content = Vec<u8>, content_type = "application/x-protobuf",
        description = "One batch, protobuf in one zstd frame (Content-Encoding: zstd)"),
    responses(
        (status = 200, body = Acknowledgement),
        (status = 400, body = crate::error::ErrorBody, description = "No whole, valid batch of this version; never send it again"),
        (status = 403, body = crate::error::ErrorBody, description = "The token is for another node"),
        (status = 408, body = crate::error::ErrorBody, description = "The batch did not come in time"),
        (status = 409, body = crate::error::ErrorBody, description = "Its key is taken by other content, or was declared lost"),
        (status = 413, body = crate::error::ErrorBody, description = "Too large"),
        (status = 415, body = crate::error::ErrorBody, description = "Not protobuf in zstd"),
        (status = 422, body = crate::error::ErrorBody, description = "Of a time that is more than a day away"),
        (status = 425, body = crate::error::ErrorBody, description = "Of a time that has not come yet: one of the two clocks is wrong"),
        (status = 429, body = crate::error::ErrorBody, description = "Too many requests; see Retry-After"),
        (status = 503, body = crate::error::ErrorBody, description = "Send it again later"),
    ),
)]
pub(crate) async fn post_batch(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Acknowledgement>, ApiError> {
    let caller = request.extensions().get::<Caller>().cloned();
    let caller = caller.expect("each request to a guarded route has its caller");
    let (bytes, room) = match read_body(&app, request).await {
        Ok(read) => read,
        Err(refusal) => return Err(refuse(&app, refusal, 0)),
    };
    // A task of its own: a client that goes away ends the request, but a batch that is written is booked.
    let taking = tokio::spawn(async move {
        let length = bytes.len();
        let taken = take(&app, caller, bytes, room).await;
        let written = taken.map_err(|refusal| refuse(&app, refusal, length))?;
        let result = match written {
            WrittenAs::New => "new",
            WrittenAs::Duplicate => "duplicate",
        };
        app.metrics.count_batch(result, length);
        Ok(Json(Acknowledgement { written }))
    });
    taking.await.unwrap_or_else(|error| {
        tracing::error!(%error, "taking in a batch ended in a panic");
        Err(ApiError::unavailable(
            "the batch could not be taken in; send it again",
        ))
    })
}

/// Counts a refusal. The first of each kind is told in the log, so that a sender that fails for ever does
/// not fill it.
fn refuse(app: &App, refusal: Refusal, bytes: usize) -> ApiError {
    let Refusal { result, error } = refusal;
    let message = &error.message;
    if app.metrics.count_batch(result, bytes) == 1 {
        tracing::warn!(
            result,
            "a batch was refused: {message}; more like it are only counted"
        );
    } else {
        tracing::debug!(result, "a batch was refused: {message}");
    }
    error
}

/// The body, and the room that it takes.
async fn read_body(app: &App, request: Request) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
    let headers = request.headers();
    require(headers, &header::CONTENT_TYPE, wire::CONTENT_TYPE)?;
    require(headers, &header::CONTENT_ENCODING, wire::CONTENT_ENCODING)?;
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BATCH_BYTES) {
        return Err(too_large());
    }
    let room = app.room_for(announced.unwrap_or(MAX_BATCH_BYTES));
    let room = room.ok_or_else(|| refuse_unwritten(StoreError::Busy))?;
    // The router stops the body of this route at MAX_BATCH_BYTES, whatever was announced.
    match tokio::time::timeout(READ_TIMEOUT, request.extract::<Bytes, _>()).await {
        Ok(Ok(bytes)) => Ok((bytes, room)),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(too_large())
        }
        Ok(Err(rejection)) => {
            let message = format!("the batch broke off: {}", rejection.body_text());
            Err(Refusal::new("corrupt", StatusCode::BAD_REQUEST, message))
        }
        Err(_) => {
            let message = format!("the batch did not come within {READ_TIMEOUT:?}");
            Err(Refusal::new(
                "corrupt",
                StatusCode::REQUEST_TIMEOUT,
                message,
            ))
        }
    }
}

fn too_large() -> Refusal {
    let error = DecodeError::TooLarge(MAX_BATCH_BYTES);
    Refusal::new(
        "too_large",
        StatusCode::PAYLOAD_TOO_LARGE,
        error.to_string(),
    )
}

fn require(headers: &HeaderMap, name: &HeaderName, expected: &str) -> Result<(), Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let value = value.map(|value| value.split(';').next().unwrap_or_default().trim());
    if value.is_some_and(|value| value.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let message = format!("a batch needs the header '{name}: {expected}'");
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Refusal::new("unsupported", status, message))
}

async fn take(
    app: &Arc<App>,
    caller: Caller,
    bytes: Bytes,
    room: OwnedSemaphorePermit,
) -> Result<WrittenAs, Refusal> {
    let (prepared, site) = app
        .ingest(move |app| Ok(prepare(app, &caller, &bytes, Timestamp::now())))
        .await
        .map_err(broken)??;
    drop(room);
    let (received, rollup) = (prepared.received(), prepared.rollup());
    let (tell, told) = oneshot::channel();
    let answer = move |written| {
        // Fails only where the server is being ended.
        let _ = tell.send(written);
    };
    app.store.submit(prepared, Box::new(answer));
    let written = told.await.unwrap_or_else(|_| {
        app.store.health()?;
        Err(StoreError::Busy)
    });
    match written.map_err(refuse_unwritten)? {
        Written::Duplicate => Ok(WrittenAs::Duplicate),
        Written::New => {
            let book = move |app: &App| {
                book(app, &received.batch, &rollup, &site);
                Ok(())
            };
            app.ingest(book).await.map_err(broken)?;
            Ok(WrittenAs::New)
        }
    }
}

fn broken(error: ApiError) -> Refusal {
    Refusal {
        result: "failed",
        error,
    }
}

/// All that can be done without the store.
fn prepare(
    app: &App,
    caller: &Caller,
    bytes: &Bytes,
    now: Timestamp,
) -> Result<(Prepared, Site), Refusal> {
    let batch = wire::decode(bytes).map_err(|error| refuse_undecodable(&error))?;
    check_node(caller, &batch)?;
    refuse_future(&batch, now)?;
    let site = app.sites.of_batch(&batch.site, &batch.node);
    let received = ReceivedBatch {
        bytes: bytes.to_vec(),
        batch,
        received: now,
    };
    let prepared = Prepared::new(Arc::new(received), &site.name).map_err(refuse_unwritten)?;
    Ok((prepared, site))
}

/// Old energy is welcome (a partition of days, an import of years); what ends after now is a clock's fault, and
/// would stand in the ledger for a time in which something else will happen. Which of the two clocks is wrong
/// cannot be seen from here: what its time will come for within a day may come again, and is not lost.
fn refuse_future(batch: &Batch, now: Timestamp) -> Result<(), Refusal> {
    let ahead_ms = last_end_ms(batch).saturating_sub(now.as_millisecond());
    if ahead_ms <= MAX_AHEAD_MS {
        return Ok(());
    }
    let message = format!(
        "the batch ends {} s after the server's clock ({now}), at most {} s are allowed; set the clocks of both",
        ahead_ms / 1_000,
        MAX_AHEAD_MS / 1_000,
    );
    if ahead_ms > MAX_WAIT_MS {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Refusal::new("future", status, message));
    }
    Err(Refusal {
        result: "early",
        error: ApiError {
            retry_after_s: Some(RETRY_EARLY_S),
            ..ApiError::new(StatusCode::TOO_EARLY, message)
        },
    })
}

/// A token may write for its own node alone.
fn check_node(caller: &Caller, batch: &Batch) -> Result<(), Refusal> {
    let node = NodeKey {
        cluster: batch.cluster.clone(),
        node: batch.node.clone(),
    };
    if caller.role.may_write(&node) {
        return Ok(());
    }
    let NodeKey { cluster, node } = node;
    let message = format!(
        "this token is for {}, the batch is of {cluster}/{node}",
        caller.role
    );
    Err(Refusal::new("forbidden", StatusCode::FORBIDDEN, message))
}

fn refuse_undecodable(error: &DecodeError) -> Refusal {
    let (result, status) = match error {
        DecodeError::TooLarge(_) => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
        DecodeError::Zstd(_) | DecodeError::Protobuf(_) => ("corrupt", StatusCode::BAD_REQUEST),
        DecodeError::Version(_) => ("version", StatusCode::BAD_REQUEST),
        DecodeError::Invalid(_) => ("invalid", StatusCode::BAD_REQUEST),
    };
    Refusal::new(result, status, error.to_string())
}

fn refuse_unwritten(error: StoreError) -> Refusal {
    let result = match &error {
        StoreError::Conflict { .. } => "conflict",
        StoreError::DeclaredLost { .. } => "lost",
        StoreError::Busy => "busy",
        StoreError::Unfit(_) => "invalid",
        StoreError::TooLarge(_)
        | StoreError::Newer { .. }
        | StoreError::Missing(_)
        | StoreError::Failed { .. } => "failed",
    };
    Refusal {
        result,
        error: error.into(),
    }
}

/// Adds a new batch to the books of /metrics. It is in the ledger already, so nothing here refuses it.
fn book(app: &App, batch: &Batch, rollup: &Rollup, site: &Site) {
    let slots = slots_of(app, rollup, site);
    let booking = Booking::of(batch, rollup, site, &slots);
    app.metrics.book(&booking, Instant::now());
    if !batch.losses.is_empty() {
        show_figures(app);
    }
}

/// The intensity over the batch's time; empty where the site has no grid or it cannot be told.
fn slots_of(app: &App, rollup: &Rollup, site: &Site) -> Vec<Slot> {
    let (Some(zone), Some((from, to))) = (&site.intensity_zone, time_range(rollup)) else {
        return Vec::new();
    };
    let question = IntensityQuery {
        intensity_zone: zone.clone(),
        signal: Some(site.signal),
        from,
        to,
        as_of: None,
    };
    app.ledger.intensity(&question).unwrap_or_else(|error| {
        tracing::warn!(%error, site = site.name, "a batch was booked without grams");
        Vec::new()
    })
}
