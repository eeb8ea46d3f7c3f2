//! Figures as people read them: a unit that fits, and no more digits than mean something.

use jiff::{SignedDuration, Timestamp};

use crate::carbon::JOULES_PER_KWH;

/// Joules, watt-hours or kilowatt-hours, whichever gives a readable figure.
#[must_use]
pub fn energy(joules: f64) -> String {
    match joules.abs() {
        nothing if nothing < 5e-7 => "0 J".to_owned(),
        small if small < 3_600.0 => format!("{} J", figure(joules)),
        middle if middle < JOULES_PER_KWH => format!("{} Wh", figure(joules / 3_600.0)),
        _ => format!("{} kWh", figure(joules / JOULES_PER_KWH)),
    }
}

/// Milligrams, grams or kilograms.
#[must_use]
pub fn mass(grams: f64) -> String {
    match grams.abs() {
        nothing if nothing < 5e-10 => "0 g".to_owned(),
        small if small < 0.1 => format!("{} mg", figure(grams * 1e3)),
        middle if middle < 1_000.0 => format!("{} g", figure(grams)),
        _ => format!("{} kg", figure(grams / 1e3)),
    }
}

/// Milliwatts, watts or kilowatts.
#[must_use]
pub fn power(watts: f64) -> String {
    match watts.abs() {
        nothing if nothing < 5e-10 => "0 W".to_owned(),
        small if small < 0.1 => format!("{} mW", figure(watts * 1e3)),
        middle if middle < 1_000.0 => format!("{} W", figure(watts)),
        _ => format!("{} kW", figure(watts / 1e3)),
    }
}

/// Grams that may not be known.
#[must_use]
pub fn known_mass(grams: Option<f64>) -> String {
    grams.map_or_else(|| "unknown".to_owned(), mass)
}

/// With its sign, for a difference.
#[must_use]
pub fn signed(value: f64, unit: fn(f64) -> String) -> String {
    let text = unit(value);
    let plus = value > 0.0 && text != unit(0.0);
    if plus { format!("+{text}") } else { text }
}

/// Three to four digits: enough for what the figures are worth.
#[must_use]
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        tiny if tiny < 0.001 => format!("{value:.6}"),
        small if small < 1.0 => format!("{value:.4}"),
        small if small < 10.0 => format!("{value:.3}"),
        middle if middle < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    }
}

/// A share, as per cent.
#[must_use]
pub fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

/// In UTC, to the second.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// In UTC, to the minute: for lists.
#[must_use]
pub fn short_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// The two largest units of a length of time.
#[must_use]
pub fn duration(from: Timestamp, to: Timestamp) -> String {
    let length: SignedDuration = from.duration_until(to);
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{:.1} s", length.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_their_figures() {
        let cases = [
            (energy(0.0), "0 J"),
            (energy(0.012_345), "0.0123 J"),
            (energy(1.5), "1.500 J"),
            (energy(3_599.0), "3599.0 J"),
            (energy(-7_200.0), "-2.000 Wh"),
            (energy(5.4e9), "1500.0 kWh"),
            (energy(-1e-9), "0 J"),
            (energy(1e-6), "0.000001 J"),
            (mass(0.0), "0 g"),
            (power(0.0), "0 W"),
            (power(0.042), "42.00 mW"),
            (power(4.2), "4.200 W"),
            (power(1_234.0), "1.234 kW"),
            (signed(-1e-15, mass), "0 g"),
            (signed(1e-15, mass), "0 g"),
            (mass(0.000_2), "0.2000 mg"),
            (mass(12.345), "12.35 g"),
            (mass(1_234.0), "1.234 kg"),
            (signed(2.0, mass), "+2.000 g"),
            (signed(-2.0, mass), "-2.000 g"),
            (known_mass(None), "unknown"),
            (percent(0.5), "50.0 %"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn times_and_lengths_are_short() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let start = at("2026-01-05T10:00:00Z");
        assert_eq!(time(start), "2026-01-05 10:00:00Z");
        assert_eq!(short_time(start), "2026-01-05 10:00Z");
        assert_eq!(duration(start, at("2026-01-05T10:00:02.5Z")), "2.5 s");
        assert_eq!(duration(start, at("2026-01-05T10:12:30Z")), "12 min 30 s");
        assert_eq!(duration(start, at("2026-01-05T13:12:30Z")), "3 h 12 min");
        assert_eq!(duration(start, at("2026-01-07T11:12:30Z")), "2 d 1 h");
    }
}
