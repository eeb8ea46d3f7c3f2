//! Nodes and their totals.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::error::ApiError;
use crate::store::NodeSummary;

/// All nodes with their totals by zone: measured = workloads + system + idle.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "ledger",
    responses((status = 200, body = [NodeSummary])))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<NodeSummary>>, ApiError> {
    app.read(|app| Ok(Json(app.ledger.nodes()?))).await
}
