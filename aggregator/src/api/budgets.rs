//! Budgets: set, listed, removed, and how they stand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Asked, Named};
use crate::app::App;
use crate::budget::{Budget, BudgetRule, BudgetState};
use crate::error::{ApiError, ErrorBody};
use crate::ledger::{BudgetQuery, RunById};

/// Which budgets are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BudgetParameters {
    /// Only this one.
    name: Option<String>,
    /// Only those that the run with this id counts for: of the month in which it ended, or of it alone.
    run: Option<String>,
    /// The run's workflow, where its id alone does not tell.
    workflow: Option<String>,
    /// The run's cluster, where its id alone does not tell.
    cluster: Option<String>,
}

/// All budgets, by name.
#[utoipa::path(get, path = "/api/v1/budgets", tag = "budgets", responses((status = 200, body = [Budget])))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<Budget>>, ApiError> {
    app.read(|app| Ok(Json(app.ledger.budgets()?))).await
}

/// How budgets stand, by name. Without a run: a budget of each run counts those of the last 24 hours, one of a month this
/// month.
#[utoipa::path(get, path = "/api/v1/budget-states", tag = "budgets", params(BudgetParameters), responses(
    (status = 200, body = [BudgetState]),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "No such budget or run"),
    (status = 409, body = ErrorBody, description = "The budget is not for the run, or several runs have this id"),
))]
pub(crate) async fn states(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<BudgetParameters>,
) -> Result<Json<Vec<BudgetState>>, ApiError> {
    let BudgetParameters {
        name,
        run,
        workflow,
        cluster,
    } = asked;
    let run = run.map(|run| RunById {
        run,
        workflow,
        cluster,
    });
    let query = BudgetQuery { name, run };
    app.read(move |app| {
        app.amounts.catch_up(&app.ledger)?;
        let now = Timestamp::now();
        let meter = |run: &_, period| app.amounts.of(&app.ledger, run, period, now);
        let states = app.ledger.budget_states(&query, now, &meter)?;
        Ok(Json(states))
    })
    .await
}

/// Sets a budget, in place of one of the same name.
#[utoipa::path(put, path = "/api/v1/budgets/{name}", tag = "budgets", request_body = BudgetRule,
    params(("name" = String, Path, description = "The budget's name")), responses(
    (status = 200, body = Budget),
    (status = 400, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "There are as many as there may be"),
    (status = 415, body = ErrorBody),
))]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Named(name): Named,
    rule: Result<Json<BudgetRule>, JsonRejection>,
) -> Result<Json<Budget>, ApiError> {
    let Json(rule) = rule?;
    let budget = Budget { name, rule };
    app.ingest(move |app| {
        app.ledger.put_budget(&budget)?;
        Ok(Json(budget))
    })
    .await
}

/// Removes a budget.
#[utoipa::path(delete, path = "/api/v1/budgets/{name}", tag = "budgets",
    params(("name" = String, Path, description = "The budget's name")), responses(
    (status = 204),
    (status = 404, body = ErrorBody),
))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Named(name): Named,
) -> Result<StatusCode, ApiError> {
    app.ingest(move |app| {
        app.ledger.remove_budget(&name)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
