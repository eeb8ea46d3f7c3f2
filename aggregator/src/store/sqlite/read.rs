//! Questions to the rollups.

mod cells;
mod components;
mod series;

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};
use wire::Energy;

use super::row::{amount, basis, energy, energy_sum, time};
use super::{loss, retention, stream};
use crate::store::{
    Figures, NodeKey, NodeSummary, RunFilter, RunKey, RunSummary, StageSummary, ZoneTotals,
};

pub(super) use cells::run_ledger;
pub(super) use components::component_energy;
pub(super) use series::{series, site_energy};

/// An answer would be made from more rows than this.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMany(pub(super) usize);

/// Where runs are looked for: one by its id, else the latest first, as many as are wanted and no more.
const RUN_OF_ID: &str = "run WHERE run = :run";
const LATEST_RUNS: &str = "run INDEXED BY run_by_start WHERE :run IS NULL";

fn runs_sql(runs: &str) -> String {
    format!(
        "SELECT id, cluster, workflow, run, start_ms, end_ms FROM {runs}
             AND run <> '' AND start_ms IS NOT NULL
             AND (:since IS NULL OR end_ms >= :since)
             AND (:cluster IS NULL OR cluster = :cluster)
             AND (:workflow IS NULL OR workflow = :workflow)
             AND (:stage IS NULL OR EXISTS (
                 SELECT 1 FROM run_stage WHERE run_id = id AND stage = :stage))
         ORDER BY start_ms DESC, cluster, workflow, run LIMIT :limit"
    )
}

pub(super) fn runs(
    connection: &Connection,
    filter: &RunFilter,
) -> rusqlite::Result<Vec<RunSummary>> {
    let sql = runs_sql(filter.run.as_ref().map_or(LATEST_RUNS, |_| RUN_OF_ID));
    let filter = named_params! {
        ":run": filter.run,
        ":cluster": filter.cluster,
        ":workflow": filter.workflow,
        ":stage": filter.stage,
        ":since": filter.since.map(Timestamp::as_millisecond),
        // Negative: no limit.
        ":limit": filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1)),
    };
    connection
        .prepare_cached(&sql)?
        .query_map(filter, |row| run_summary(connection, row))?
        .collect()
}

fn run_summary(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let sql = "SELECT stage, active_uj FROM run_stage WHERE run_id = ?1 ORDER BY start_ms, stage";
    let id: i64 = row.get(0)?;
    let mut summary = RunSummary {
        key: RunKey {
            cluster: row.get(1)?,
            workflow: row.get(2)?,
            run: row.get(3)?,
        },
        start: time(row, 4)?,
        end: time(row, 5)?,
        stages: Vec::new(),
        active_joules: 0.0,
    };
    let mut active = Energy::ZERO;
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        summary.stages.push(row.get(0)?);
        active += energy(row, 1)?;
    }
    summary.active_joules = active.joules();
    Ok(summary)
}

pub(super) fn stages(connection: &Connection) -> rusqlite::Result<Vec<StageSummary>> {
    let sql = "SELECT cluster, workflow, stage, count(nullif(run, '')),
                      min(run_stage.start_ms), max(run_stage.end_ms),
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
    let sql = "SELECT name, parent, modelled <> 0 AS is_modelled, sum(measured_uj), sum(idle_uj), sum(system_uj)
               FROM zone_total JOIN zone ON id = zone_id
               WHERE node_id = ?1 GROUP BY name, parent, is_modelled
               ORDER BY parent <> '', name, parent, is_modelled";
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

pub(super) fn figures(connection: &Connection, waiting: u64) -> rusqlite::Result<Figures> {
    Ok(Figures {
        losses: loss::all(connection)?,
        missing: stream::missing(connection)?,
        waiting,
        free_bytes: retention::free_bytes(connection)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open;
    use crate::store::sqlite::row::query_plan;
    use rusqlite::types::Null;

    #[test]
    fn runs_are_found_by_their_id_or_by_their_start() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open::for_writing(&directory.path().join("ledger.db")).unwrap();
        for (runs, expected) in [
            (RUN_OF_ID, "run_by_id (run=?)"),
            (LATEST_RUNS, "run_by_start (start_ms>?)"),
        ] {
            let plan = query_plan(&connection, &runs_sql(runs), [Null; 6]);
            assert!(plan[0].contains(expected), "{plan:?}");
        }
    }
}
