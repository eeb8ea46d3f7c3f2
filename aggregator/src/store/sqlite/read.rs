//! Questions to the rollups.

mod cells;

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use super::row::{amount, basis, energy_sum, minute, time};
use crate::rollup::MINUTE_MS;
use crate::store::{
    NodeKey, NodeSummary, RunFilter, RunKey, RunSummary, SeriesBy, SeriesPoint, StageSummary,
    ZoneTotals,
};

pub(super) use cells::run_ledger;

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

/// The question behind each kind of series. A minute of which nothing is known is a gap, not a 0.
fn series_sql(by: SeriesBy) -> &'static str {
    match by {
        SeriesBy::Node => {
            "SELECT minute, cluster || '/' || node AS name,
                    sum(measured_uj / 1000000), sum(measured_uj % 1000000)
             FROM node JOIN zone_minute ON node_id = node.id JOIN zone ON zone.id = zone_id
             WHERE minute >= ?1 AND minute < ?2 AND parent = '' AND (covered_ns > 0 OR measured_uj > 0)
             GROUP BY 1, 2 ORDER BY 1, 2"
        }
        SeriesBy::Stage => {
            "SELECT minute, cluster || '/' || workflow || '/' || stage AS name,
                    sum(active_uj / 1000000), sum(active_uj % 1000000)
             FROM node JOIN zone_minute AS cell ON cell.node_id = node.id
             JOIN share_minute USING (node_id, minute, zone_id)
             JOIN workload ON workload.id = workload_id
             WHERE minute >= ?1 AND minute < ?2 AND stage <> '' AND (covered_ns > 0 OR measured_uj > 0)
             GROUP BY 1, 2 ORDER BY 1, 2"
        }
        SeriesBy::Run => {
            "SELECT minute, cluster || '/' || workflow || '/' || run AS name,
                    sum(active_uj / 1000000), sum(active_uj % 1000000)
             FROM node JOIN zone_minute AS cell ON cell.node_id = node.id
             JOIN share_minute USING (node_id, minute, zone_id)
             JOIN workload ON workload.id = workload_id
             WHERE minute >= ?1 AND minute < ?2 AND run <> '' AND (covered_ns > 0 OR measured_uj > 0)
             GROUP BY 1, 2 ORDER BY 1, 2"
        }
    }
}

pub(super) fn series(
    connection: &Connection,
    by: SeriesBy,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<SeriesPoint>> {
    // A minute belongs to the range in which it starts.
    let first_from = |time: Timestamp| {
        let ms = time.as_millisecond();
        ms.div_euclid(MINUTE_MS) + i64::from(ms.rem_euclid(MINUTE_MS) > 0)
    };
    let point = |row: &Row<'_>| {
        Ok(SeriesPoint {
            minute: minute(row, 0)?,
            name: row.get(1)?,
            joules: energy_sum(row, 2)?.joules(),
        })
    };
    connection
        .prepare_cached(series_sql(by))?
        .query_map(params![first_from(from), first_from(to)], point)?
        .collect()
}
