//! From a provider's figures to slots, and from a long time to short ones.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ProviderError;
use crate::intensity::{IntensityBasis, Signal, Slot};

/// What all slots of one answer have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series<'a> {
    pub(super) zone: &'a str,
    pub(super) kind: Signal,
    pub(super) source: &'a str,
    /// gCO2e/kWh in one of the provider's units.
    pub(super) scale: f64,
}

impl Series<'_> {
    /// A slot; `None` where the figure is no intensity: null, text, negative or absurd. Such a one is a gap.
    pub(super) fn slot(
        self,
        from: Timestamp,
        to: Timestamp,
        figure: &Value,
        basis: IntensityBasis,
    ) -> Option<Slot> {
        let slot = Slot {
            intensity_zone: self.zone.to_owned(),
            from,
            to,
            g_per_kwh: figure.as_f64()? * self.scale,
            kind: self.kind,
            basis,
            source: self.source.to_owned(),
        };
        slot.validate().is_ok().then_some(slot)
    }
}

/// A time of an answer, which has to say its offset from UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, ProviderError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        malformed(format!(
            "'{}' is no time with its zone",
            shown.escape_debug()
        ))
    })
}

/// The end of a slot.
pub(super) fn end(from: Timestamp, length: SignedDuration) -> Result<Timestamp, ProviderError> {
    from.checked_add(length)
        .map_err(|_| malformed(format!("{from} is too far away")))
}

/// An answer in JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ProviderError> {
    // Only where it broke: what an answer holds is nobody's business in a log.
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            "another form than it should have"
        } else {
            "no whole JSON"
        };
        malformed(format!("{what}, at line {line}, column {column}"))
    })
}

pub(super) fn malformed(what: impl Into<String>) -> ProviderError {
    ProviderError::Malformed(what.into())
}

/// What it was asked for must come back.
pub(super) fn echoed(what: &str, asked: &str, told: &str) -> Result<(), ProviderError> {
    if asked == told {
        return Ok(());
    }
    let told: String = told.chars().take(40).collect();
    let told = told.escape_debug();
    Err(ProviderError::UnknownZone(format!(
        "it was asked for {what} '{asked}' and answered for '{told}'"
    )))
}

/// Slots in order; of those of the same time and basis the last that was told.
#[must_use]
pub fn tidy(mut slots: Vec<Slot>) -> Vec<Slot> {
    slots.reverse();
    // Stable: of equals the one that was told last is the first now, and stays.
    slots.sort_by_key(place);
    slots.dedup_by_key(|slot| place(slot));
    slots
}

/// By what slots are in order, and of which each is there once.
pub(crate) fn place(slot: &Slot) -> (Timestamp, Timestamp, IntensityBasis, Signal) {
    (slot.from, slot.to, slot.basis, slot.kind)
}

/// Those that touch a time, whole.
pub(super) fn touching(mut slots: Vec<Slot>, from: Timestamp, to: Timestamp) -> Vec<Slot> {
    slots.retain(|slot| slot.from < to && from < slot.to);
    slots
}

/// `from` to `to` in pieces of at most `longest`; the first begins where a slot of length `slot` does that holds `from`.
pub fn pages(
    from: Timestamp,
    to: Timestamp,
    slot: SignedDuration,
    longest: SignedDuration,
) -> impl Iterator<Item = (Timestamp, Timestamp)> + Send {
    let mut next = floor(from, slot);
    std::iter::from_fn(move || {
        if next >= to {
            return None;
        }
        let start = next;
        next = start.checked_add(longest).map_or(to, |end| end.min(to));
        Some((start, next))
    })
}

/// The start of the slot that holds a time, counted from the epoch.
fn floor(time: Timestamp, slot: SignedDuration) -> Timestamp {
    let (seconds, slot) = (time.as_second(), slot.as_secs().max(1));
    let over = seconds.rem_euclid(slot);
    Timestamp::from_second(seconds - over).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_long_time_is_cut_and_begins_with_a_slot() {
        let hours = SignedDuration::from_hours;
        let check = |from: &str, to: &str, expected: &[(&str, &str)]| {
            let found: Vec<_> = pages(at(from), at(to), hours(1), hours(10)).collect();
            let expected: Vec<_> = expected.iter().map(|(a, b)| (at(a), at(b))).collect();
            assert_eq!(found, expected);
        };
        let (ten, eight) = ("2026-01-05T10:00:00Z", "2026-01-05T20:00:00Z");
        check(
            "2026-01-05T10:07:01.5Z",
            "2026-01-05T12:30:00Z",
            &[(ten, "2026-01-05T12:30:00Z")],
        );
        check(ten, eight, &[(ten, eight)]);
        check(
            ten,
            "2026-01-05T20:00:01Z",
            &[(ten, eight), (eight, "2026-01-05T20:00:01Z")],
        );
        check(ten, ten, &[]);
        check(eight, ten, &[]);
    }

    #[test]
    fn what_is_no_intensity_is_a_gap() {
        let series = Series {
            zone: "FR",
            kind: Signal::default(),
            source: "a test",
            scale: 0.5,
        };
        let check = |figure: &str, expected: Option<f64>| {
            let figure: Value = serde_json::from_str(figure).unwrap();
            let (from, to) = (at("2026-01-05T10:00:00Z"), at("2026-01-05T11:00:00Z"));
            let slot = series.slot(from, to, &figure, IntensityBasis::Measured);
            assert_eq!(slot.map(|slot| slot.g_per_kwh), expected, "{figure}");
        };
        check("100", Some(50.0));
        check("0", Some(0.0));
        check("10000", Some(5000.0));
        for gap in [
            "null", "-1", "-0.001", "10001", "1e300", "\"100\"", "[]", "true",
        ] {
            check(gap, None);
        }
    }

    #[test]
    fn of_equal_slots_the_last_counts() {
        let slot = |from: &str, g_per_kwh| Slot {
            intensity_zone: "FR".to_owned(),
            from: at(from),
            to: at("2026-01-06T00:00:00Z"),
            g_per_kwh,
            kind: Signal::default(),
            basis: IntensityBasis::Measured,
            source: "a test".to_owned(),
        };
        let (ten, eleven) = ("2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z");
        let slots = tidy(vec![slot(eleven, 1.0), slot(ten, 2.0), slot(eleven, 3.0)]);
        assert_eq!(slots, [slot(ten, 2.0), slot(eleven, 3.0)]);
    }
}
