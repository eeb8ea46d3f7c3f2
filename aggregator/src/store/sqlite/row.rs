//! How values stand in columns: amounts as non-negative 64-bit integers, times as milliseconds.

use jiff::Timestamp;
use rusqlite::Row;
use wire::Energy;

use crate::rollup::Unfit;

/// An amount as a column holds it.
pub(super) fn column(amount: u64) -> Result<i64, Unfit> {
    i64::try_from(amount).map_err(|_| Unfit::TooGreat)
}

/// An amount read from column `index`.
pub(super) fn amount(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// Energy read from column `index`.
pub(super) fn energy(row: &Row<'_>, index: usize) -> rusqlite::Result<Energy> {
    amount(row, index).map(Energy::from_microjoules)
}

/// A sum of energies in the two columns from `index`: whole joules, and the microjoules beside them. SQLite
/// adds in 63 bits and fails beyond, which the microjoules of a large fleet would reach.
pub(super) fn energy_sum(row: &Row<'_>, index: usize) -> rusqlite::Result<Energy> {
    let (joules, rest) = (amount(row, index)?, amount(row, index + 1)?);
    let microjoules = joules.saturating_mul(1_000_000).saturating_add(rest);
    Ok(Energy::from_microjoules(microjoules))
}

/// A time in milliseconds read from column `index`.
pub(super) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    let value: i64 = row.get(index)?;
    Timestamp::from_millisecond(value)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// `measured` or `modelled`, read from the flag in column `index`.
pub(super) fn basis(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    let modelled: bool = row.get(index)?;
    Ok(if modelled { "modelled" } else { "measured" }.to_owned())
}

/// How SQLite would find the rows of a question, step by step.
#[cfg(test)]
pub(super) fn query_plan(
    connection: &rusqlite::Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = connection.prepare(&sql).unwrap();
    let steps = statement.query_map(parameters, |row| row.get("detail"));
    steps.unwrap().map(Result::unwrap).collect()
}
