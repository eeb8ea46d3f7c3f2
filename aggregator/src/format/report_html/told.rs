//! Figures on the page: as people read them, with the exact value and where it stands in the JSON report.

use std::fmt::Display;

use maud::{Markup, html};

use crate::format::units;

/// A figure of the report: `pointer` is its place in the JSON report (RFC 6901), `value` what stands there.
pub(super) fn told(pointer: impl Display, value: impl Display, text: &str) -> Markup {
    html! { data value=(value) data-of=(pointer) { (text) } }
}

/// Joules.
pub(super) fn energy(pointer: impl Display, joules: f64) -> Markup {
    told(pointer, joules, &units::energy(joules))
}

/// Microjoules.
pub(super) fn balance(pointer: impl Display, microjoules: u64) -> Markup {
    told(
        pointer,
        microjoules,
        &units::energy(microjoules as f64 / 1e6),
    )
}

/// Grams that may not be known.
pub(super) fn mass(pointer: impl Display, grams: Option<f64>) -> Markup {
    match grams {
        Some(grams) => told(pointer, grams, &units::mass(grams)),
        None => html! { span.unknown data-of=(pointer) { "unknown" } },
    }
}

/// A difference, with its sign.
pub(super) fn difference(pointer: impl Display, value: f64, unit: fn(f64) -> String) -> Markup {
    told(pointer, value, &signed(value, unit))
}

/// A difference as text, with a minus sign that is as wide as its plus.
pub(super) fn signed(value: f64, unit: fn(f64) -> String) -> String {
    units::signed(value, unit).replace('-', "\u{2212}")
}

/// A share, as per cent.
pub(super) fn percent(pointer: impl Display, ratio: f64) -> Markup {
    told(pointer, ratio, &units::percent(ratio))
}

/// A bare figure.
pub(super) fn figure(pointer: impl Display, value: f64) -> Markup {
    told(pointer, value, &units::figure(value))
}

/// A number of things.
pub(super) fn count(pointer: impl Display, count: u64) -> Markup {
    told(pointer, count, &count.to_string())
}
