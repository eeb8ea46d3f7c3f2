//! Questions to the rollups.

mod cells;

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use super::row::{amount, basis, energy_sum, time, time as row_time};
use super::{loss, retention, stream};
use crate::store::{
    Figures, NodeKey, NodeSummary, RunFilter, RunKey, RunSummary, SeriesBy, SeriesPoint,
    StageSummary, ZoneTotals,
};

pub(super) use cells::{TooMany, run_ledger};

pub(super) fn runs(
    connection: &Connection,
    filter: &RunFilter,
) -> rusqlite::Result<Vec<RunSummary>> {
    let sql = "SELECT id, cluster, workflow, run, min(start_ms), max(end_ms),
                      sum(active_uj / 1000000), sum(active_uj % 1000000)
               FROM run JOIN run_stage ON run_id = id
               WHERE run <> '' AND (:run IS NULL OR run = :run)
                 AND (:cluster IS NULL OR cluster = :cluster)
                 AND (:workflow IS NULL OR workflow = :workflow)
                 AND (:stage IS NULL OR EXISTS (
                     SELECT 1 FROM run_stage AS other WHERE other.run_id = id AND other.stage = :stage))
               GROUP BY id HAVING :since IS NULL OR max(end_ms) >= :since
               ORDER BY min(start_ms) DESC, cluster, workflow, run";
    let filter = named_params! {
        ":run": filter.run,
        ":cluster": filter.cluster,
        ":workflow": filter.workflow,
        ":stage": filter.stage,
        ":since": filter.since.map(Timestamp::as_millisecond),
    };
    connection
        .prepare_cached(sql)?
        .query_map(filter, |row| run_summary(connection, row))?
        .collect()
}

fn run_summary(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let stages = "SELECT stage FROM run_stage WHERE run_id = ?1 ORDER BY start_ms, stage";
    let id: i64 = row.get(0)?;
    let stages: rusqlite::Result<_> = connection
        .prepare_cached(stages)?
        .query_map([id], |row| row.get(0))?
        .collect();
    Ok(RunSummary {
        key: RunKey {
            cluster: row.get(1)?,
            workflow: row.get(2)?,
            run: row.get(3)?,
        },
        start: time(row, 4)?,
        end: time(row, 5)?,
        stages: stages?,
        active_joules: energy_sum(row, 6)?.joules(),
    })
}

pub(super) fn stages(connection: &Connection) -> rusqlite::Result<Vec<StageSummary>> {
    let sql = "SELECT cluster, workflow, stage, count(nullif(run, '')), min(start_ms), max(end_ms),
                      sum(active_uj / 1000000), sum(active_uj % 1000000)
               FROM run JOIN run_stage ON run_id = id
               GROUP BY cluster, workflow, stage ORDER BY cluster, workflow, stage";
    let summary = |row: &Row<'_>| {
        Ok(StageSummary {
            cluster: row.get(0)?,
            workflow: row.get(1)?,
            stage: row.get(2)?,
            runs: amount(row, 3)?,
            start: time(row, 4)?,
            end: time(row, 5)?,
            active_joules: energy_sum(row, 6)?.joules(),
        })
    };
    connection
        .prepare_cached(sql)?
        .query_map([], summary)?
        .collect()
}

pub(super) fn nodes(connection: &Connection) -> rusqlite::Result<Vec<NodeSummary>> {
    let sql = "SELECT node.id, cluster, node, site.name, last_seen_ms
               FROM node JOIN site ON site.id = site_id ORDER BY cluster, node";
    let summary = |row: &Row<'_>| {
        Ok(NodeSummary {
            key: NodeKey {
                cluster: row.get(1)?,
                node: row.get(2)?,
            },
            site: row.get(3)?,
            last_seen: time(row, 4)?,
            zones: zone_totals(connection, row.get(0)?)?,
        })
    };
    connection
        .prepare_cached(sql)?
        .query_map([], summary)?
        .collect()
}

fn zone_totals(connection: &Connection, node_id: i64) -> rusqlite::Result<Vec<ZoneTotals>> {
    let sql = "SELECT name, parent, modelled, measured_uj, idle_uj, system_uj
               FROM zone_total JOIN zone ON id = zone_id
               WHERE node_id = ?1 ORDER BY parent <> '', name, parent, modelled";
    let totals = |row: &Row<'_>| {
        let parent: String = row.get(1)?;
        let (measured, idle, system) = (amount(row, 3)?, amount(row, 4)?, amount(row, 5)?);
        // A nested zone's energy is the workloads' of the zone around it: it has no parts of its own.
        let workloads = if parent.is_empty() {
            measured.saturating_sub(idle).saturating_sub(system)
        } else {
            0
        };
        Ok(ZoneTotals {
            zone: row.get(0)?,
            parent,
            basis: basis(row, 2)?,
            measured_microjoules: measured,
            workload_microjoules: workloads,
            system_microjoules: system,
            idle_microjoules: idle,
        })
    };
    connection
        .prepare_cached(sql)?
        .query_map([node_id], totals)?
        .collect()
}

/// Who a line of a chart is for, and what of a cell it shows. A time of which nothing is known is a gap, not a 0.
struct Lines {
    name: &'static str,
    energy: &'static str,
    /// The tables beside node and zone table, and which rows of them.
    from: fn(shares: &str, time: &str) -> String,
    which: &'static str,
}

const NODES: Lines = Lines {
    name: "cluster || '/' || node",
    energy: "measured_uj",
    from: |_, _| "JOIN zone ON zone.id = zone_id".to_owned(),
    which: "parent = ''",
};
const STAGES: Lines = Lines {
    name: "cluster || '/' || workflow || '/' || stage",
    energy: "active_uj",
    from: with_shares,
    which: "stage <> ''",
};
const RUNS: Lines = Lines {
    name: "cluster || '/' || workflow || '/' || run",
    energy: "active_uj",
    from: with_shares,
    which: "run <> ''",
};

fn with_shares(shares: &str, time: &str) -> String {
    format!(
        "JOIN {shares} USING (node_id, {time}, zone_id) JOIN workload ON workload.id = workload_id"
    )
}

/// (zone table, share table, column of the time, seconds) of minutes and of hours.
const FORMS: [(&str, &str, &str, u32); 2] = [
    ("zone_minute", "share_minute", "minute", 60),
    ("zone_hour", "share_hour", "hour", 3_600),
];

pub(super) fn series(
    connection: &Connection,
    by: SeriesBy,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<SeriesPoint>> {
    let lines = match by {
        SeriesBy::Node => NODES,
        SeriesBy::Stage => STAGES,
        SeriesBy::Run => RUNS,
    };
    let mut points = Vec::new();
    for (zones, shares, time, seconds) in FORMS {
        let length_ms = i64::from(seconds) * 1_000;
        // A minute or hour belongs to the range in which it starts.
        let first_from = |time: Timestamp| {
            let ms = time.as_millisecond();
            ms.div_euclid(length_ms) + i64::from(ms.rem_euclid(length_ms) > 0)
        };
        let Lines {
            name,
            energy,
            from: tables,
            which,
        } = &lines;
        let tables = tables(shares, time);
        let sql = format!(
            "SELECT {time} * {length_ms}, {name}, sum({energy} / 1000000), sum({energy} % 1000000)
             FROM node JOIN {zones} AS cell ON cell.node_id = node.id {tables}
             WHERE {time} >= ?1 AND {time} < ?2 AND {which} AND (covered_ns > 0 OR measured_uj > 0)
             GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let point = |row: &Row<'_>| {
            Ok(SeriesPoint {
                minute: row_time(row, 0)?,
                seconds,
                name: row.get(1)?,
                joules: energy_sum(row, 2)?.joules(),
            })
        };
        let of_form: rusqlite::Result<Vec<_>> = connection
            .prepare_cached(&sql)?
            .query_map(params![first_from(from), first_from(to)], point)?
            .collect();
        points.append(&mut of_form?);
    }
    // Each form is in order by itself.
    points.sort_by(|a, b| (a.minute, &a.name).cmp(&(b.minute, &b.name)));
    Ok(points)
}

pub(super) fn figures(connection: &Connection, waiting: u64) -> rusqlite::Result<Figures> {
    Ok(Figures {
        losses: loss::all(connection)?,
        missing: stream::missing(connection)?,
        waiting,
        free_bytes: retention::free_bytes(connection)?,
    })
}
