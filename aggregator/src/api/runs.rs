//! Runs and the report on one.

use std::num::NonZeroU64;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{AppendHeaders, IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Asked, Named};
use crate::app::App;
use crate::csv_file::name;
use crate::error::{ApiError, ErrorBody};
use crate::format::model_card::CardFacts;
use crate::format::report_form::ReportForm;
use crate::format::report_html::POLICY;
use crate::ledger::{LedgerError, ReportQuery};
use crate::report::{EmbodiedPolicy, FunctionalUnit, IdlePolicy, Report};
use crate::store::{RunFilter, RunSummary, StoreError};

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
    /// Only so many, the latest; 1,000 unless told otherwise, 10,000 at most. Where there are more, the answer has
    /// the header `hxmlops-cut: true`.
    limit: Option<usize>,
}

/// Runs of one answer unless told otherwise.
const DEFAULT_LIMIT: usize = 1_000;
/// Runs of one answer at most.
const MAX_LIMIT: usize = 10_000;
/// Tells that there are more runs than the answer has.
const CUT: &str = "hxmlops-cut";

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
    /// How the carbon of making the nodes is shared out; `use` unless told otherwise.
    #[serde(default)]
    #[param(value_type = Option<EmbodiedPolicy>)]
    embodied: EmbodiedPolicy,
    /// Name of the functional unit of an SCI, such as `1000 inferences`; with `count`.
    unit: Option<String>,
    /// How many functional units the run made, 1 or more.
    #[param(value_type = Option<u64>)]
    count: Option<NonZeroU64>,
    /// Whether its power over time is wanted too; no unless told otherwise.
    #[serde(default)]
    course: bool,
    /// Another run, to tell the difference from.
    baseline: Option<String>,
    /// Whether it is wanted what its grams compare to; no unless told otherwise.
    #[serde(default)]
    equivalents: bool,
    /// Its form; `json` unless told otherwise.
    #[serde(default)]
    #[param(value_type = Option<ReportForm>)]
    format: ReportForm,
    /// As it was known at this time (RFC 3339); as it is known now unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
}

impl ReportParameters {
    fn query(self, run: String) -> Result<ReportQuery, ApiError> {
        let unit = match (self.unit, self.count) {
            (Some(unit), Some(count)) => Some(FunctionalUnit { unit, count }),
            (None, None) => None,
            _ => {
                return Err(ApiError::bad_request(
                    "unit and count go together".to_owned(),
                ));
            }
        };
        if let Some(unit) = &unit {
            name("unit", &unit.unit).map_err(ApiError::bad_request)?;
        }
        Ok(ReportQuery {
            run,
            workflow: self.workflow,
            cluster: self.cluster,
            idle: self.idle,
            embodied: self.embodied,
            unit,
            baseline: self.baseline,
            equivalents: self.equivalents,
            course: self.course || self.format.shows_course(),
            as_of: self.as_of,
        })
    }
}

/// Runs, the latest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "ledger", params(RunsQuery), responses(
    (status = 200, body = [RunSummary]),
    (status = 400, body = ErrorBody),
))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(query): Asked<RunsQuery>,
) -> Result<
    (
        AppendHeaders<Option<(&'static str, &'static str)>>,
        Json<Vec<RunSummary>>,
    ),
    ApiError,
> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if limit > MAX_LIMIT {
        let message =
            format!("limit {limit} is more than {MAX_LIMIT}; ask by workflow, stage or since");
        return Err(ApiError::bad_request(message));
    }
    let filter = RunFilter {
        since: query.since,
        cluster: query.cluster,
        workflow: query.workflow,
        run: query.run,
        stage: query.stage,
        // One more tells whether there are more.
        limit: Some(limit + 1),
    };
    app.read(move |app| {
        let mut runs = app.ledger.runs(&filter)?;
        let cut = runs.len() > limit;
        if cut {
            runs.truncate(limit);
            app.metrics.count_cut_answer("runs");
        }
        let cut = cut.then_some((CUT, "true"));
        Ok((AppendHeaders(cut), Json(runs)))
    })
    .await
}

/// The report on one run.
#[utoipa::path(get, path = "/api/v1/runs/{run}/report", tag = "ledger",
    params(("run" = String, Path, description = "The run's id"), ReportParameters), responses(
    (status = 200, content(
        (Report = "application/json"),
        (String = "text/html"),
        (String = "text/markdown"),
        (String = "text/csv"),
        (String = "application/yaml"),
    )),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "No such run"),
    (status = 409, body = ErrorBody, description = "Several runs have this id: say workflow or cluster"),
    (status = 422, body = ErrorBody, description = "The run's time has too many rows, or a model card has no grams"),
))]
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    Named(run): Named,
    Asked(parameters): Asked<ReportParameters>,
) -> Result<Response, ApiError> {
    let form = parameters.format;
    let query = parameters.query(run)?;
    app.read(move |app| {
        let report = app.ledger.report(&query);
        if let Err(LedgerError::Store(StoreError::TooLarge(_))) = &report {
            app.metrics.count_cut_answer("report");
        }
        answer(form, &report?)
    })
    .await
}

fn answer(form: ReportForm, report: &Report) -> Result<Response, ApiError> {
    if form == ReportForm::Json {
        return Ok(Json(report).into_response());
    }
    let text = form.render(report, &CardFacts::default())?;
    let policy = format!("{POLICY}; frame-ancestors 'none'");
    let headers = [
        (CONTENT_TYPE, form.content_type()),
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, text).into_response())
}
