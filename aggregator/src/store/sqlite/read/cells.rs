//! The cells of one run's minutes: each zone and minute of the nodes it ran on, with all its shares.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::row::{amount, energy, minute};
use super::runs;
use crate::rollup::MINUTE_MS;
use crate::store::{Cell, NodeKey, RunFilter, RunKey, RunLedger, Share, WorkloadLabels};

/// (minute, node, zone) as the tables number them.
type CellKey = (i64, i64, i64);

pub(in crate::store::sqlite) fn run_ledger(
    connection: &Connection,
    key: &RunKey,
) -> rusqlite::Result<Option<RunLedger>> {
    let find = "SELECT id FROM run WHERE cluster = ?1 AND workflow = ?2 AND run = ?3 AND run <> ''";
    let id: Option<i64> = connection
        .prepare_cached(find)?
        .query_row([&key.cluster, &key.workflow, &key.run], |row| row.get(0))
        .optional()?;
    let filter = RunFilter {
        cluster: Some(key.cluster.clone()),
        workflow: Some(key.workflow.clone()),
        run: Some(key.run.clone()),
        ..RunFilter::default()
    };
    let (Some(id), Some(summary)) = (id, runs(connection, &filter)?.pop()) else {
        return Ok(None);
    };
    let minutes = minutes(summary.start, summary.end);
    let (mut cells, positions) = read_cells(connection, id, minutes)?;
    let workloads = read_shares(connection, id, minutes, &mut cells, &positions)?;
    Ok(Some(RunLedger {
        summary,
        workloads,
        cells,
    }))
}

/// First and last minute that a time touches.
fn minutes(start: Timestamp, end: Timestamp) -> (i64, i64) {
    let minute = |ms: i64| ms.div_euclid(MINUTE_MS);
    (
        minute(start.as_millisecond()),
        minute(end.as_millisecond() - 1),
    )
}

fn read_cells(
    connection: &Connection,
    run_id: i64,
    (first, last): (i64, i64),
) -> rusqlite::Result<(Vec<Cell>, HashMap<CellKey, usize>)> {
    let sql = "SELECT minute, cluster, node, site.name, zone.name, modelled, measured_uj, idle_uj,
                      system_uj, system_usage_ns, covered_ns, idle_seeded, zone_minute.node_id, zone_id
               FROM run_node JOIN zone_minute ON zone_minute.node_id = run_node.node_id
               JOIN node ON node.id = zone_minute.node_id
               JOIN zone ON zone.id = zone_id
               JOIN site ON site.id = zone_minute.site_id
               WHERE run_id = ?1 AND minute BETWEEN ?2 AND ?3 AND parent = ''
               ORDER BY minute, cluster, node, zone.name, modelled";
    let mut cells = Vec::new();
    let mut positions = HashMap::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![run_id, first, last])?;
    while let Some(row) = rows.next()? {
        positions.insert((row.get(0)?, row.get(12)?, row.get(13)?), cells.len());
        cells.push(read_cell(row)?);
    }
    Ok((cells, positions))
}

fn read_cell(row: &Row<'_>) -> rusqlite::Result<Cell> {
    Ok(Cell {
        minute: minute(row, 0)?,
        node: NodeKey {
            cluster: row.get(1)?,
            node: row.get(2)?,
        },
        site: row.get(3)?,
        zone: row.get(4)?,
        modelled: row.get(5)?,
        measured: energy(row, 6)?,
        idle: energy(row, 7)?,
        system: energy(row, 8)?,
        system_usage_ns: amount(row, 9)?,
        covered_ms: covered_ms(amount(row, 10)?),
        idle_seeded: row.get(11)?,
        shares: Vec::new(),
    })
}

/// Rounded to the millisecond; intervals that overlap do not make a minute longer than it is.
fn covered_ms(covered_ns: u64) -> u32 {
    let ms = covered_ns.saturating_add(500_000) / 1_000_000;
    u32::try_from(ms).map_or(MINUTE_MS as u32, |ms| ms.min(MINUTE_MS as u32))
}

/// Fills in the shares and returns their dictionary.
fn read_shares(
    connection: &Connection,
    run_id: i64,
    (first, last): (i64, i64),
    cells: &mut [Cell],
    positions: &HashMap<CellKey, usize>,
) -> rusqlite::Result<Vec<WorkloadLabels>> {
    let sql = "SELECT minute, share_minute.node_id, zone_id, workload_id, active_uj, usage_ns
               FROM run_node JOIN share_minute ON share_minute.node_id = run_node.node_id
               WHERE run_id = ?1 AND minute BETWEEN ?2 AND ?3
               ORDER BY minute, share_minute.node_id, zone_id, workload_id";
    let mut workloads = Vec::new();
    let mut indexes: HashMap<i64, usize> = HashMap::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![run_id, first, last])?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(&position) = positions.get(&key) else {
            continue;
        };
        let id: i64 = row.get(3)?;
        let workload = match indexes.get(&id) {
            Some(&index) => index,
            None => {
                workloads.push(read_workload(connection, id)?);
                indexes.insert(id, workloads.len() - 1);
                workloads.len() - 1
            }
        };
        cells[position].shares.push(Share {
            workload,
            active: energy(row, 4)?,
            usage_ns: amount(row, 5)?,
        });
    }
    Ok(workloads)
}

fn read_workload(connection: &Connection, id: i64) -> rusqlite::Result<WorkloadLabels> {
    let sql = "SELECT workflow, run, stage, component, namespace, pod, container
               FROM workload WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id], |row| {
        Ok(WorkloadLabels {
            workflow: row.get(0)?,
            run: row.get(1)?,
            stage: row.get(2)?,
            component: row.get(3)?,
            namespace: row.get(4)?,
            pod: row.get(5)?,
            container: row.get(6)?,
        })
    })
}
