//! The JSON API: what a request says, handed to the ledger, and what the ledger answers.

#![allow(
    unused_qualifications,
    reason = "the code that utoipa::path makes names its types in full"
)]

pub mod budgets;
pub mod components;
pub(crate) mod health;
pub mod intensity;
pub(crate) mod nodes;
pub mod plan;
pub mod runs;
pub mod series;
pub(crate) mod stages;
pub mod tokens;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The query of a request; a key that is not known, or a value that cannot be, is a 400 as JSON.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// The one part of a path that varies.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(name) = Path::from_request_parts(parts, state).await?;
        Ok(Self(name))
    }
}

/// A time range with its default: up to now, from `default_length` before.
///
/// # Errors
/// 400 where it is empty or longer than `max_length`.
pub(crate) fn time_range(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    default_length: SignedDuration,
    max_length: SignedDuration,
) -> Result<(Timestamp, Timestamp), ApiError> {
    let to = to.unwrap_or_else(Timestamp::now);
    let from = match from {
        Some(from) => from,
        None => to
            .checked_sub(default_length)
            .map_err(|error| ApiError::bad_request(error.to_string()))?,
    };
    if from >= to {
        return Err(ApiError::bad_request(format!(
            "from {from} is not before to {to}"
        )));
    }
    if from.duration_until(to) > max_length {
        let hours = max_length.as_hours();
        let message = format!("from {from} to {to} is longer than {hours} hours; ask in parts");
        return Err(ApiError::bad_request(message));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_bounded_and_runs_forward() {
        let hours = SignedDuration::from_hours;
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let check = |from, to, expected: Result<i64, &str>| {
            let range = time_range(from, to, hours(1), hours(24));
            match expected {
                Ok(length) => {
                    let (from, to) = range.unwrap();
                    assert_eq!(from.duration_until(to), hours(length));
                }
                Err(message) => {
                    let error = range.unwrap_err().message;
                    assert!(error.contains(message), "{error}");
                }
            }
        };
        let (first, next) = (at("2026-01-01T00:00Z"), at("2026-01-02T00:00Z"));
        check(first, next, Ok(24));
        check(None, next, Ok(1));
        check(next, first, Err("is not before"));
        check(first, first, Err("is not before"));
        check(
            first,
            at("2026-01-02T00:00:01Z"),
            Err("longer than 24 hours"),
        );
        check(None, Some(Timestamp::MIN), Err(""));
    }
}
