//! Errors of the HTTP side: each becomes a status and one line of JSON here, and nowhere else.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::LedgerError;
use crate::store::StoreError;

/// Seconds after which a request that the store could not serve may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// A request that was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// One line: what failed, on what, and what to do.
    pub message: String,
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
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
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
            LedgerError::Ambiguous { .. } => StatusCode::CONFLICT,
            LedgerError::Store(error) => return error.into(),
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
