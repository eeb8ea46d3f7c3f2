//! Times as people type them: an RFC 3339 time, or how long ago; and lengths of time.

use std::str::FromStr;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// A time, or a length of time before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// That time.
    At(Timestamp),
    /// So long before now.
    Ago(SignedDuration),
}

/// Text that is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a time such as 2026-01-05T10:00:00Z nor a length of time such as 24h or 7d")]
pub struct NotATime;

impl When {
    /// The time that is meant, at the given present.
    ///
    /// # Errors
    /// Where it lies before all times.
    pub fn resolve(self, now: Timestamp) -> Result<Timestamp, NotATime> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(length) => now.checked_sub(length).map_err(|_| NotATime),
        }
    }
}

impl FromStr for When {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        length(text).map(Self::Ago).map_err(|_| NotATime)
    }
}

/// Text that is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time such as 90m, 24h or 7d")]
pub struct NotALength;

/// A length of time, 0 or more, of days of 24 hours.
///
/// # Errors
/// Where it is none, or of months or years, which differ in length.
pub fn length(text: &str) -> Result<SignedDuration, NotALength> {
    let span: Span = text.parse().map_err(|_| NotALength)?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let length = length.map_err(|_| NotALength)?;
    if length.is_negative() {
        return Err(NotALength);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        let found = text.parse::<When>().and_then(|when| when.resolve(now));
        assert_eq!(
            found.ok(),
            expected.map(|text| text.parse().unwrap()),
            "{text}"
        );
    }

    #[test]
    fn times_and_lengths_of_time() {
        check("2026-01-05T10:00:00+01:00", Some("2026-01-05T09:00:00Z"));
        check("24h", Some("2026-01-04T10:00:00Z"));
        check("7d", Some("2025-12-29T10:00:00Z"));
        check("1h30m", Some("2026-01-05T08:30:00Z"));
        for bad in [
            "",
            "yesterday",
            "-3h",
            "2026-01-05",
            "2026-01-05T10:00:00",
            "1 month",
            "99999999d",
        ] {
            check(bad, None);
        }
    }
}
