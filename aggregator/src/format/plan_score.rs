//! What came of a plan, for a terminal.

use std::fmt::Write;

use super::escape::terminal;
use super::grid::{Align, table};
use super::units::{figure, mass, percent, short_time, time};
use crate::plan::{Score, Scored};

/// What came of a plan, as text within 80 columns.
#[must_use]
pub fn score_table(score: &Score) -> String {
    let zone = terminal(&score.plan.intensity_zone);
    let mut text = format!(
        "Plan of {} for zone {zone}, and what it was\n\n",
        time(score.plan.now)
    );
    text += &scored(score);
    let lines = [
        (
            "Saved",
            format!("{} against starting at once", percent(score.saving_ratio)),
        ),
        (
            "Regret",
            format!("{} against the best start", percent(score.regret_ratio)),
        ),
        ("Forecast", forecast(score)),
    ];
    text += "\n";
    for (name, fact) in lines {
        let _ = writeln!(text, "{name:<10} {fact}");
    }
    text
}

fn scored(score: &Score) -> String {
    let with_grams = score.planned.grams.is_some();
    let mut columns = vec![
        ("", Align::Whole),
        ("START", Align::Whole),
        ("END", Align::Whole),
        ("G/KWH", Align::Right),
    ];
    if with_grams {
        columns.push(("CARBON", Align::Right));
    }
    let row = |name: &str, scored: &Scored| {
        let mut row = vec![
            name.to_owned(),
            short_time(scored.start),
            short_time(scored.end),
            figure(scored.g_per_kwh),
        ];
        row.extend(scored.grams.map(mass));
        row
    };
    let rows = vec![
        row("at once", &score.start_now),
        row("planned", &score.planned),
        row("best", &score.best),
    ];
    table(&columns, rows, None)
}

fn forecast(score: &Score) -> String {
    let (told, was) = (score.plan.g_per_kwh, score.planned.g_per_kwh);
    let saving = score.plan.saving_ratio;
    let saving = saving.map_or_else(
        || "an unknown saving".to_owned(),
        |ratio| format!("a saving of {}", percent(ratio)),
    );
    format!(
        "{} g/kWh and {saving}; it was {} g/kWh",
        figure(told),
        figure(was)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::plan::tests::{USAGE, hour, slots, work};
    use crate::intensity::IntensityBasis;
    use crate::plan::{plan, score};

    const SCORE: &str = "\
Plan of 2026-01-05 10:00:00Z for zone FR, and what it was

         START              END                G/KWH   CARBON
at once  2026-01-05 10:00Z  2026-01-05 12:00Z  65.00  195.0 g
planned  2026-01-05 12:00Z  2026-01-05 14:00Z  40.00  120.0 g
best     2026-01-05 11:00Z  2026-01-05 13:00Z  35.00  105.0 g

Saved      38.5 % against starting at once
Regret     12.5 % against the best start
Forecast   30.00 g/kWh and a saving of 57.1 %; it was 40.00 g/kWh
";

    #[test]
    fn a_score_reads_well_in_80_columns() {
        let work = work(Some(USAGE));
        let timeline = slots(&[80.0, 60.0, 20.0, 40.0, 70.0], IntensityBasis::Forecast);
        let plan = plan(&work, hour(0), &timeline, None).unwrap();
        let actual = slots(&[90.0, 40.0, 30.0, 50.0, 30.0], IntensityBasis::Measured);
        let score = score(&work, plan, &actual, hour(9)).unwrap();
        assert_eq!(score_table(&score), SCORE);
    }
}
