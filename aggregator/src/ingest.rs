//! `POST /v1/batches`: bytes from an agent into the ledger, and into the books.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::{Json, RequestExt};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wire::DecodeError;
use wire::limits::MAX_BATCH_BYTES;
use wire::v1::Batch;

use crate::access::Caller;
use crate::app::App;
use crate::error::ApiError;
use crate::intensity::Slot;
use crate::metrics::{Booking, time_range};
use crate::site::Site;
use crate::store::{NodeKey, ReceivedBatch, StoreError, Written};

/// How long a sender may take over one batch.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

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
        (status = 409, body = crate::error::ErrorBody, description = "Its key is taken by other content"),
        (status = 413, body = crate::error::ErrorBody, description = "Too large"),
        (status = 415, body = crate::error::ErrorBody, description = "Not protobuf in zstd"),
        (status = 503, body = crate::error::ErrorBody, description = "Send it again later"),
    ),
)]
pub(crate) async fn post_batch(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Acknowledgement>, ApiError> {
    let caller = request.extensions().get::<Caller>().cloned();
    let caller = caller.expect("each request to a guarded route has its caller");
    let bytes = match read_body(request).await {
        Ok(bytes) => bytes,
        Err(refusal) => return Err(refuse(&app, refusal, 0)),
    };
    app.ingest(move |app| {
        let length = bytes.len();
        let taken = take(app, &caller, &bytes);
        let written = taken.map_err(|refusal| refuse(app, refusal, length))?;
        let result = match written {
            WrittenAs::New => "new",
            WrittenAs::Duplicate => "duplicate",
        };
        app.metrics.count_batch(result, length);
        Ok(Json(Acknowledgement { written }))
    })
    .await
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

async fn read_body(request: Request) -> Result<Bytes, Refusal> {
    let headers = request.headers();
    require(headers, &header::CONTENT_TYPE, wire::CONTENT_TYPE)?;
    require(headers, &header::CONTENT_ENCODING, wire::CONTENT_ENCODING)?;
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BATCH_BYTES) {
        return Err(too_large());
    }
    // The router stops the body of this route at MAX_BATCH_BYTES, whatever was announced.
    match tokio::time::timeout(READ_TIMEOUT, request.extract::<Bytes, _>()).await {
        Ok(Ok(bytes)) => Ok(bytes),
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

fn take(app: &App, caller: &Caller, bytes: &[u8]) -> Result<WrittenAs, Refusal> {
    let batch = wire::decode(bytes).map_err(|error| refuse_undecodable(&error))?;
    check_node(caller, &batch)?;
    let site = app.sites.of_batch(&batch.site, &batch.node);
    let received = ReceivedBatch {
        bytes: bytes.to_vec(),
        batch,
        received: Timestamp::now(),
    };
    let written = app.store.write_batch(&received, &site.name);
    match written.map_err(refuse_unwritten)? {
        Written::Duplicate => Ok(WrittenAs::Duplicate),
        Written::New => {
            book(app, &received.batch, &site);
            Ok(WrittenAs::New)
        }
    }
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
        StoreError::Unfit(_) => "invalid",
        StoreError::Newer { .. } | StoreError::Missing(_) | StoreError::Failed { .. } => "failed",
    };
    Refusal {
        result,
        error: error.into(),
    }
}

/// Adds a new batch to the books of /metrics. It is in the ledger already, so nothing here refuses it.
fn book(app: &App, batch: &Batch, site: &Site) {
    let slots = slots_of(app, batch, site);
    let booking = Booking::of(batch, site, &slots);
    app.metrics.book(&booking, Instant::now());
}

/// The intensity over the batch's time; empty where the site has no grid or it cannot be told.
fn slots_of(app: &App, batch: &Batch, site: &Site) -> Vec<Slot> {
    let (Some(zone), Some((from, to))) = (&site.intensity_zone, time_range(batch)) else {
        return Vec::new();
    };
    app.ledger
        .intensity(zone, from, to)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, site = site.name, "a batch was booked without grams");
            Vec::new()
        })
}
