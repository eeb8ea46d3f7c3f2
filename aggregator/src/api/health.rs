//! What Prometheus and Kubernetes ask.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus::TEXT_FORMAT;

use crate::app::App;
use crate::error::{ApiError, ErrorBody};

/// All metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let text = app.metrics.render(Instant::now());
    let text = text.map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}

/// 200 while all parts of the process are alive; where it is not, only a new start helps.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 503, body = ErrorBody),
))]
pub(crate) async fn alive(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    app.store.health()?;
    Ok("ok\n")
}

/// 200 while the ledger can be read.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 503, body = ErrorBody),
))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    app.probe(|app| Ok(app.store.sites(None)?)).await?;
    Ok("ready\n")
}
