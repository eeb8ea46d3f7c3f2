//! Sites: every revision of their settings.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::de::DeserializeOwned;

use super::recording::Recording;
use crate::site::Site;

pub(super) fn put_sites(
    connection: &mut Connection,
    sites: &[Site],
    now: Recording,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let recorded_ms = now.ms(&transaction)?;
    for site in sites {
        put(&transaction, site, recorded_ms)?;
    }
    transaction.commit()
}

fn put(connection: &Connection, site: &Site, recorded_ms: i64) -> rusqlite::Result<()> {
    let settings = serde_json::to_string(site)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute(
        "INSERT INTO site (name) VALUES (?1) ON CONFLICT (name) DO NOTHING",
        [&site.name],
    )?;
    let find = "SELECT settings FROM site_setting JOIN site ON id = site_id WHERE name = ?1
                ORDER BY recorded_ms DESC LIMIT 1";
    let newest: Option<String> = connection
        .query_row(find, [&site.name], |row| row.get(0))
        .optional()?;
    // Compared as what it means: an older program may have written fewer fields.
    let known = |text: &str| serde_json::from_str::<Site>(text).is_ok_and(|known| known == *site);
    if newest.is_some_and(|text| known(&text)) {
        return Ok(());
    }
    connection.execute(
        "INSERT INTO site_setting (site_id, recorded_ms, settings)
         SELECT id, ?2, ?3 FROM site WHERE name = ?1",
        params![site.name, recorded_ms, settings],
    )?;
    Recording::keep(connection, recorded_ms)
}

/// The latest settings that were known at a time, and the times of all up to then.
const SITES: &str = "
    SELECT name,
        (SELECT settings FROM site_setting WHERE site_id = id AND recorded_ms <= ?1
         ORDER BY recorded_ms DESC LIMIT 1),
        (SELECT json_group_array(recorded_ms ORDER BY recorded_ms)
         FROM site_setting WHERE site_id = id AND recorded_ms <= ?1)
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
    let site: Site = parsed(1, &settings)?;
    let times: Vec<i64> = parsed(2, &row.get::<_, String>(2)?)?;
    let times = times
        .into_iter()
        .filter_map(|ms| Timestamp::from_millisecond(ms).ok());
    Ok(Site {
        recorded: times.collect(),
        ..site
    })
}

fn parsed<T: DeserializeOwned>(column: usize, json: &str) -> rusqlite::Result<T> {
    serde_json::from_str(json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}
