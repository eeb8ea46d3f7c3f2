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

/// A line within a width, broken between words; what follows is indented as the line is.
#[must_use]
pub fn wrapped(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let words = modules::wrapped(line, width, indent);
    format!("{:indent$}{}", "", words.trim_end())
}

/// As indented JSON, with a line's end.
///
/// # Errors
/// None for the types of this program; serde's interface allows for them.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words() {
        let check = |line: &str, width, expected: &str| assert_eq!(wrapped(line, width), expected);
        check("short", 5, "short");
        check("one two three", 7, "one two\nthree");
        check("  one two three", 9, "  one two\n  three");
        check("unbreakable word", 5, "unbreakable\nword");
        check("", 5, "");
    }
}
