//! A batch's sums added to the rows of the rollups. The same statements fill the ledger's own tables and
//! the temporary ones that the check sets beside them, so that both are made by one rule.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::dictionary::BatchIds;
use super::row::column;
use super::write::Failure;
use crate::rollup::{Rollup, StageKey};
use crate::store::prepared::Prepared;

/// The tables that hold nothing but what batches make.
pub(super) const TABLES: [&str; 7] = [
    "zone_minute",
    "share_minute",
    "zone_total",
    "run_stage",
    "run_node",
    "unnamed",
    "renamed",
];

const ADD_ZONE_MINUTE: &str = "
    INSERT INTO zone_minute (node_id, minute, zone_id, site_id, measured_uj, idle_uj, system_uj,
                             system_usage_ns, covered_ns, idle_seeded)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (node_id, minute, zone_id) DO UPDATE SET
        measured_uj = measured_uj + excluded.measured_uj,
        idle_uj = idle_uj + excluded.idle_uj,
        system_uj = system_uj + excluded.system_uj,
        system_usage_ns = system_usage_ns + excluded.system_usage_ns,
        covered_ns = covered_ns + excluded.covered_ns,
        idle_seeded = max(idle_seeded, excluded.idle_seeded)";
const ADD_SHARE_MINUTE: &str = "
    INSERT INTO share_minute (node_id, minute, zone_id, workload_id, active_uj, usage_ns, request_us)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (node_id, minute, zone_id, workload_id) DO UPDATE SET
        active_uj = active_uj + excluded.active_uj,
        usage_ns = usage_ns + excluded.usage_ns,
        request_us = request_us + excluded.request_us";
const ADD_ZONE_TOTAL: &str = "
    INSERT INTO zone_total (node_id, zone_id, measured_uj, idle_uj, system_uj)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (node_id, zone_id) DO UPDATE SET
        measured_uj = measured_uj + excluded.measured_uj,
        idle_uj = idle_uj + excluded.idle_uj,
        system_uj = system_uj + excluded.system_uj";
pub(super) const ADD_RUN_STAGE: &str = "
    INSERT INTO run_stage (run_id, stage, start_ms, end_ms, active_uj)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (run_id, stage) DO UPDATE SET
        start_ms = min(start_ms, excluded.start_ms),
        end_ms = max(end_ms, excluded.end_ms),
        active_uj = active_uj + excluded.active_uj";
pub(super) const ADD_RUN_NODE: &str =
    "INSERT OR IGNORE INTO run_node (run_id, node_id) VALUES (?1, ?2)";

pub(super) fn add(
    connection: &Connection,
    ids: &BatchIds,
    prepared: &Prepared,
) -> Result<(), Failure> {
    add_zones(connection, ids, &prepared.rollup)?;
    add_shares(connection, ids, &prepared.rollup)?;
    add_stages(connection, ids, prepared)
}

fn add_zones(connection: &Connection, ids: &BatchIds, rollup: &Rollup) -> Result<(), Failure> {
    let mut totals: BTreeMap<i64, [u64; 3]> = BTreeMap::new();
    let mut statement = connection.prepare_cached(ADD_ZONE_MINUTE)?;
    for (&(minute, zone), sums) in &rollup.zones {
        let zone_id = ids.zones[zone];
        statement.execute(params![
            ids.node,
            minute,
            zone_id,
            ids.site,
            column(sums.measured_uj)?,
            column(sums.idle_uj)?,
            column(sums.system_uj)?,
            column(sums.system_usage_ns)?,
            column(sums.covered_ns)?,
            sums.idle_seeded,
        ])?;
        // A zone of which nothing was ever known has no total, rather than one of 0.
        if sums.covered_ns == 0 && sums.measured_uj == 0 {
            continue;
        }
        let parts = [sums.measured_uj, sums.idle_uj, sums.system_uj];
        let totals = totals.entry(zone_id).or_default();
        for (total, part) in totals.iter_mut().zip(parts) {
            *total = total.saturating_add(part);
        }
    }
    let mut statement = connection.prepare_cached(ADD_ZONE_TOTAL)?;
    for (zone_id, [measured, idle, system]) in totals {
        let (measured, idle, system) = (column(measured)?, column(idle)?, column(system)?);
        statement.execute(params![ids.node, zone_id, measured, idle, system])?;
    }
    Ok(())
}

fn add_shares(connection: &Connection, ids: &BatchIds, rollup: &Rollup) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(ADD_SHARE_MINUTE)?;
    for (&(minute, zone, workload), share) in &rollup.shares {
        statement.execute(params![
            ids.node,
            minute,
            ids.zones[zone],
            ids.workloads[workload].expect("it ran in the batch"),
            column(share.active_uj)?,
            column(share.usage_ns)?,
            column(share.request_us)?,
        ])?;
    }
    Ok(())
}

fn add_stages(connection: &Connection, ids: &BatchIds, prepared: &Prepared) -> Result<(), Failure> {
    let mut add_stage = connection.prepare_cached(ADD_RUN_STAGE)?;
    let mut add_node = connection.prepare_cached(ADD_RUN_NODE)?;
    for (workload, span) in &prepared.rollup.stages {
        let run_id = ids.runs[workload];
        let stage =
            StageKey::of(&prepared.batch().workloads[*workload]).map_or("", |key| key.stage);
        let active = column(span.active_uj)?;
        add_stage.execute(params![run_id, stage, span.start_ms, span.end_ms, active])?;
        add_node.execute(params![run_id, ids.node])?;
    }
    Ok(())
}
