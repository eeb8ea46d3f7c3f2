//! Errors of the HTTP side: each becomes a status and one line of JSON here, and nowhere else.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::format::report_form::FormError;
use crate::ledger::{BudgetError, LedgerError, PlanError};
use crate::plan::NoPlan;
use crate::store::StoreError;

/// Seconds after which a request that the store could not serve may come again.
const RETRY_AFTER_S: u64 = 5;
/// How a browser, and any other client, can say who it is.
const AUTHENTICATE: HeaderValue =
    HeaderValue::from_static("Bearer, Basic realm=\"hxmlops: any name, a token as password\"");

/// A request that was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// One line: what failed, on what, and what to do.
    pub message: String,
    /// Seconds after which the request may come again, where that is known.
    pub retry_after_s: Option<u64>,
}

/// An error as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// One line: what failed, on what, and what to do.
    pub error: String,
}

impl ApiError {
    /// With a status and a message.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after_s: None,
        }
    }

    /// 429, for a sender that asks too often.
    #[must_use]
    pub fn too_many(wait: Duration) -> Self {
        Self {
            retry_after_s: Some(wait.as_secs().max(1)),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests; wait as long as Retry-After says",
            )
        }
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 503, for a part of the server that failed.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            retry_after_s: Some(RETRY_AFTER_S),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict { .. } | StoreError::DeclaredLost { .. } => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            StoreError::Unfit(_) => Self::bad_request(error.to_string()),
            StoreError::Busy => Self::unavailable(error.to_string()),
            StoreError::TooLarge(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            StoreError::Newer { .. } | StoreError::Missing(_) | StoreError::Failed { .. } => {
                tracing::error!(%error, "the store failed");
                // Which file it is on is the operator's business, and in the log.
                Self::unavailable("the ledger cannot be reached now; try again")
            }
        }
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        let status = match error {
            LedgerError::NoSuchRun(_) | LedgerError::UnknownIntensityZone(_) => {
                StatusCode::NOT_FOUND
            }
            LedgerError::Ambiguous { .. } | LedgerError::Compare(_) => StatusCode::CONFLICT,
            LedgerError::Plan(ref error) => plan_status(error),
            LedgerError::Budget(ref error) => budget_status(error),
            LedgerError::Store(error) => return error.into(),
        };
        Self::new(status, error.to_string())
    }
}

fn budget_status(error: &BudgetError) -> StatusCode {
    match error {
        BudgetError::Invalid(_) => StatusCode::BAD_REQUEST,
        BudgetError::NoSuchBudget(_) => StatusCode::NOT_FOUND,
        BudgetError::NotForRun { .. } | BudgetError::TooMany => StatusCode::CONFLICT,
    }
}

fn plan_status(error: &PlanError) -> StatusCode {
    match error {
        PlanError::UnknownSite(_)
        | PlanError::NoZone(_)
        | PlanError::NoPlan(NoPlan::NotCovered { .. }) => StatusCode::NOT_FOUND,
        PlanError::NotOneSite(_) | PlanError::NoScore(_) => StatusCode::CONFLICT,
        PlanError::Lacks(_) | PlanError::Power | PlanError::NoPlan(_) => StatusCode::BAD_REQUEST,
    }
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        let status = match error {
            FormError::NoGrams(_) => StatusCode::UNPROCESSABLE_ENTITY,
            FormError::Csv(_) | FormError::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        // axum calls well-formed JSON of the wrong shape 422; here that is a bad request like any other.
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, rejection.body_text())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = self.message.replace(['\n', '\r'], " ");
        let mut response = (self.status, Json(ErrorBody { error })).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, AUTHENTICATE);
        }
        response
    }
}
