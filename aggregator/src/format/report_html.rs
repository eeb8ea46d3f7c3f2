//! A report as one HTML file, for people: it asks no host for anything, has no script, and prints on A4.
//!
//! It shows what the report has and computes nothing but what stands between its figures (shares, sums of a row). Each
//! figure of the report carries its exact value, and the place where it stands in the JSON report, as a JSON pointer
//! (`data-of`), so that a reader, or a program, can follow it.

mod baseline;
mod energy;
mod grids;
mod headline;
mod known;
mod nodes;
mod notes;
mod palette;
mod pods;
mod power;
mod scale;
mod told;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::escape::terminal;
use crate::report::Report;

/// What the file may load: nothing but what is in it. A server says the same in a header.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("../../ui/report.css");

/// The report as an HTML document. For its chart of power over time the report needs its course.
#[must_use]
pub fn report_html(report: &Report) -> String {
    let run = terminal(&report.run);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "hxmlops " (env!("CARGO_PKG_VERSION")) };
                title { "Energy and carbon of run " (run) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { (body(report)) }
        }
    };
    document.into_string()
}

fn body(report: &Report) -> Markup {
    html! {
        (headline::headline(report))
        main {
            (headline::tiles(report))
            (power::power(report))
            (energy::energy(report))
            (baseline::baseline(report))
            div.pair {
                (known::known(report))
                (grids::scope2(report))
            }
            (grids::intensity(report))
            (pods::pods(report))
            (nodes::nodes(report))
            (notes::equivalents(report))
            (notes::notes(report))
        }
        (notes::footer(report))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::format::fixture::{rich, without_grams};

    /// The pointers of a page's figures, each with its exact value.
    fn figures(page: &str) -> Vec<(&str, &str)> {
        let tags = page.split("<data value=\"").skip(1);
        tags.map(|tag| {
            let (value, rest) = tag.split_once('"').unwrap();
            let rest = rest.strip_prefix(" data-of=\"").unwrap();
            (rest.split_once('"').unwrap().0, value)
        })
        .collect()
    }

    /// Where numbers stand in a report, but for its course, which is a chart.
    fn numbers(value: &Value, at: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Number(_) => {
                found.insert(at.to_owned());
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    numbers(item, &format!("{at}/{number}"), found);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields.iter().filter(|(name, _)| *name != "course") {
                    numbers(field, &format!("{at}/{name}"), found);
                }
            }
            _ => {}
        }
    }

    fn check_figures(report: &Report) {
        let json = serde_json::to_value(report).unwrap();
        let page = report_html(report);
        let mut missing = BTreeSet::new();
        numbers(&json, "", &mut missing);
        for (pointer, value) in figures(&page) {
            let expected = json
                .pointer(pointer)
                .unwrap_or_else(|| panic!("there is no {pointer}"));
            assert_eq!(value.parse::<f64>().ok(), expected.as_f64(), "{pointer}");
            missing.remove(pointer);
        }
        assert_eq!(missing, BTreeSet::new(), "not on the page");
    }

    #[test]
    fn the_page_has_every_figure_of_the_report_and_no_other() {
        check_figures(&rich());
        check_figures(&without_grams());
    }

    #[test]
    fn a_page_is_the_same_for_the_same_report() {
        insta::assert_snapshot!("report_html", report_html(&rich()).replace(STYLE, "…"));
    }

    #[test]
    fn labels_stay_text() {
        let hostile = "</title><script>alert(1)</script>\" onload='x' \u{202e}&amp;\u{1}";
        let mut report = rich();
        report.run = hostile.to_owned();
        report.workflow = hostile.to_owned();
        report.cluster = hostile.to_owned();
        report.sites = vec![hostile.to_owned()];
        report.notes = vec![hostile.to_owned()];
        report.intensity[0].intensity_zone = hostile.to_owned();
        report.intensity[0].provider = hostile.to_owned();
        report.scope2.market_sources = vec![hostile.to_owned()];
        report.balance[0].node = hostile.to_owned();
        report.balance[0].zone = hostile.to_owned();
        report.stages[0].stage = hostile.to_owned();
        report.stages[0].components[0].component = hostile.to_owned();
        report.stages[0].components[0].zone = hostile.to_owned();
        report.stages[0].components[0].basis = hostile.to_owned();
        report.pods[0].pod = hostile.to_owned();
        report.pods[0].namespace = hostile.to_owned();
        report.equivalents[0].what = hostile.to_owned();
        report.equivalents[0].source = hostile.to_owned();
        if let Some(sci) = &mut report.sci {
            sci.unit = hostile.to_owned();
        }
        if let Some(baseline) = &mut report.baseline {
            baseline.baseline = hostile.to_owned();
            baseline.notes = vec![hostile.to_owned()];
            baseline.stages[0].stage = hostile.to_owned();
        }
        let page = report_html(&report);
        for markup in ["<script", "\" onload", "\u{202e}", "\u{1}"] {
            assert!(!page.contains(markup), "{markup:?}");
        }
        let escaped = "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload='x' \\u{202e}&amp;amp;\\u{1}";
        assert!(
            page.matches(escaped).count() >= 17,
            "{}",
            page.matches(escaped).count()
        );
    }

    #[test]
    fn nothing_in_the_page_leads_anywhere() {
        let page = report_html(&rich());
        for word in [
            "http:",
            "https:",
            "src=",
            "@import",
            "url(",
            "<script",
            "<link rel=\"stylesheet\"",
        ] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn a_report_of_nothing_is_a_page_too() {
        let nothing = Report {
            energy_joules: 0.0,
            idle_joules: 0.0,
            stages: Vec::new(),
            pods: Vec::new(),
            course: Vec::new(),
            balance: Vec::new(),
            intensity: Vec::new(),
            lost: Vec::new(),
            sci: None,
            baseline: None,
            equivalents: Vec::new(),
            ..without_grams()
        };
        check_figures(&nothing);
        assert!(!report_html(&nothing).contains("NaN"));
    }
}
