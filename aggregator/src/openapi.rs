//! The API's own description.

use axum::Json;
use utoipa::OpenApi;

use crate::api::{
    budgets, components, health, intensity, nodes, plan, runs, series, stages, tokens,
};
use crate::ingest;

/// All of it; a route that is missing here is found by the tests.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "HX-MLOps ledger",
        description = "Energy and carbon of ML workflows. Energy is on the IT side unless said otherwise."
    ),
    paths(
        ingest::post_batch,
        runs::list,
        runs::report,
        stages::list,
        nodes::list,
        series::list,
        components::list,
        intensity::list,
        intensity::add,
        budgets::list,
        budgets::states,
        budgets::set,
        budgets::remove,
        plan::greenest,
        plan::score,
        tokens::list,
        tokens::create,
        tokens::revoke,
        health::metrics,
        health::alive,
        health::ready,
    )
)]
struct Api;

/// The description as JSON (OpenAPI 3.1).
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}
