//! Sites: every revision of their settings.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::site::Site;

pub(super) fn put_sites(
    connection: &mut Connection,
    sites: &[Site],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for site in sites {
        put(&transaction, site, now.as_millisecond())?;
    }
    transaction.commit()
}

fn put(connection: &Connection, site: &Site, now_ms: i64) -> rusqlite::Result<()> {
    let settings = serde_json::to_string(site)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute(
        "INSERT INTO site (name) VALUES (?1) ON CONFLICT (name) DO NOTHING",
        [&site.name],
    )?;
    let find =
        "SELECT settings, recorded_ms FROM site_setting JOIN site ON id = site_id WHERE name = ?1
                ORDER BY recorded_ms DESC LIMIT 1";
    let newest: Option<(String, i64)> = connection
        .query_row(find, [&site.name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // Compared as what it means: an older program may have written fewer fields.
    let known = |text: &str| serde_json::from_str::<Site>(text).is_ok_and(|known| known == *site);
    if newest.as_ref().is_some_and(|(text, _)| known(text)) {
        return Ok(());
    }
    // Two changes within a millisecond, or a clock that was set back, are one after the other all the same.
    let recorded_ms = newest.map_or(now_ms, |(_, before)| now_ms.max(before + 1));
    connection.execute(
        "INSERT INTO site_setting (site_id, recorded_ms, settings)
         SELECT id, ?2, ?3 FROM site WHERE name = ?1",
        params![site.name, recorded_ms, settings],
    )?;
    Ok(())
}

/// The latest settings that were known at a time, else the first.
const SITES: &str = "
    SELECT name, coalesce(
        (SELECT settings FROM site_setting WHERE site_id = id AND recorded_ms <= ?1
         ORDER BY recorded_ms DESC LIMIT 1),
        (SELECT settings FROM site_setting WHERE site_id = id ORDER BY recorded_ms LIMIT 1))
    FROM site ORDER BY name";

pub(super) fn sites(
    connection: &Connection,
    as_of: Option<Timestamp>,
) -> rusqlite::Result<Vec<Site>> {
    let as_of_ms = as_of.map_or(i64::MAX, Timestamp::as_millisecond);
    connection
        .prepare_cached(SITES)?
        .query_map([as_of_ms], site)?
        .collect()
}

fn site(row: &Row<'_>) -> rusqlite::Result<Site> {
    let (name, settings): (String, Option<String>) = (row.get(0)?, row.get(1)?);
    let Some(settings) = settings else {
        return Ok(Site::named(&name));
    };
    serde_json::from_str(&settings)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, error.into()))
}
