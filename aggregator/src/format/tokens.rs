//! The list of tokens for a terminal.

use jiff::Timestamp;

use super::grid::{Align, table as grid};
use super::units::short_time;
use crate::token::{Role, TokenRecord};

/// One line per token, the oldest first.
#[must_use]
pub fn table(tokens: &[TokenRecord], now: Timestamp, width: Option<u16>) -> String {
    let columns = [
        ("ID", Align::Whole),
        ("ROLE", Align::Whole),
        ("NODE", Align::Left),
        ("STATE", Align::Whole),
        ("EXPIRES", Align::Whole),
        ("NOTE", Align::Left),
    ];
    grid(
        &columns,
        tokens.iter().map(|token| row(token, now)).collect(),
        width,
    )
}

fn row(token: &TokenRecord, now: Timestamp) -> Vec<String> {
    let node = match &token.role {
        Role::Ingest { cluster, node } => format!("{cluster}/{node}"),
        Role::Read | Role::Admin => String::new(),
    };
    vec![
        token.id.clone(),
        token.role.name().to_owned(),
        node,
        token.state(now).to_owned(),
        token.expires.map_or_else(|| "never".to_owned(), short_time),
        token.note.clone(),
    ]
}
