//! The check before each handler: who, may they, not too often.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::{ASK_AGAIN_AFTER, AccessError, Caller, Denied, Peer};
use crate::app::App;
use crate::error::ApiError;
use crate::token::{Need, Token};

/// What a group of routes asks of its callers.
#[derive(Clone)]
pub(crate) struct Guarded {
    pub(crate) app: Arc<App>,
    pub(crate) need: Need,
}

/// Lets a request through, with its [`Caller`] as an extension, or answers 401, 403 or 429.
pub(crate) async fn authorize(
    State(guarded): State<Guarded>,
    mut request: Request,
    next: Next,
) -> Response {
    // A body cannot be shared between threads, and what is asked of it is not.
    let shown = Shown {
        secret: secret(request.headers()),
        peer: request.extensions().get::<Peer>().cloned(),
    };
    let admitted = identify(&guarded.app, &shown).await;
    match admit(&guarded, &request, admitted) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// What somebody shows of who they are.
struct Shown {
    secret: Option<String>,
    peer: Option<Peer>,
}

fn admit(
    Guarded { app, need }: &Guarded,
    request: &Request,
    caller: Result<Caller, Denied>,
) -> Result<Caller, ApiError> {
    let caller = caller.map_err(|denied| {
        app.metrics.count_denied("unauthenticated");
        ApiError::new(StatusCode::UNAUTHORIZED, denied.to_string())
    })?;
    if !caller.role.allows(*need) {
        app.metrics.count_denied("forbidden");
        return Err(forbidden(&caller, request));
    }
    app.access
        .rates
        .check(caller.sender.as_ref())
        .map_err(|wait| {
            app.metrics.count_denied("rate");
            ApiError::too_many(wait)
        })?;
    Ok(caller)
}

fn forbidden(caller: &Caller, request: &Request) -> ApiError {
    let message = format!(
        "a token with the role '{}' may not {} {}",
        caller.role.name(),
        request.method(),
        request.uri().path()
    );
    ApiError::new(StatusCode::FORBIDDEN, message)
}

async fn identify(app: &Arc<App>, Shown { secret, peer }: &Shown) -> Result<Caller, Denied> {
    let now = Timestamp::now();
    let ask = || app.access.identify(secret.as_deref(), peer.as_ref(), now);
    match ask() {
        // It may have been made a moment ago. Many who guess wait for the same answer.
        Err(Denied::Unknown) if secret.as_deref().is_some_and(is_token) => {
            tokio::time::sleep(ASK_AGAIN_AFTER.saturating_sub(app.access.age())).await;
            let refreshed = app.probe(|app| Ok(refresh_old(app))).await;
            if let Ok(Err(error)) = refreshed {
                tracing::warn!("tokens could not be read: {error}");
            }
            ask()
        }
        answer => answer,
    }
}

fn is_token(secret: &str) -> bool {
    secret.parse::<Token>().is_ok()
}

/// Unless another request has just done it.
fn refresh_old(app: &App) -> Result<(), AccessError> {
    if app.access.age() < ASK_AGAIN_AFTER {
        return Ok(());
    }
    app.access.refresh()
}

/// Of `Bearer SECRET`, or the password of `Basic`, which browsers ask people for.
#[must_use]
pub fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64(rest.trim())?;
    let (_user, password) = decoded.split_once(':')?;
    Some(password.to_owned())
}

fn base64(text: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_as_bearer_or_as_a_password() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(secret(&headers).as_deref(), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic YW55Ym9keTphYmM=", Some("abc"));
        check("Basic !", None);
        check("Basic YWJj", None);
        check("Digest abc", None);
        check("abc", None);
        assert_eq!(secret(&HeaderMap::new()), None);
    }
}
