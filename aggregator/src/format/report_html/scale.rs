//! The geometry of a chart: scales with round ticks, and paths. Pure.
//!
//! A chart's canvas is [`SIDE`] wide and high, with its origin at the top left; the page stretches it. So positions on a
//! scale are shares, 0 to 1, and text stands outside of it.

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Width and height of a canvas.
pub(super) const SIDE: f64 = 1000.0;

/// Parts that a scale of figures is divided into, so that two scales share their lines.
pub(super) const DIVISIONS: u32 = 4;

/// A scale of figures from 0 to a round one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    step: f64,
}

impl Scale {
    /// The smallest round scale that reaches a figure, 0 or more.
    pub(super) fn reaching(max: f64) -> Self {
        const ROUND: [f64; 10] = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
        let least = max / f64::from(DIVISIONS);
        if !least.is_finite() || least <= 0.0 {
            return Self { step: 1.0 };
        }
        let power = 10_f64.powf(least.log10().floor());
        let fits = |round: &&f64| **round * power >= least * (1.0 - 1e-9);
        let round = ROUND.iter().find(fits).copied().unwrap_or(10.0);
        Self {
            step: round * power,
        }
    }

    /// Its end.
    pub(super) fn top(self) -> f64 {
        self.step * f64::from(DIVISIONS)
    }

    /// Where a figure stands, 0 to 1.
    pub(super) fn share(self, figure: f64) -> f64 {
        (figure / self.top()).clamp(0.0, 1.0)
    }

    /// Each tick: where it stands, and its figure divided by `unit`.
    pub(super) fn ticks(self, unit: f64) -> Vec<(f64, String)> {
        let step = self.step / unit;
        let decimals = (0..6_u32).find(|decimals| {
            let scaled = step * 10_f64.powi(decimals.cast_signed());
            (scaled - scaled.round()).abs() < 1e-6
        });
        let decimals = decimals.unwrap_or(6) as usize;
        let tick = |number: u32| {
            let figure = step * f64::from(number);
            let share = f64::from(number) / f64::from(DIVISIONS);
            (share, format!("{figure:.decimals$}"))
        };
        (0..=DIVISIONS).map(tick).collect()
    }
}

/// Ticks of a time at most.
const MAX_TIME_TICKS: i64 = 5;

/// Round times (UTC) within a time: where each stands, and how it is written.
pub(super) fn time_ticks(from: Timestamp, to: Timestamp) -> Vec<(f64, String)> {
    const MINUTES: [i64; 16] = [
        1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 40_320, 161_280,
    ];
    let (start, end) = (from.as_second(), to.as_second());
    let length = (end - start).max(1);
    let fits = |step: &&i64| length / (**step * 60) < MAX_TIME_TICKS;
    let step = MINUTES
        .iter()
        .find(fits)
        .map_or(length, |minutes| minutes * 60);
    let first = (start + step - 1).div_euclid(step) * step;
    let ticks = (first..=end).step_by(usize::try_from(step).unwrap_or(1));
    ticks
        .filter_map(|second| {
            let share = (second - start) as f64 / length as f64;
            Some((share, time_label(second, step)?))
        })
        .collect()
}

fn time_label(second: i64, step: i64) -> Option<String> {
    const DAY: i64 = 86_400;
    let time = Timestamp::from_second(second).ok()?.to_zoned(TimeZone::UTC);
    let is_day = step % DAY == 0 || second % DAY == 0;
    let form = if is_day { "%-d %b" } else { "%H:%M" };
    Some(time.strftime(form).to_string())
}

/// Where each border of consecutive parts stands in their whole time, 0 to 1: one more than there are parts.
pub(super) fn borders(parts: &[(Timestamp, Timestamp)]) -> Vec<f64> {
    let (Some((start, _)), Some((_, end))) = (parts.first(), parts.last()) else {
        return Vec::new();
    };
    let length = seconds(start.duration_until(*end));
    let share = |time: &Timestamp| seconds(start.duration_until(*time)) / length;
    let starts = parts.iter().map(|(from, _)| share(from));
    starts.chain([1.0]).collect()
}

fn seconds(length: SignedDuration) -> f64 {
    length.as_secs_f64()
}

/// The outline of a band whose edges are steps: `lower` and `upper` (shares of the height) of each part between two
/// `borders` (shares of the width).
pub(super) fn band(borders: &[f64], lower: &[f64], upper: &[f64]) -> String {
    let Some((first, _)) = borders.split_first() else {
        return String::new();
    };
    let mut path = format!(
        "M{} {}",
        across(*first),
        down(lower.first().copied().unwrap_or(0.0))
    );
    for (right, level) in borders.iter().skip(1).zip(upper) {
        let _ = write!(path, "V{}H{}", down(*level), across(*right));
    }
    for (left, level) in borders.iter().zip(lower).rev() {
        let _ = write!(path, "V{}H{}", down(*level), across(*left));
    }
    path.push('Z');
    path
}

/// A line of steps, with a gap where a part has no level.
pub(super) fn steps(borders: &[f64], levels: &[Option<f64>]) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (sides, level) in borders.windows(2).zip(levels) {
        let Some(level) = level else {
            is_drawing = false;
            continue;
        };
        let level = down(*level);
        let _ = if is_drawing {
            write!(path, "V{level}")
        } else {
            write!(path, "M{} {level}", across(sides[0]))
        };
        let _ = write!(path, "H{}", across(sides[1]));
        is_drawing = true;
    }
    path
}

/// To a tenth of a unit of the canvas.
fn across(share: f64) -> f64 {
    (share * SIDE * 10.0).round() / 10.0
}

fn down(share: f64) -> f64 {
    across(1.0 - share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scales_end_at_round_figures() {
        let check = |max: f64, unit: f64, expected: &[&str]| {
            let scale = Scale::reaching(max);
            let ticks: Vec<String> = scale
                .ticks(unit)
                .into_iter()
                .map(|(_, text)| text)
                .collect();
            assert_eq!(ticks, expected, "{max}");
            assert!(max.is_nan() || scale.top() >= max * (1.0 - 1e-9));
        };
        check(0.0, 1.0, &["0", "1", "2", "3", "4"]);
        check(f64::NAN, 1.0, &["0", "1", "2", "3", "4"]);
        check(940.0, 1.0, &["0", "250", "500", "750", "1000"]);
        check(400.0, 1.0, &["0", "100", "200", "300", "400"]);
        check(5_100.0, 1e3, &["0.0", "1.5", "3.0", "4.5", "6.0"]);
        check(0.9, 1.0, &["0.00", "0.25", "0.50", "0.75", "1.00"]);
        check(81.0, 1.0, &["0", "25", "50", "75", "100"]);
    }

    #[test]
    fn ticks_of_time_are_few_and_round() {
        let check = |from: &str, to: &str, expected: &[(&str, f64)]| {
            let ticks = time_ticks(from.parse().unwrap(), to.parse().unwrap());
            let found: Vec<(&str, f64)> = ticks
                .iter()
                .map(|(share, text)| (text.as_str(), (share * 1000.0).round() / 1000.0))
                .collect();
            assert_eq!(found, expected, "{from} to {to}");
        };
        check(
            "2026-01-05T10:00:00Z",
            "2026-01-05T10:01:00Z",
            &[("10:00", 0.0), ("10:01", 1.0)],
        );
        check(
            "2026-11-02T21:40:00Z",
            "2026-11-03T05:40:00Z",
            &[
                ("22:00", 0.042),
                ("3 Nov", 0.292),
                ("02:00", 0.542),
                ("04:00", 0.792),
            ],
        );
        check(
            "2026-01-30T00:00:00Z",
            "2026-02-02T00:00:00Z",
            &[
                ("30 Jan", 0.0),
                ("31 Jan", 0.333),
                ("1 Feb", 0.667),
                ("2 Feb", 1.0),
            ],
        );
        check("2026-01-05T10:00:10Z", "2026-01-05T10:00:20Z", &[]);
    }

    #[test]
    fn paths_are_steps() {
        let borders = [0.0, 0.5, 1.0];
        assert_eq!(
            band(&borders, &[0.0, 0.0], &[0.2, 1.0]),
            "M0 1000V800H500V0H1000V1000H500V1000H0Z"
        );
        assert_eq!(
            steps(&borders, &[Some(0.5), Some(0.25)]),
            "M0 500H500V750H1000"
        );
        assert_eq!(steps(&borders, &[None, Some(0.25)]), "M500 750H1000");
        assert_eq!(steps(&borders, &[Some(0.25), None]), "M0 750H500");
        assert_eq!(
            (band(&[], &[], &[]), steps(&[], &[])),
            (String::new(), String::new())
        );
    }

    /// Twice the area of a closed path of `M x y`, `V` and `H`.
    fn area(path: &str) -> f64 {
        let mut points = Vec::new();
        let (mut x, mut y) = (0.0, 0.0);
        let mut rest = path.trim_end_matches('Z');
        while let Some(command) = rest.chars().next() {
            let end = rest[1..]
                .find(['M', 'H', 'V'])
                .map_or(rest.len(), |at| at + 1);
            let figures: Vec<f64> = rest[1..end]
                .split(' ')
                .map(|text| text.parse().unwrap())
                .collect();
            match command {
                'M' => (x, y) = (figures[0], figures[1]),
                'H' => x = figures[0],
                _ => y = figures[0],
            }
            points.push((x, y));
            rest = &rest[end..];
        }
        let next = points.iter().cycle().skip(1);
        points
            .iter()
            .zip(next)
            .map(|(a, b)| a.0 * b.1 - b.0 * a.1)
            .sum::<f64>()
            .abs()
    }

    proptest! {
        #[test]
        fn a_band_has_the_area_of_its_figures(levels in prop::collection::vec((0.0_f64..0.5, 0.0_f64..0.5), 1..240)) {
            let parts = levels.len();
            let borders: Vec<f64> = (0..=parts).map(|at| at as f64 / parts as f64).collect();
            let lower: Vec<f64> = levels.iter().map(|(lower, _)| *lower).collect();
            let upper: Vec<f64> = levels.iter().map(|(lower, height)| lower + height).collect();
            let drawn = area(&band(&borders, &lower, &upper)) / 2.0 / SIDE / SIDE;
            let expected = levels.iter().map(|(_, height)| height).sum::<f64>() / parts as f64;
            prop_assert!((drawn - expected).abs() < 1e-3, "{} is not {}", drawn, expected);
        }
    }
}
