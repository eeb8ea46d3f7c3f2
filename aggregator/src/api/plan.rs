//! The greenest start of some work, and what came of a plan.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Asked;
use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::intensity::Signal;
use crate::ledger::{PlanQuery, RunById};
use crate::plan::{Plan, Score};

/// What is to be planned.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlanParameters {
    /// Grid, where it is not the site's.
    intensity_zone: Option<String>,
    /// Site whose grid, signal and PUE count; the run's unless told otherwise.
    site: Option<String>,
    /// What the intensity counts; the site's unless told otherwise.
    #[param(value_type = Option<String>)]
    signal: Option<Signal>,
    /// How long the work takes, in seconds; as long as the run took unless told otherwise.
    duration_s: Option<i64>,
    /// Time within which it is to be done, in seconds; 31 days at most.
    within_s: i64,
    /// Mean power on the IT side.
    watts: Option<f64>,
    /// A run that says how long the work takes, at what power, and where, as far as nothing else does.
    run: Option<String>,
    /// The run's workflow, where its id alone does not tell.
    workflow: Option<String>,
    /// The run's cluster, where its id alone does not tell.
    cluster: Option<String>,
    /// When the plan was made, by what was known then (RFC 3339); now unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

impl From<PlanParameters> for PlanQuery {
    fn from(asked: PlanParameters) -> Self {
        let (workflow, cluster) = (asked.workflow, asked.cluster);
        Self {
            intensity_zone: asked.intensity_zone,
            site: asked.site,
            signal: asked.signal,
            duration: asked.duration_s.map(SignedDuration::from_secs),
            within: SignedDuration::from_secs(asked.within_s),
            watts: asked.watts,
            like: asked.run.map(|run| RunById {
                run,
                workflow,
                cluster,
            }),
            at: asked.at,
        }
    }
}

/// The greenest start of some work.
#[utoipa::path(get, path = "/api/v1/plan", tag = "plan", params(PlanParameters), responses(
    (status = 200, body = Plan),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "No such zone, site or run, or no intensity is known"),
    (status = 409, body = ErrorBody, description = "Several runs have this id, or the run was at several sites"),
))]
pub(crate) async fn greenest(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<PlanParameters>,
) -> Result<Json<Plan>, ApiError> {
    let query = PlanQuery::from(asked);
    app.read(move |app| Ok(Json(app.ledger.plan(&query, Timestamp::now())?)))
        .await
}

/// What came of a plan that was made at a time.
#[utoipa::path(get, path = "/api/v1/plan/score", tag = "plan", params(PlanParameters), responses(
    (status = 200, body = Score),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "No such zone, site or run, or no intensity was known"),
    (status = 409, body = ErrorBody, description = "The window is not over, or not settled"),
))]
pub(crate) async fn score(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<PlanParameters>,
) -> Result<Json<Score>, ApiError> {
    let query = PlanQuery::from(asked);
    app.read(move |app| Ok(Json(app.ledger.plan_score(&query, Timestamp::now())?)))
        .await
}
