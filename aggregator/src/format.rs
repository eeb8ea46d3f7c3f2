//! Figures as text: tables for people, CSV and JSON for programs, Markdown for a pull request.
//!
//! Pure: takes values, returns text. Labels come from clusters and files and are not trusted: each format
//! escapes what would break it or the terminal.

pub mod budgets;
pub mod checks;
pub mod comparison;
pub mod domains;
pub mod escape;
pub(crate) mod explain;
#[cfg(test)]
mod fixture;
pub mod grid;
pub mod model_card;
pub mod modules;
pub mod place;
pub mod plan;
pub mod plan_score;
pub mod report_csv;
mod report_facts;
pub mod report_form;
pub mod report_html;
pub mod report_markdown;
pub mod report_table;
pub mod runs;
pub mod slots;
pub mod tokens;
pub mod units;

use serde::Serialize;

/// As indented JSON, with a line's end.
///
/// # Errors
/// None for the types of this program; serde's interface allows for them.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}
