//! A plan for a terminal.

use std::fmt::Write;

use super::escape::terminal;
use super::grid::{Align, table};
use super::units::{duration, figure, mass, percent, short_time, signed, time};
use crate::intensity::errors::ForecastErrors;
use crate::plan::{Plan, WindowStep};

/// Columns of the longest bar of the chart.
const BAR: f64 = 40.0;

/// The plan as text within 80 columns: when to start, what that saves, how sure it is, and the window as a chart.
#[must_use]
pub fn plan_table(plan: &Plan) -> String {
    let sections = [
        heading(plan),
        starts(plan),
        facts(plan),
        chart(plan),
        notes(plan),
    ];
    sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn heading(plan: &Plan) -> String {
    let zone = terminal(&plan.intensity_zone);
    let (start, length) = (time(plan.start), duration(plan.start, plan.end));
    let when = if plan.start == plan.now {
        "now".to_owned()
    } else {
        format!("in {}", duration(plan.now, plan.start))
    };
    format!("Greenest start for {length} in zone {zone}: {start}, {when}\n")
}

fn starts(plan: &Plan) -> String {
    let carbon = plan.carbon;
    let mut columns = vec![
        ("", Align::Whole),
        ("START", Align::Whole),
        ("END", Align::Whole),
        ("G/KWH", Align::Right),
    ];
    if carbon.is_some() {
        columns.push(("CARBON", Align::Right));
    }
    let length = plan.start.duration_until(plan.end);
    let row = |name: &str, start, g_per_kwh: Option<f64>, grams: Option<f64>| {
        let known = |value: Option<f64>, unit: fn(f64) -> String| {
            value.map_or_else(|| "unknown".to_owned(), unit)
        };
        let mut row = vec![
            name.to_owned(),
            short_time(start),
            short_time(start + length),
            known(g_per_kwh, figure),
        ];
        if carbon.is_some() {
            row.push(known(grams, mass));
        }
        row
    };
    let now = plan.start_now.map(|now| now.g_per_kwh);
    let grams = (
        carbon.and_then(|carbon| carbon.start_now_grams),
        carbon.map(|carbon| carbon.planned_grams),
    );
    let rows = vec![
        row("now", plan.now, now, grams.0),
        row("greenest", plan.start, Some(plan.g_per_kwh), grams.1),
    ];
    table(&columns, rows, None)
}

fn facts(plan: &Plan) -> String {
    let mut lines = vec![("Saving", saving(plan))];
    if let Some(carbon) = &plan.carbon {
        let energy = super::units::energy(carbon.energy_joules);
        lines.push(("Work", format!("{energy} at PUE {}", figure(carbon.pue))));
    }
    lines.push((
        "Intensity",
        format!("{}, {}", plan.signal, plan.sources.join(", ")),
    ));
    lines.push(("Basis", basis(plan)));
    if let Some(errors) = &plan.forecast_errors {
        lines.push(("Forecasts", errors_text(errors)));
    }
    if let Some(range) = plan.range {
        let (low, high) = (figure(range.low_g_per_kwh), figure(range.high_g_per_kwh));
        lines.push((
            "Range",
            format!("{low} to {high} g/kWh for the greenest start, by these errors"),
        ));
    }
    lines.iter().fold(String::new(), |mut text, (name, fact)| {
        let _ = writeln!(text, "{name:<10} {}", terminal(fact));
        text
    })
}

fn saving(plan: &Plan) -> String {
    let Some(ratio) = plan.saving_ratio else {
        return "unknown".to_owned();
    };
    let grams = plan.carbon.and_then(|carbon| carbon.saved_grams);
    let grams = grams.map_or_else(String::new, |grams| format!(", {}", mass(grams)));
    format!("{} against starting now{grams}", percent(ratio))
}

fn basis(plan: &Plan) -> String {
    let shares = [
        (plan.basis.measured, "measured"),
        (plan.basis.estimated, "estimated"),
        (plan.basis.forecast, "forecast"),
        (plan.basis.annual, "annual"),
    ];
    let told = shares.iter().filter(|(share, _)| *share > 0.0);
    let told: Vec<String> = told
        .map(|(share, name)| format!("{} {name}", percent(*share)))
        .collect();
    told.join(", ")
}

fn errors_text(errors: &ForecastErrors) -> String {
    let off = |ratio: f64| signed(ratio - 1.0, percent);
    format!(
        "8 of 10 were off by {} to {} ({} slots of 30 days)",
        off(errors.low_ratio),
        off(errors.high_ratio),
        errors.pairs
    )
}

/// A bar for each step of the window; of `#` where the planned start has its time. Nothing where all are the same.
fn chart(plan: &Plan) -> String {
    let is_flat = |pair: &[WindowStep]| pair[0].g_per_kwh == pair[1].g_per_kwh;
    if plan.window.windows(2).all(is_flat) {
        return String::new();
    }
    let known = plan.window.iter().filter_map(|step| step.g_per_kwh);
    let highest = known.fold(0.0, f64::max);
    plan.window.iter().fold(String::new(), |mut text, step| {
        let _ = writeln!(text, "{}", bar(plan, step, highest).trim_end());
        text
    })
}

fn bar(plan: &Plan, step: &WindowStep, highest: f64) -> String {
    let start = short_time(step.from);
    let Some(g_per_kwh) = step.g_per_kwh else {
        return format!("{start}  unknown");
    };
    let part = if highest > 0.0 {
        g_per_kwh / highest
    } else {
        0.0
    };
    let is_planned = step.from < plan.end && plan.start < step.to;
    let mark = if is_planned { "#" } else { "-" };
    let bar = mark.repeat((part * BAR).round() as usize);
    format!("{start}  {:>7}  {bar}", figure(g_per_kwh))
}

fn notes(plan: &Plan) -> String {
    plan.notes.iter().fold(String::new(), |mut text, note| {
        let _ = writeln!(text, "Note: {}", terminal(note));
        text
    })
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::intensity::{IntensityBasis, Signal, Slot};
    use crate::plan::{Usage, Work, plan};

    pub(in crate::format) fn hour(hour: i64) -> Timestamp {
        let origin: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
        origin + SignedDuration::from_hours(hour)
    }

    pub(in crate::format) fn slots(figures: &[f64], basis: IntensityBasis) -> Vec<Slot> {
        let slot = |(start, g_per_kwh): (i64, &f64)| Slot {
            intensity_zone: "FR".to_owned(),
            from: hour(start),
            to: hour(start + 1),
            g_per_kwh: *g_per_kwh,
            kind: Signal::default(),
            basis,
            source: "grid\u{1b}[2J".to_owned(),
        };
        (0..).zip(figures).map(slot).collect()
    }

    pub(in crate::format) fn work(usage: Option<Usage>) -> Work {
        Work {
            intensity_zone: "FR".to_owned(),
            signal: Signal::default(),
            duration: SignedDuration::from_hours(2),
            within: SignedDuration::from_hours(5),
            usage,
        }
    }

    pub(in crate::format) const USAGE: Usage = Usage {
        joules: 7.2e6,
        pue: 1.5,
    };
    const PLAN: &str = "\
Greenest start for 2 h 0 min in zone FR: 2026-01-05 12:00:00Z, in 2 h 0 min

          START              END                G/KWH   CARBON
now       2026-01-05 10:00Z  2026-01-05 12:00Z  70.00  210.0 g
greenest  2026-01-05 12:00Z  2026-01-05 14:00Z  30.00  90.00 g

Saving     57.1 % against starting now, 120.0 g
Work       2.000 kWh at PUE 1.500
Intensity  average-lifecycle-production, grid\\u{1b}[2J
Basis      100.0 % forecast
Forecasts  8 of 10 were off by -8.0 % to +12.5 % (720 slots of 30 days)
Range      27.60 to 33.75 g/kWh for the greenest start, by these errors

2026-01-05 10:00Z    80.00  ----------------------------------------
2026-01-05 10:15Z    80.00  ----------------------------------------
2026-01-05 10:30Z    80.00  ----------------------------------------
2026-01-05 10:45Z    80.00  ----------------------------------------
2026-01-05 11:00Z    60.00  ------------------------------
2026-01-05 11:15Z    60.00  ------------------------------
2026-01-05 11:30Z    60.00  ------------------------------
2026-01-05 11:45Z    60.00  ------------------------------
2026-01-05 12:00Z    20.00  ##########
2026-01-05 12:15Z    20.00  ##########
2026-01-05 12:30Z    20.00  ##########
2026-01-05 12:45Z    20.00  ##########
2026-01-05 13:00Z    40.00  ####################
2026-01-05 13:15Z    40.00  ####################
2026-01-05 13:30Z    40.00  ####################
2026-01-05 13:45Z    40.00  ####################
2026-01-05 14:00Z    70.00  -----------------------------------
2026-01-05 14:15Z    70.00  -----------------------------------
2026-01-05 14:30Z    70.00  -----------------------------------
2026-01-05 14:45Z    70.00  -----------------------------------
";
    const FIGURES: [f64; 5] = [80.0, 60.0, 20.0, 40.0, 70.0];

    #[test]
    fn a_plan_reads_well_in_80_columns() {
        let errors = ForecastErrors {
            pairs: 720,
            low_ratio: 0.92,
            high_ratio: 1.125,
        };
        let timeline = slots(&FIGURES, IntensityBasis::Forecast);
        let plan = plan(&work(Some(USAGE)), hour(0), &timeline, Some(errors)).unwrap();
        assert_eq!(plan_table(&plan), PLAN);
    }

    #[test]
    fn a_plan_without_grams_says_what_is_not_known() {
        let mut timeline = slots(&FIGURES, IntensityBasis::Forecast);
        timeline.remove(1);
        let plan = plan(&work(None), hour(0), &timeline, None).unwrap();
        let text = plan_table(&plan);
        for line in [
            "now       2026-01-05 10:00Z  2026-01-05 12:00Z  unknown\n",
            "\nSaving     unknown\n",
            "\n2026-01-05 11:45Z  unknown\n2026-01-05 12:00Z    20.00  ##########\n",
            "\nNote: For 20.0 % of the window there is no forecast;",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("CARBON"), "{text}");
    }

    #[test]
    fn a_window_in_which_nothing_changes_has_no_chart() {
        let timeline = slots(&[80.0; 5], IntensityBasis::Annual);
        let plan = plan(&work(None), hour(0), &timeline, None).unwrap();
        let text = plan_table(&plan);
        assert!(!text.contains("---") && !text.contains("##"), "{text}");
    }
}
