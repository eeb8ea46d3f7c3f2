//! Stages over all runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::error::ApiError;
use crate::store::StageSummary;

/// All stages, by cluster, workflow and name.
#[utoipa::path(get, path = "/api/v1/stages", tag = "ledger",
    responses((status = 200, body = [StageSummary])))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<StageSummary>>, ApiError> {
    app.read(|app| Ok(Json(app.store.stages()?))).await
}
