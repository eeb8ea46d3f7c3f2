//! What comes with a request, and what is typed at the command line: the header that says who calls, tokens,
//! queries, bodies, times.

#![no_main]

use aggregator::access::secret;
use aggregator::api::intensity::{IntensityQuery, check as check_new_slot};
use aggregator::api::runs::{ReportParameters, RunsQuery};
use aggregator::api::series::SeriesQuery;
use aggregator::api::tokens::{NewToken, check as check_new_token};
use aggregator::commands::token::expires;
use aggregator::commands::when::When;
use aggregator::intensity::Slot;
use aggregator::token::{Need, Role, Token};
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::one_of(
    data,
    &[
        check_header,
        check_query,
        check_slots,
        check_token_wish,
        check_time,
        check_token
    ]
));

fn check_header(value: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.clone())]);
    if let Some(secret) = secret(&headers) {
        let value = value.to_str().expect("what is no text has no secret");
        let is_bearer = value[..6].eq_ignore_ascii_case("bearer");
        assert!(!is_bearer || value.ends_with(&secret) || value.trim_end().ends_with(&secret));
        check_token(secret.as_bytes());
    }
}

/// A token is one text and no other, and does not show its secret.
fn check_token(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.reveal(), text);
        assert_eq!(token.id().len(), 8);
        assert!(!format!("{token:?}").contains(&text[13..]));
    }
}

fn check_query(query: &[u8]) {
    let uri = [b"/?", query].concat();
    let Ok(uri) = Uri::try_from(uri) else {
        return;
    };
    let _ = Query::<RunsQuery>::try_from_uri(&uri);
    let _ = Query::<ReportParameters>::try_from_uri(&uri);
    let _ = Query::<IntensityQuery>::try_from_uri(&uri);
    let _ = Query::<SeriesQuery>::try_from_uri(&uri);
}

fn check_slots(body: &[u8]) {
    let slots: Vec<Slot> = serde_json::from_slice(body).unwrap_or_default();
    for slot in slots {
        if check_new_slot(&slot).is_ok() {
            assert_eq!(slot.validate(), Ok(()));
            let json = serde_json::to_string(&slot).expect("it has a form in JSON");
            let again: Slot = serde_json::from_str(&json).expect("it came so");
            assert_eq!(slot, again, "{json}");
        }
    }
}

/// Whoever asks for a token is given the role that was asked for, of nodes that have names.
fn check_token_wish(body: &[u8]) {
    let Ok(new) = serde_json::from_slice::<NewToken>(body) else {
        return;
    };
    if check_new_token(&new, now()).is_err() {
        return;
    }
    let json = serde_json::to_string(&new).expect("it has a form in JSON");
    assert_eq!(
        serde_json::from_str::<NewToken>(&json).ok().as_ref(),
        Some(&new)
    );
    assert!(new.expires.is_none_or(|expires| expires > now()));
    if let Role::Ingest { cluster, node } = &new.role {
        assert!(!cluster.is_empty() && !node.is_empty());
        assert!(!new.role.allows(Need::Read) && !new.role.allows(Need::Admin));
    }
}

fn check_time(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    match text.parse::<When>() {
        Ok(When::At(time)) => assert_eq!(time.to_string().parse(), Ok(When::At(time))),
        Ok(ago) => assert!(
            ago.resolve(now()).is_ok_and(|time| time <= now()) || ago.resolve(now()).is_err()
        ),
        Err(_) => {}
    }
    if let Ok(Some(end)) = expires(text, now()) {
        assert!(end > now());
    }
}

/// 2026-01-05T10:00:00Z.
fn now() -> Timestamp {
    Timestamp::constant(1_767_607_200, 0)
}
