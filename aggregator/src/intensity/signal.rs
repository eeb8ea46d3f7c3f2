//! A carbon signal: what an intensity figure counts. Figures of two signals are never added.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Which plants answer for a kilowatt-hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Method {
    /// All that ran, by what they made.
    Average,
    /// Those that ran because of it.
    Marginal,
}

/// Which emissions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scope {
    /// Building, fuel supply and taking down included.
    Lifecycle,
    /// What leaves the stack.
    Direct,
}

/// Whose electricity it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Accounting {
    /// What is made in the zone.
    Production,
    /// What is used in it, imports included.
    Consumption,
}

/// What a figure counts. Figures of two signals are never added or compared.
///
/// Its name is `average|marginal`, `lifecycle|direct` and `production|consumption`, with hyphens. The last
/// may be left out: an average then counts production, and a marginal figure knows no such difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal {
    method: Method,
    scope: Scope,
    /// `None` for a marginal figure that does not tell.
    accounting: Option<Accounting>,
}

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
    pub const fn as_str(self) -> &'static str {
        use Accounting::{Consumption, Production};
        use Method::{Average, Marginal};
        use Scope::{Direct, Lifecycle};
        match (self.method, self.scope, self.accounting) {
            (Average, Lifecycle, Some(Consumption)) => "average-lifecycle-consumption",
            (Average, Lifecycle, _) => "average-lifecycle-production",
            (Average, Direct, Some(Consumption)) => "average-direct-consumption",
            (Average, Direct, _) => "average-direct-production",
            (Marginal, Lifecycle, None) => "marginal-lifecycle",
            (Marginal, Lifecycle, Some(Production)) => "marginal-lifecycle-production",
            (Marginal, Lifecycle, Some(Consumption)) => "marginal-lifecycle-consumption",
            (Marginal, Direct, None) => "marginal-direct",
            (Marginal, Direct, Some(Production)) => "marginal-direct-production",
            (Marginal, Direct, Some(Consumption)) => "marginal-direct-consumption",
        }
    }
}

impl Signal {
    /// Whether it counts all plants, and not those that ran because of the energy.
    #[must_use]
    pub const fn is_average(self) -> bool {
        matches!(self.method, Method::Average)
    }
}

impl Default for Signal {
    /// `average-lifecycle-production`: what the yearly table counts, and what a site uses unless told otherwise.
    fn default() -> Self {
        Self {
            method: Method::Average,
            scope: Scope::Lifecycle,
            accounting: Some(Accounting::Production),
        }
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Empty text is the default signal.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        parse(text).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Signal> {
    let mut words = text.split('-');
    let method = match words.next()? {
        "average" => Method::Average,
        "marginal" => Method::Marginal,
        _ => return None,
    };
    let scope = match words.next()? {
        "lifecycle" => Scope::Lifecycle,
        "direct" => Scope::Direct,
        _ => return None,
    };
    let accounting = match words.next() {
        None if method == Method::Marginal => None,
        None | Some("production") => Some(Accounting::Production),
        Some("consumption") => Some(Accounting::Consumption),
        Some(_) => return None,
    };
    words.next().is_none().then_some(Signal {
        method,
        scope,
        accounting,
    })
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Signal {
    type Error = UnknownSignal;

    fn try_from(text: String) -> Result<Self, UnknownSignal> {
        text.parse()
    }
}

impl PartialSchema for Signal {
    fn schema() -> RefOr<Schema> {
        String::schema()
    }
}

impl ToSchema for Signal {}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let signal = text.parse::<Signal>();
        assert_eq!(
            signal.as_ref().ok().map(|signal| signal.as_str()),
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
        for word in [
            "average",
            "marginal",
            "lifecycle",
            "direct",
            "production",
            "consumption",
        ] {
            assert!(error.contains(word), "{error}");
        }
    }
}
