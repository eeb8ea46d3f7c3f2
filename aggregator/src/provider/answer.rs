//! What an answer that brings no figures means.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

use super::ProviderError;

/// The longest message of a provider that is shown.
const MAX_MESSAGE_CHARS: usize = 200;
/// No longer is waited for whoever asks for it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The error that a status stands for, if it does; `body` is what was said with it. A key that was good before is one that is asked
/// too often with: some providers say 401 then.
pub(super) fn refusal(
    status: u16,
    retry_after: Option<Duration>,
    body: &str,
    has_succeeded: bool,
) -> Option<ProviderError> {
    let said = || message(body).unwrap_or_else(|| format!("status {status}"));
    let error = match status {
        200..=299 => return None,
        429 => ProviderError::Throttled(retry_after),
        503 if retry_after.is_some() => ProviderError::Throttled(retry_after),
        401 if has_succeeded => ProviderError::Throttled(retry_after),
        401 => ProviderError::Unauthorized(said()),
        400 | 404 | 422 if is_of_zone(&said()) => ProviderError::UnknownZone(said()),
        400 | 422 => ProviderError::BadWindow(said()),
        402..=499 => ProviderError::Refused(said()),
        300..=399 => ProviderError::Unreachable(format!(
            "it sends on to another address (status {status}), which is not followed"
        )),
        _ => ProviderError::Unreachable(format!("status {status}")),
    };
    Some(error)
}

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let after = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(now.duration_until(until)).unwrap_or_default()
        }
    };
    Some(after.min(MAX_RETRY_AFTER))
}

/// The line that an answer has for people: `message` or `error`, or within `error`.
fn message(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let found = [&body["message"], &body["error"]["message"], &body["error"]];
    let text = found.into_iter().find_map(Value::as_str)?;
    let line: String = text.chars().take(MAX_MESSAGE_CHARS).collect();
    Some(line.escape_debug().to_string())
}

/// Whether a message is about a zone, and not about a time zone.
fn is_of_zone(message: &str) -> bool {
    let message = message.to_lowercase();
    let message = message.replace("time zone", "").replace("timezone", "");
    message.contains("zone") || message.contains("region")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        let check = |status: u16, body: &str, has_succeeded: bool, expected: Option<&str>| {
            let found = refusal(status, None, body, has_succeeded);
            let found = found.as_ref().map(ProviderError::name);
            assert_eq!(found, expected, "{status} {body}");
        };
        check(200, "", false, None);
        check(401, "", false, Some("unauthorized"));
        check(401, "", true, Some("throttled"));
        check(429, "", false, Some("throttled"));
        check(
            403,
            r#"{"message":"not in your plan"}"#,
            true,
            Some("refused"),
        );
        check(404, "<html>", true, Some("refused"));
        check(
            404,
            r#"{"error":"Zone 'X' does not exist"}"#,
            true,
            Some("unknown_zone"),
        );
        check(
            400,
            r#"{"message":"Invalid region"}"#,
            true,
            Some("unknown_zone"),
        );
        check(
            400,
            r#"{"message":"start needs a timezone"}"#,
            true,
            Some("bad_window"),
        );
        check(
            400,
            r#"{"error":{"code":"400 Bad Request","message":"too long"}}"#,
            true,
            Some("bad_window"),
        );
        check(302, "", true, Some("unreachable"));
        check(500, "", true, Some("unreachable"));
        check(503, "", true, Some("unreachable"));
    }

    #[test]
    fn a_message_is_one_short_line() {
        let body = format!(r#"{{"error":"a\u001b[2J\n{}"}}"#, "x".repeat(1000));
        let error = refusal(403, None, &body, true).unwrap().to_string();
        assert!(
            error.len() < 300 && !error.contains(char::is_control),
            "{error}"
        );
    }

    #[test]
    fn it_is_waited_as_long_as_they_say() {
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<u64>| {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(text, now), expected, "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999", Some(86_400));
        check("Mon, 05 Jan 2026 10:01:00 GMT", Some(60));
        check("Mon, 05 Jan 2026 09:00:00 GMT", Some(0));
        check("soon", None);
        check("-5", None);
    }
}
