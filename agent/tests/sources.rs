//! What is said of the power sources is said of all of them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use agent::sensor::source::SOURCES;

#[test]
fn every_source_is_a_row_of_the_documentation_in_the_order_of_the_list() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources.md");
    let text = fs::read_to_string(docs).unwrap();
    let row = |name: &str| {
        let row = text.find(&format!("\n| `{name}` | "));
        row.unwrap_or_else(|| panic!("docs/sources.md has no row `{name}`"))
    };
    let rows: Vec<usize> = SOURCES.iter().map(|source| row(source.name)).collect();
    assert!(rows.is_sorted(), "the rows are not in the order of SOURCES");
}

#[test]
fn automatic_sources_are_those_that_the_documentation_says_are() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources.md");
    let text = fs::read_to_string(docs).unwrap();
    for source in SOURCES {
        let start = format!("| `{}` | ", source.name);
        let row = text.lines().find(|line| line.starts_with(&start)).unwrap();
        let said = row.split(" | ").nth(1).unwrap();
        assert_eq!(said == "auto", source.is_automatic, "{row}");
    }
}
