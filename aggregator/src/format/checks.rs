//! What a check of domains found, for a terminal.

use super::grid::{Align, table as grid};
use crate::deploy::check::{Checked, Part, Verdict};

/// One line per part: those of this machine first, then domain by domain.
#[must_use]
pub fn table(checked: &Checked, width: Option<u16>) -> String {
    let columns = [
        ("DOMAIN", Align::Left),
        ("CHECK", Align::Whole),
        ("RESULT", Align::Whole),
        ("DETAIL", Align::Left),
    ];
    let own = checked.programs.iter().map(|part| row("-", part));
    let domains = checked.domains.iter();
    let others =
        domains.flat_map(|domain| domain.parts.iter().map(|part| row(&domain.domain, part)));
    grid(&columns, own.chain(others).collect(), width)
}

fn row(domain: &str, part: &Part) -> Vec<String> {
    let verdict = match part.verdict {
        Verdict::Ok => "ok",
        Verdict::Failed => "failed",
        Verdict::Unknown => "unknown",
    };
    let cells = [domain, part.name, verdict, &part.detail];
    cells.map(str::to_owned).to_vec()
}
