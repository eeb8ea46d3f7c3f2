//! Runs and the report on one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Asked, Named};
use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::ledger::ReportQuery;
use crate::report::{IdlePolicy, Report};
use crate::store::{RunFilter, RunSummary};

/// Which runs are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// Only runs that ended at or after this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only runs of this workflow.
    workflow: Option<String>,
    /// Only runs that have this stage.
    stage: Option<String>,
    /// Only runs of this cluster.
    cluster: Option<String>,
    /// Only runs with this id.
    run: Option<String>,
}

/// How the report is made.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportParameters {
    /// How idle energy is shared out; `usage` unless told otherwise.
    #[serde(default)]
    #[param(value_type = Option<IdlePolicy>)]
    idle: IdlePolicy,
    /// The run's workflow, where its id alone does not tell.
    workflow: Option<String>,
    /// The run's cluster, where its id alone does not tell.
    cluster: Option<String>,
}

/// Runs, the latest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "ledger", params(RunsQuery), responses(
    (status = 200, body = [RunSummary]),
    (status = 400, body = ErrorBody),
))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(query): Asked<RunsQuery>,
) -> Result<Json<Vec<RunSummary>>, ApiError> {
    let filter = RunFilter {
        since: query.since,
        cluster: query.cluster,
        workflow: query.workflow,
        run: query.run,
        stage: query.stage,
    };
    app.read(move |app| Ok(Json(app.ledger.runs(&filter)?)))
        .await
}

/// The report on one run.
#[utoipa::path(get, path = "/api/v1/runs/{run}/report", tag = "ledger",
    params(("run" = String, Path, description = "The run's id"), ReportParameters), responses(
    (status = 200, body = Report),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "No such run"),
    (status = 409, body = ErrorBody, description = "Several runs have this id: say workflow or cluster"),
))]
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    Named(run): Named,
    Asked(parameters): Asked<ReportParameters>,
) -> Result<Json<Report>, ApiError> {
    let query = ReportQuery {
        run,
        workflow: parameters.workflow,
        cluster: parameters.cluster,
        idle: parameters.idle,
    };
    app.read(move |app| Ok(Json(app.ledger.report(&query)?)))
        .await
}
