//! Tokens: made, listed, revoked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use jiff::Timestamp;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Named;
use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::store::{Store, StoreError};
use crate::token::{RANDOM_BYTES, Role, Token, TokenRecord};

/// What a new token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What it is good for.
    #[serde(flatten)]
    pub role: Role,
    /// Anything to know it by.
    #[serde(default)]
    pub note: String,
    /// From when on it is no good any more; never without it.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// A token as it was made. The secret is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// The token: what to send, and to keep.
    pub token: String,
    /// What is kept of it here.
    #[serde(flatten)]
    pub record: TokenRecord,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(rustix::io::Errno),
}

/// Makes a token and keeps its digest.
///
/// # Errors
/// [`NotMade`].
pub(crate) fn make(
    store: &dyn Store,
    new: &NewToken,
    now: Timestamp,
) -> Result<MadeToken, NotMade> {
    check(new, now)?;
    let mut random = [0; RANDOM_BYTES];
    getrandom(&mut random, GetRandomFlags::empty()).map_err(NotMade::Random)?;
    let token = Token::new(random);
    let record = TokenRecord {
        id: token.id().to_owned(),
        sha256: token.sha256(),
        role: new.role.clone(),
        note: new.note.clone(),
        created: now,
        expires: new.expires,
        revoked: None,
    };
    store.put_token(&record)?;
    Ok(MadeToken {
        token: token.reveal().to_owned(),
        record,
    })
}

/// Whether a token can be made so.
///
/// # Errors
/// [`NotMade::Invalid`] says why not.
pub fn check(new: &NewToken, now: Timestamp) -> Result<(), NotMade> {
    let invalid = |message: &str| Err(NotMade::Invalid(message.to_owned()));
    if new.expires.is_some_and(|expires| expires <= now) {
        return invalid("it would have expired already");
    }
    if let Role::Ingest { cluster, node } = &new.role
        && [cluster, node]
            .iter()
            .any(|name| name.is_empty() || !wire::is_name(name))
    {
        return invalid("an ingest token needs the names of a cluster and a node");
    }
    if !wire::is_name(&new.note) {
        return invalid("the note is too long, or has control characters");
    }
    Ok(())
}

impl From<NotMade> for ApiError {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Invalid(message) => Self::bad_request(message),
            NotMade::Store(error) => error.into(),
            NotMade::Random(_) => Self::unavailable(error.to_string()),
        }
    }
}

/// All tokens that there ever were, the oldest first, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = [TokenRecord])))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<TokenRecord>>, ApiError> {
    app.read(|app| Ok(Json(app.store.tokens()?))).await
}

/// Makes a token, good at once. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken, responses(
    (status = 201, body = MadeToken),
    (status = 400, body = ErrorBody),
))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    new: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<MadeToken>), ApiError> {
    let Json(new) = new?;
    app.ingest(move |app| {
        let made = make(&*app.store, &new, Timestamp::now())?;
        refresh(app)?;
        tracing::info!(
            id = made.record.id,
            "a token was made: {}",
            made.record.role
        );
        Ok((StatusCode::CREATED, Json(made)))
    })
    .await
}

/// Revokes a token, at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "Eight hexadecimal digits")), responses(
    (status = 204),
    (status = 404, body = ErrorBody),
))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Named(id): Named,
) -> Result<StatusCode, ApiError> {
    app.ingest(move |app| {
        if !app.store.revoke_token(&id, Timestamp::now())? {
            let message = format!("there is no token {id}");
            return Err(ApiError::new(StatusCode::NOT_FOUND, message));
        }
        refresh(app)?;
        tracing::info!(id, "a token was revoked");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn refresh(app: &App) -> Result<(), ApiError> {
    let refreshed = app.access.refresh();
    refreshed.map_err(|error| ApiError::unavailable(error.to_string()))
}
