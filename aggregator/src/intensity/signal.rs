//! The name of a carbon signal: what an intensity figure counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the default signal counts: the mix that is produced in the zone, its whole life cycle included.
const DEFAULT: &str = "average-lifecycle-production";

/// The words of a signal's name, position by position.
const WORDS: [&[&str]; 3] = [
    &["average", "marginal"],
    &["lifecycle", "direct"],
    &["production", "consumption"],
];

/// What a figure counts. Figures of two signals are never added or compared.
///
/// Its name is `average|marginal`, `lifecycle|direct` and `production|consumption`, with hyphens. The last
/// may be left out: an average then counts production, and a marginal figure knows no such difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Signal(String);

/// Text that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown kind '{0}': average or marginal, then -lifecycle or -direct, then -production or -consumption \
     or nothing, such as average-lifecycle-production"
)]
pub struct UnknownSignal(String);

impl Signal {
    /// The signal's name, such as `average-lifecycle-production`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Signal {
    /// `average-lifecycle-production`: what the yearly table counts, and what every site uses.
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Empty text is the default signal.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let words: Vec<&str> = text.split('-').collect();
        let known = words
            .iter()
            .zip(WORDS)
            .all(|(word, known)| known.contains(word));
        match words[..] {
            ["average", emissions] if known => Ok(Self(format!("average-{emissions}-production"))),
            [_, _] | [_, _, _] if known => Ok(Self(text.to_owned())),
            _ => Err(UnknownSignal(text.to_owned())),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Signal {
    type Error = UnknownSignal;

    fn try_from(text: String) -> Result<Self, UnknownSignal> {
        text.parse()
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let signal = text.parse::<Signal>();
        assert_eq!(
            signal.as_ref().ok().map(Signal::as_str),
            expected,
            "{text:?}: {signal:?}"
        );
    }

    #[test]
    fn only_whole_names_are_signals() {
        check("", Some("average-lifecycle-production"));
        check("average-lifecycle", Some("average-lifecycle-production"));
        check(
            "average-direct-consumption",
            Some("average-direct-consumption"),
        );
        check("marginal-direct", Some("marginal-direct"));
        check(
            "marginal-lifecycle-production",
            Some("marginal-lifecycle-production"),
        );
        for bad in [
            "average",
            "lifecycle-average",
            "average-lifecycle-",
            "co2_moer",
            "Average-direct",
            "average-direct-production-x",
            "average--production",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn an_unknown_signal_in_json_is_refused_with_the_valid_words() {
        let error = serde_json::from_str::<Signal>("\"co2\"")
            .unwrap_err()
            .to_string();
        for word in WORDS.into_iter().flatten() {
            assert!(error.contains(word), "{error}");
        }
    }
}
