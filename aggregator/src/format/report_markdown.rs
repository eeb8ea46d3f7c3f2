//! A report as Markdown, for a comment on a pull request.

use std::fmt::Write;

use super::escape::{markdown, markdown_sentence};
use super::report_facts::{Fact, figures, grounds, intensities};
use super::report_table::stage_name;
use super::units::{duration, energy, known_mass, mass, signed, time};
use crate::compare::{Comparison, Difference};
use crate::report::{Report, StageReport};

/// Stages, and lines of what else is listed, at most; a comment holds 65,536 characters.
const MAX_LINES: usize = 50;

/// The report as Markdown.
#[must_use]
pub fn report_markdown(report: &Report) -> String {
    let sections = [
        headline(report),
        report.baseline.as_ref().map(difference).unwrap_or_default(),
        stages(report),
        facts(report),
        details(report),
    ];
    let there = sections.into_iter().filter(|section| !section.is_empty());
    there.collect::<Vec<_>>().join("\n")
}

/// Which run, and the figures that are looked for first, in a table of one line.
fn headline(report: &Report) -> String {
    let mut columns = vec![
        ("Energy".to_owned(), energy(report.energy_joules)),
        ("Carbon (CO2e)".to_owned(), known_mass(report.carbon_grams)),
    ];
    if let Some(range) = report.carbon_range {
        let (low, high) = (mass(range.low_grams), mass(range.high_grams));
        columns.push(("Range".to_owned(), format!("{low} to {high}")));
    }
    columns.push(("Embodied".to_owned(), known_mass(report.embodied_grams)));
    if let Some(sci) = &report.sci {
        let unit = format!("SCI per {}", markdown(&sci.unit));
        columns.push((unit, known_mass(sci.grams_per_unit)));
    }
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let names = columns.iter().map(|(name, _)| name.as_str()).collect();
    let figures: Vec<String> = columns
        .iter()
        .map(|(_, figure)| format!("**{figure}**"))
        .collect();
    let figures = figures.iter().map(String::as_str).collect();
    format!(
        "### Energy and carbon of run {}\n\n{}{}{}\nWorkflow {}, cluster {}; {}, for {}.\n",
        markdown(&report.run),
        line(names),
        line(vec!["---:"; columns.len()]),
        line(figures),
        markdown(&report.workflow),
        markdown(&report.cluster),
        time(report.start),
        duration(report.start, report.end),
    )
}

/// How much more or less than the baseline, and why.
fn difference(baseline: &Comparison) -> String {
    let total = &baseline.total;
    let reasons = match total.difference_grams {
        Some(why) => format!(
            "carbon **{}**: by energy {}, by intensity {}, by PUE {}",
            signed(why.total, mass),
            signed(why.energy, mass),
            signed(why.intensity, mass),
            signed(why.pue, mass),
        ),
        None => "the difference in carbon is unknown".to_owned(),
    };
    let name = markdown(&baseline.baseline);
    let energy = signed(total.difference_joules, energy);
    format!("Against run {name}: energy **{energy}**; {reasons}.\n")
}

/// A table of stages, with what has changed where there is a baseline.
fn stages(report: &Report) -> String {
    let changes = report.baseline.as_ref().map(|baseline| &baseline.stages);
    let mut text = "| Stage | Energy | Idle part | Carbon |".to_owned();
    text += if changes.is_some() {
        " Energy change | Carbon change |\n"
    } else {
        "\n"
    };
    text += "| :--- | ---: | ---: | ---: |";
    text += if changes.is_some() {
        " ---: | ---: |\n"
    } else {
        "\n"
    };
    for stage in report.stages.iter().take(MAX_LINES) {
        text += &stage_line(stage);
        let mut of_baseline = changes.into_iter().flatten();
        let change = of_baseline.find(|change| change.stage == stage.stage);
        text += &changes.map_or_else(String::new, |_| change_cells(change, ""));
        text.push('\n');
    }
    for gone in changes.into_iter().flatten().take(MAX_LINES) {
        if !report.stages.iter().any(|stage| stage.stage == gone.stage) {
            let name = markdown(stage_name(&gone.stage));
            let _ = writeln!(
                text,
                "| {name} (not run) | | | |{}",
                change_cells(Some(gone), "")
            );
        }
    }
    let more = report.stages.len().saturating_sub(MAX_LINES);
    if more > 0 {
        let _ = writeln!(
            text,
            "| and {more} more | | | |{}",
            changes.map_or("", |_| " | |")
        );
    }
    let _ = write!(
        text,
        "| **Total** | **{}** | **{}** | **{}** |",
        energy(report.energy_joules),
        energy(report.idle_joules),
        known_mass(report.carbon_grams),
    );
    let total = report.baseline.as_ref().map(|baseline| &baseline.total);
    text += &total.map_or_else(String::new, |total| change_cells(Some(total), "**"));
    text.push('\n');
    text
}

fn stage_line(stage: &StageReport) -> String {
    let idle: f64 = stage.components.iter().map(|part| part.idle_joules).sum();
    format!(
        "| {} | {} | {} | {} |",
        markdown(stage_name(&stage.stage)),
        energy(stage.energy_joules),
        energy(idle),
        known_mass(stage.carbon_grams),
    )
}

fn change_cells(change: Option<&Difference>, mark: &str) -> String {
    let Some(change) = change else {
        return " | |".to_owned();
    };
    let energy = signed(change.difference_joules, energy);
    let grams = change.difference_grams;
    let carbon = grams.map_or_else(|| "unknown".to_owned(), |why| signed(why.total, mass));
    format!(" {mark}{energy}{mark} | {mark}{carbon}{mark} |")
}

fn facts(report: &Report) -> String {
    let figures = figures(report).into_iter();
    // The headline has it.
    lines(figures.filter(|(name, _)| *name != "Range"))
}

fn lines(facts: impl Iterator<Item = Fact>) -> String {
    facts
        .take(MAX_LINES)
        .fold(String::new(), |mut text, (name, fact)| {
            let _ = writeln!(text, "- {name}: {}", markdown_sentence(&fact));
            text
        })
}

/// Folded away: who looks at the figures opens them.
fn details(report: &Report) -> String {
    let grounds = lines(grounds(report).into_iter().chain(intensities(report)));
    let own = report.notes.iter().map(|note| markdown_sentence(note));
    let of_baseline = report.baseline.iter().flat_map(|baseline| {
        let name = markdown(&baseline.baseline);
        let notes = baseline.notes.iter();
        notes.map(move |note| format!("Run {name}: {}", markdown_sentence(note)))
    });
    let notes = own.chain(of_baseline).take(MAX_LINES);
    let notes: String = notes.map(|note| format!("- {note}\n")).collect();
    format!("<details><summary>What it rests on</summary>\n\n{grounds}{notes}\n</details>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::fixture::{rich, without_grams};

    #[test]
    fn a_comment_has_what_a_reviewer_asks_for() {
        insta::assert_snapshot!("report_markdown", report_markdown(&rich()));
        let mut alone = without_grams();
        alone.baseline = None;
        insta::assert_snapshot!("report_markdown_without_grams", report_markdown(&alone));
    }

    #[test]
    fn labels_format_nothing() {
        let hostile = "</details>|@all\n# *x* https://x.y";
        let mut report = rich();
        report.run = hostile.to_owned();
        report.stages[0].stage = hostile.to_owned();
        report.intensity[0].provider = hostile.to_owned();
        report.scope2.market_sources = vec![hostile.to_owned()];
        report.notes = vec![hostile.to_owned()];
        if let Some(sci) = &mut report.sci {
            sci.unit = hostile.to_owned();
        }
        if let Some(baseline) = &mut report.baseline {
            baseline.baseline = hostile.to_owned();
            baseline.notes = vec![hostile.to_owned()];
        }
        let text = report_markdown(&report);
        assert_eq!(text.matches("</details>").count(), 1, "{text}");
        for markup in ["@all", "*x*", "https:", "\n# "] {
            assert!(!text.contains(markup), "{markup:?} in {text}");
        }
    }

    #[test]
    fn a_comment_is_never_longer_than_one_may_be() {
        let mut report = rich();
        let name = "\\*".repeat(200);
        let stage = StageReport {
            stage: name.clone(),
            ..report.stages[0].clone()
        };
        report.run.clone_from(&name);
        report.stages = vec![stage; 1_000];
        report.intensity = vec![report.intensity[0].clone(); 1_000];
        report.notes = vec![name; 1_000];
        if let Some(baseline) = &mut report.baseline {
            baseline.stages = vec![baseline.stages[1].clone(); 1_000];
        }
        let length = report_markdown(&report).len();
        assert!(length < 65_536, "{length}");
    }
}
