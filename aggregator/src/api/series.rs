//! Energy per minute.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Asked, time_range};
use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::ledger::LedgerError;
use crate::store::{SeriesBy, SeriesPoint, StoreError};

const DEFAULT_LENGTH: SignedDuration = SignedDuration::from_hours(1);
/// A day and what a change of clocks adds; a chart of minutes shows no more.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(25);

/// Which series is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SeriesQuery {
    /// What it is split by.
    by: SeriesBy,
    /// Start, inclusive (RFC 3339); an hour before the end unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// End, exclusive (RFC 3339); now unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// Energy per minute (per hour, where minutes were folded), over 25 hours at most.
#[utoipa::path(get, path = "/api/v1/series", tag = "ledger", params(SeriesQuery), responses(
    (status = 200, body = [SeriesPoint]),
    (status = 400, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "Too many points: ask for a shorter time"),
))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(query): Asked<SeriesQuery>,
) -> Result<Json<Vec<SeriesPoint>>, ApiError> {
    let (from, to) = time_range(query.from, query.to, DEFAULT_LENGTH, MAX_LENGTH)?;
    app.read(move |app| {
        let series = app.ledger.series(query.by, from, to);
        if let Err(LedgerError::Store(StoreError::TooLarge(_))) = &series {
            app.metrics.count_cut_answer("series");
        }
        Ok(Json(series?))
    })
    .await
}
