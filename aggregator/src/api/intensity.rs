//! Carbon intensity of grids: what is known, and slots to add.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Asked, time_range};
use crate::app::App;
use crate::csv_file::name;
use crate::error::{ApiError, ErrorBody};
use crate::intensity::{Signal, Slot, normalized_zone};
use crate::ledger;
use crate::serve::show_current;

const DEFAULT_LENGTH: SignedDuration = SignedDuration::from_hours(24);
/// A leap year.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Which intensity is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IntensityQuery {
    /// Grid, such as `FR`.
    zone: String,
    /// What the figures are to count; what the sites of this zone use unless told otherwise.
    #[param(value_type = Option<String>)]
    signal: Option<Signal>,
    /// Start, inclusive (RFC 3339); a day before the end unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// End, exclusive (RFC 3339); now unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// As it was known at this time (RFC 3339); as it is known now unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
}

/// What adding slots did.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    /// Slots that were new, or became a new revision.
    changed: usize,
}

/// Intensity of a grid over a time, gaps filled from the yearly table where that counts the same.
#[utoipa::path(get, path = "/api/v1/intensity", tag = "intensity", params(IntensityQuery), responses(
    (status = 200, body = [Slot]),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "Unknown zone"),
))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(query): Asked<IntensityQuery>,
) -> Result<Json<Vec<Slot>>, ApiError> {
    let (from, to) = time_range(query.from, query.to, DEFAULT_LENGTH, MAX_LENGTH)?;
    let question = ledger::IntensityQuery {
        intensity_zone: query.zone,
        signal: query.signal,
        from,
        to,
        as_of: query.as_of,
    };
    app.read(move |app| Ok(Json(app.ledger.intensity(&question)?)))
        .await
}

/// Adds slots, all or none. A slot with another figure than before becomes a new revision.
#[utoipa::path(post, path = "/api/v1/intensity", tag = "intensity", request_body = [Slot], responses(
    (status = 200, body = Changed),
    (status = 400, body = ErrorBody),
    (status = 413, body = ErrorBody),
    (status = 415, body = ErrorBody),
))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    slots: Result<Json<Vec<Slot>>, JsonRejection>,
) -> Result<Json<Changed>, ApiError> {
    let Json(mut slots) = slots?;
    let now = Timestamp::now();
    for (index, slot) in slots.iter_mut().enumerate() {
        slot.intensity_zone = normalized_zone(&slot.intensity_zone);
        check(slot)
            .and_then(|()| slot.validate_at(now).map_err(|fault| fault.to_string()))
            .map_err(|fault| ApiError::bad_request(format!("slot {index}: {fault}")))?;
    }
    app.ingest(move |app| {
        let changed = app.ledger.put_slots(&slots, now)?;
        show_current(app, now);
        Ok(Json(Changed { changed }))
    })
    .await
}

/// The rules of every slot, and that its names can be kept.
///
/// # Errors
/// In words, the first that it breaks.
pub fn check(slot: &Slot) -> Result<(), String> {
    slot.validate().map_err(|fault| fault.to_string())?;
    name("intensity_zone", &slot.intensity_zone)?;
    name("source", &slot.source)?;
    Ok(())
}
