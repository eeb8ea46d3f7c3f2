//! Charts: energy of each minute (or hour, where minutes were folded) by node, stage or run.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use wire::Energy;

use super::super::row::{energy, energy_sum, time};
use super::TooMany;
use crate::store::{SeriesBy, SeriesPoint, SiteEnergy};

/// Points of one answer at most.
pub(super) const MAX_POINTS: usize = 500_000;

/// (zone table, share table, column of the time, seconds) of minutes and of hours.
pub(super) const FORMS: [Form; 2] = [
    ("zone_minute", "share_minute", "minute", 60),
    ("zone_hour", "share_hour", "hour", 3_600),
];

pub(super) type Form = (&'static str, &'static str, &'static str, u32);

/// A time of which nothing is known is a gap in a line, not a 0.
pub(in crate::store::sqlite) fn series(
    connection: &Connection,
    by: SeriesBy,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Result<Vec<SeriesPoint>, TooMany>> {
    let mut points = Vec::new();
    for form in &FORMS {
        let range = range(from, to, form);
        let mut of_form = match by {
            SeriesBy::Node => nodes(connection, form, range)?,
            SeriesBy::Stage => shares(connection, form, range, "stage")?,
            SeriesBy::Run => shares(connection, form, range, "run")?,
        };
        points.append(&mut of_form);
        if points.len() > MAX_POINTS {
            return Ok(Err(TooMany(MAX_POINTS)));
        }
    }
    // Each form is in order by itself.
    points.sort_by(|a, b| (a.minute, &a.name).cmp(&(b.minute, &b.name)));
    Ok(Ok(points))
}

/// Of a time that is cut off nothing is left out: a minute or hour belongs to the range in which it starts.
pub(super) fn range(from: Timestamp, to: Timestamp, &(_, _, _, seconds): &Form) -> (i64, i64) {
    let length_ms = i64::from(seconds) * 1_000;
    let first_from = |time: Timestamp| {
        let ms = time.as_millisecond();
        ms.div_euclid(length_ms) + i64::from(ms.rem_euclid(length_ms) > 0)
    };
    (first_from(from), first_from(to))
}

fn nodes(
    connection: &Connection,
    &(zones, _, column, seconds): &Form,
    (first, end): (i64, i64),
) -> rusqlite::Result<Vec<SeriesPoint>> {
    let sql = format!(
        "SELECT {column} * {seconds} * 1000, cluster || '/' || node,
                sum(measured_uj / 1000000), sum(measured_uj % 1000000)
         FROM node JOIN {zones} ON node_id = node.id JOIN zone ON zone.id = zone_id
         WHERE {column} >= ?1 AND {column} < ?2 AND parent = '' AND (covered_ns > 0 OR measured_uj > 0)
         GROUP BY 1, 2 LIMIT {MAX_POINTS} + 1"
    );
    let point = |row: &Row<'_>| {
        Ok(SeriesPoint {
            minute: time(row, 0)?,
            seconds,
            name: row.get(1)?,
            joules: energy_sum(row, 2)?.joules(),
        })
    };
    connection
        .prepare_cached(&sql)?
        .query_map(params![first, end], point)?
        .collect()
}

/// Summed up here and not by SQLite, which would sort every share of every pod by the text of its line.
fn shares(
    connection: &Connection,
    &(zones, shares, column, seconds): &Form,
    (first, end): (i64, i64),
    of: &str,
) -> rusqlite::Result<Vec<SeriesPoint>> {
    let sql = format!(
        "SELECT {column} * {seconds} * 1000, active_uj, node.id, workload_id
         FROM node CROSS JOIN {zones} AS cell ON cell.node_id = node.id
         CROSS JOIN {shares} USING (node_id, {column}, zone_id)
         WHERE {column} >= ?1 AND {column} < ?2 AND (covered_ns > 0 OR measured_uj > 0)"
    );
    let mut lines = Lines::new(connection, of);
    let mut sums: BTreeMap<(Timestamp, usize), Energy> = BTreeMap::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![first, end])?;
    while let Some(row) = rows.next()? {
        if let Some(line) = lines.of(row.get(2)?, row.get(3)?)? {
            *sums.entry((time(row, 0)?, line)).or_default() += energy(row, 1)?;
        }
        if sums.len() > MAX_POINTS {
            break;
        }
    }
    let point = |((minute, line), energy): ((Timestamp, usize), Energy)| SeriesPoint {
        minute,
        seconds,
        name: lines.names[line].clone(),
        joules: energy.joules(),
    };
    Ok(sums.into_iter().map(point).collect())
}

/// The line of a chart that each workload belongs to.
struct Lines<'a> {
    connection: &'a Connection,
    /// Asks for the name of a line by node and workload.
    sql: String,
    known: HashMap<(i64, i64), Option<usize>>,
    positions: HashMap<String, usize>,
    names: Vec<String>,
}

impl<'a> Lines<'a> {
    /// `of`: `stage` or `run`; a workload without it belongs to no line.
    fn new(connection: &'a Connection, of: &str) -> Self {
        Self {
            connection,
            sql: format!(
                "SELECT CASE {of} WHEN '' THEN NULL ELSE cluster || '/' || workflow || '/' || {of} END
                 FROM node LEFT JOIN renamed ON node_id = node.id AND was_id = ?2
                 JOIN workload ON workload.id = coalesce(is_id, ?2) WHERE node.id = ?1"
            ),
            known: HashMap::new(),
            positions: HashMap::new(),
            names: Vec::new(),
        }
    }

    fn of(&mut self, node: i64, workload: i64) -> rusqlite::Result<Option<usize>> {
        if let Some(&line) = self.known.get(&(node, workload)) {
            return Ok(line);
        }
        let mut statement = self.connection.prepare_cached(&self.sql)?;
        let name: Option<String> = statement.query_row([node, workload], |row| row.get(0))?;
        let line = name.map(|name| {
            let names = &mut self.names;
            *self.positions.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() - 1
            })
        });
        self.known.insert((node, workload), line);
        Ok(line)
    }
}

/// Node by node, so that the rows are found by their key and no other time is walked through.
pub(in crate::store::sqlite) fn site_energy(
    connection: &Connection,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<SiteEnergy>> {
    let mut energies = Vec::new();
    for form in &FORMS {
        let &(zones, _, column, seconds) = form;
        let (first, end) = range(from, to, form);
        let sql = format!(
            "SELECT {column} * {seconds} * 1000, site.name,
                    sum(measured_uj / 1000000), sum(measured_uj % 1000000),
                    sum(iif(modelled, measured_uj, 0) / 1000000),
                    sum(iif(modelled, measured_uj, 0) % 1000000),
                    sum(min(covered_ns, {seconds} * 1000000000)) / 1e6 / (count(*) * {seconds} * 1e3)
             FROM node CROSS JOIN {zones} AS cell ON node_id = node.id
             JOIN zone ON zone.id = zone_id JOIN site ON site.id = cell.site_id
             WHERE {column} >= ?1 AND {column} < ?2 AND parent = ''
             GROUP BY 1, 2"
        );
        let energy = |row: &Row<'_>| {
            Ok(SiteEnergy {
                start: time(row, 0)?,
                seconds,
                site: row.get(1)?,
                measured: energy_sum(row, 2)?,
                modelled: energy_sum(row, 4)?,
                coverage_ratio: row.get(6)?,
            })
        };
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![first, end], energy)?;
        for row in rows {
            energies.push(row?);
        }
    }
    energies.sort_by(|a, b| (&a.site, a.start).cmp(&(&b.site, b.start)));
    Ok(energies)
}
