//! The cells of one run's time: each zone and minute (or hour, where minutes were folded) of the nodes it ran on,
//! with all its shares.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::row::{amount, energy};
use super::super::{loss, names};
use super::{TooMany, runs};
use crate::rollup::MINUTE_MS;
use crate::store::{Cell, NodeKey, RunFilter, RunKey, RunLedger, Share, WorkloadLabels};

/// Cells and shares that one report is made from at most: some 150 MiB of memory.
const MAX_ROWS: usize = 4_000_000;

/// A form that rollups are kept in: its tables, the column of its time, and its length.
struct Form {
    zones: &'static str,
    shares: &'static str,
    time: &'static str,
    length_ms: i64,
}

const FORMS: [Form; 2] = [
    Form {
        zones: "zone_minute",
        shares: "share_minute",
        time: "minute",
        length_ms: MINUTE_MS,
    },
    Form {
        zones: "zone_hour",
        shares: "share_hour",
        time: "hour",
        length_ms: 60 * MINUTE_MS,
    },
];

/// (start, node, zone, length) as the tables number them.
type CellKey = (i64, i64, i64, i64);

/// What is read, and how much more may be.
struct Reading {
    cells: Vec<Cell>,
    positions: HashMap<CellKey, usize>,
    workloads: Vec<WorkloadLabels>,
    /// By node and workload, as the shares have them.
    indexes: HashMap<(i64, i64), usize>,
    /// By workload, as it is named.
    named: HashMap<i64, usize>,
    /// Parallel to `workloads`: it has been told under other names too, so that a cell may have two shares of it.
    has_aliases: Vec<bool>,
    left: usize,
}

pub(in crate::store::sqlite) fn run_ledger(
    connection: &Connection,
    key: &RunKey,
) -> rusqlite::Result<Option<Result<RunLedger, TooMany>>> {
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
    let mut reading = Reading {
        cells: Vec::new(),
        positions: HashMap::new(),
        workloads: Vec::new(),
        indexes: HashMap::new(),
        named: HashMap::new(),
        has_aliases: Vec::new(),
        left: MAX_ROWS,
    };
    for form in &FORMS {
        let times = times(summary.start, summary.end, form.length_ms);
        let whole = reading.add_cells(connection, form, id, times)?
            && reading.add_shares(connection, form, id, times)?;
        if !whole {
            return Ok(Some(Err(TooMany(MAX_ROWS))));
        }
    }
    let mut cells = reading.cells;
    cells.sort_by(|a, b| order(a).cmp(&order(b)));
    let losses = loss::of_run(connection, id, summary.start, summary.end)?;
    Ok(Some(Ok(RunLedger {
        summary,
        workloads: reading.workloads,
        cells,
        losses,
    })))
}

fn order(cell: &Cell) -> (Timestamp, &NodeKey, &str, bool, u32) {
    let Cell {
        start,
        node,
        zone,
        modelled,
        length_ms,
        ..
    } = cell;
    (*start, node, zone, *modelled, *length_ms)
}

/// First and last minute or hour that a time touches.
fn times(start: Timestamp, end: Timestamp, length_ms: i64) -> (i64, i64) {
    let number = |ms: i64| ms.div_euclid(length_ms);
    (
        number(start.as_millisecond()),
        number(end.as_millisecond() - 1),
    )
}

impl Reading {
    /// Whether there was room for all.
    fn add_cells(
        &mut self,
        connection: &Connection,
        form: &Form,
        run_id: i64,
        (first, last): (i64, i64),
    ) -> rusqlite::Result<bool> {
        let Form {
            zones,
            time,
            length_ms,
            ..
        } = form;
        let sql = format!(
            "SELECT {time}, cluster, node, site.name, zone.name, modelled, measured_uj, idle_uj,
                    system_uj, system_usage_ns, covered_ns, idle_seeded, cell.node_id, zone_id,
                    low_percent, high_percent
             FROM run_node JOIN {zones} AS cell ON cell.node_id = run_node.node_id
             JOIN node ON node.id = cell.node_id
             JOIN zone ON zone.id = zone_id
             JOIN site ON site.id = cell.site_id
             LEFT JOIN model_range ON model_range.id = modelled
             WHERE run_id = ?1 AND {time} BETWEEN ?2 AND ?3 AND parent = ''"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![run_id, first, last])?;
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(12)?, row.get(13)?, *length_ms);
            self.positions.insert(key, self.cells.len());
            self.cells.push(read_cell(row, *length_ms)?);
            if !self.has_room() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fills in the shares and their dictionary. Whether there was room for all.
    fn add_shares(
        &mut self,
        connection: &Connection,
        form: &Form,
        run_id: i64,
        (first, last): (i64, i64),
    ) -> rusqlite::Result<bool> {
        let Form {
            shares,
            time,
            length_ms,
            ..
        } = form;
        let sql = format!(
            "SELECT {time}, share.node_id, zone_id, workload_id, active_uj, usage_ns, request_us
             FROM run_node JOIN {shares} AS share ON share.node_id = run_node.node_id
             WHERE run_id = ?1 AND {time} BETWEEN ?2 AND ?3"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![run_id, first, last])?;
        // The shares of a cell come one after the other.
        let mut found: Option<(CellKey, Option<usize>)> = None;
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(1)?, row.get(2)?, *length_ms);
            let position = match found {
                Some((same, position)) if same == key => position,
                _ => self.positions.get(&key).copied(),
            };
            found = Some((key, position));
            let Some(position) = position else { continue };
            let share = Share {
                workload: self.workload(connection, row.get(1)?, row.get(3)?)?,
                active: energy(row, 4)?,
                usage_ns: amount(row, 5)?,
                request_us: amount(row, 6)?,
            };
            self.add_share(position, share);
            if !self.has_room() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_room(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }

    /// A cell has one share of a workload, also where its name came in the midst.
    fn add_share(&mut self, position: usize, share: Share) {
        let shares = &mut self.cells[position].shares;
        if self.has_aliases[share.workload]
            && let Some(same) = shares
                .iter_mut()
                .find(|other| other.workload == share.workload)
        {
            same.active += share.active;
            same.usage_ns = same.usage_ns.saturating_add(share.usage_ns);
            same.request_us = same.request_us.saturating_add(share.request_us);
            return;
        }
        shares.push(share);
    }

    /// Index of a workload's labels.
    fn workload(&mut self, connection: &Connection, node: i64, id: i64) -> rusqlite::Result<usize> {
        if let Some(&index) = self.indexes.get(&(node, id)) {
            return Ok(index);
        }
        let is_id = names::resolve(connection, node, id)?;
        let index = match self.named.get(&is_id) {
            Some(&index) => index,
            None => {
                self.workloads.push(read_workload(connection, is_id)?);
                self.has_aliases.push(false);
                self.named.insert(is_id, self.workloads.len() - 1);
                self.workloads.len() - 1
            }
        };
        self.has_aliases[index] |= is_id != id;
        self.indexes.insert((node, id), index);
        Ok(index)
    }
}

fn read_cell(row: &Row<'_>, length_ms: i64) -> rusqlite::Result<Cell> {
    let number: i64 = row.get(0)?;
    let start = number
        .checked_mul(length_ms)
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?;
    let length_ms = length_ms as u32;
    Ok(Cell {
        start,
        length_ms,
        node: NodeKey {
            cluster: row.get(1)?,
            node: row.get(2)?,
        },
        site: row.get(3)?,
        zone: row.get(4)?,
        modelled: row.get(5)?,
        range_percent: range_percent(row)?,
        measured: energy(row, 6)?,
        idle: energy(row, 7)?,
        system: energy(row, 8)?,
        system_usage_ns: amount(row, 9)?,
        covered_ms: covered_ms(amount(row, 10)?, length_ms),
        idle_seeded: row.get(11)?,
        shares: Vec::new(),
    })
}

/// `None` where nobody says, and of what was measured.
fn range_percent(row: &Row<'_>) -> rusqlite::Result<Option<(u32, u32)>> {
    let range: (Option<u32>, Option<u32>) = (row.get(14)?, row.get(15)?);
    Ok(match range {
        (Some(low), Some(high)) if high > 0 => Some((low, high)),
        _ => None,
    })
}

/// Rounded to the millisecond; intervals that overlap do not make a minute longer than it is.
pub(super) fn covered_ms(covered_ns: u64, length_ms: u32) -> u32 {
    let ms = covered_ns.saturating_add(500_000) / 1_000_000;
    u32::try_from(ms).map_or(length_ms, |ms| ms.min(length_ms))
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
