//! What components used.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Asked, time_range};
use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::ledger::LedgerError;
use crate::report::ComponentUse;
use crate::store::{ComponentQuery, StoreError};

/// A day and what a change of clocks adds.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(25);

/// Which components are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ComponentParameters {
    /// Only those of this cluster.
    cluster: Option<String>,
    /// Only those of this Kubernetes namespace.
    namespace: Option<String>,
    /// Start, inclusive (RFC 3339); the midnight (UTC) before the end unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// End, exclusive (RFC 3339); now unless told otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// What components (pods with the label `hxmlops.io/component`) used over 25 hours at most: active energy alone, the
/// idle energy of their nodes is not shared out among them. A minute, or an hour where minutes were folded, belongs to
/// the time in which it starts.
#[utoipa::path(get, path = "/api/v1/components", tag = "ledger", params(ComponentParameters), responses(
    (status = 200, body = [ComponentUse]),
    (status = 400, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "Too many minutes of components: ask for a shorter time"),
))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<ComponentParameters>,
) -> Result<Json<Vec<ComponentUse>>, ApiError> {
    let to = asked.to.unwrap_or_else(Timestamp::now);
    let (from, to) = time_range(asked.from, Some(to), since_midnight(to), MAX_LENGTH)?;
    let query = ComponentQuery {
        cluster: asked.cluster,
        namespace: asked.namespace,
        from,
        to,
    };
    app.read(move |app| {
        let components = app.ledger.components(&query);
        if let Err(LedgerError::Store(StoreError::TooLarge(_))) = &components {
            app.metrics.count_cut_answer("components");
        }
        Ok(Json(components?))
    })
    .await
}

/// How long before a time the last midnight in UTC was; a whole day where it is one.
fn since_midnight(to: Timestamp) -> SignedDuration {
    let day = SignedDuration::from_hours(24);
    let midnight = to.to_zoned(TimeZone::UTC).start_of_day();
    let since = midnight.map_or(day, |midnight| midnight.timestamp().duration_until(to));
    if since.is_zero() { day } else { since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        let check = |to: &str, hours| {
            let found = since_midnight(to.parse().unwrap());
            assert_eq!(found, SignedDuration::from_hours(hours), "{to}");
        };
        check("2026-01-05T10:00:00Z", 10);
        check("2026-01-05T00:00:00Z", 24);
        check("2026-01-05T01:00:00+02:00", 23);
    }
}
