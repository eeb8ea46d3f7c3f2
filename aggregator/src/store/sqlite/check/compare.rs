//! Rows of the ledger against rows that were made again from the raw batches.

use rusqlite::Connection;

use super::add_fault;
use crate::store::CheckReport;

/// How one table is compared.
struct Comparison {
    table: &'static str,
    key: &'static [&'static str],
    sums: &'static [&'static str],
    /// Of which rows (of `node` and one of the tables, as `row`) every batch is still there.
    whole: &'static str,
}

/// Nothing of the minute was forgotten, and it is not folded.
const WHOLE_MINUTE: &str = "row.minute >= (SELECT raw_from_minute FROM node WHERE id = row.node_id)
                            AND row.minute >= (SELECT before_minute FROM fold)";
/// Nothing at all was forgotten.
const WHOLE_LEDGER: &str = "NOT EXISTS (SELECT 1 FROM node WHERE raw_from_minute > 0)";

const COMPARISONS: [Comparison; 5] = [
    Comparison {
        table: "zone_minute",
        key: &["node_id", "minute", "zone_id"],
        sums: &[
            "measured_uj",
            "idle_uj",
            "system_uj",
            "system_usage_ns",
            "covered_ns",
            "idle_seeded",
        ],
        whole: WHOLE_MINUTE,
    },
    Comparison {
        table: "share_minute",
        key: &["node_id", "minute", "zone_id", "workload_id"],
        sums: &["active_uj", "usage_ns", "request_us"],
        whole: WHOLE_MINUTE,
    },
    Comparison {
        table: "run_stage",
        key: &["run_id", "stage"],
        sums: &["start_ms", "end_ms"],
        whole: WHOLE_LEDGER,
    },
    Comparison {
        table: "unnamed",
        key: &["node_id", "workload_id"],
        sums: &["start_ms", "end_ms"],
        whole: WHOLE_LEDGER,
    },
    Comparison {
        table: "renamed",
        key: &["node_id", "was_id"],
        sums: &["is_id"],
        whole: WHOLE_LEDGER,
    },
];

/// Where all their batches are still there, every row that the ledger has must come of them, with the same sums,
/// and the reverse. Elsewhere the ledger must have at least what the batches make that are.
pub(super) fn with_batches(
    connection: &Connection,
    report: &mut CheckReport,
) -> rusqlite::Result<()> {
    for comparison in &COMPARISONS {
        find_faults(connection, report, &differing(comparison))?;
        find_faults(connection, report, &missing(comparison))?;
    }
    for sql in AT_LEAST {
        find_faults(connection, report, sql)?;
    }
    Ok(())
}

/// Of the hours of which something was forgotten, and of runs.
const AT_LEAST: [&str; 2] = [
    "SELECT 'node ' || again.node_id || ' zone ' || again.zone_id || ', '
            || strftime('%Y-%m-%dT%H:%MZ', again.hour * 3600, 'unixepoch')
            || ': the hour has less than the batches that are left make'
     FROM (SELECT node_id, minute / 60 AS hour, zone_id, sum(measured_uj) AS measured_uj
           FROM temp.zone_minute GROUP BY 1, 2, 3) AS again
     WHERE again.measured_uj > coalesce(
         (SELECT sum(measured_uj) FROM main.zone_minute AS cell
          WHERE cell.node_id = again.node_id AND cell.zone_id = again.zone_id
            AND minute BETWEEN again.hour * 60 AND again.hour * 60 + 59), 0)
       + coalesce((SELECT measured_uj FROM zone_hour AS cell
          WHERE cell.node_id = again.node_id AND cell.zone_id = again.zone_id
            AND cell.hour = again.hour), 0) LIMIT 51",
    "SELECT 'run_stage run_id ' || again.run_id || ' stage ' || again.stage
            || ': its times are shorter than the batches that are left make them'
     FROM temp.run_stage AS again LEFT JOIN main.run_stage AS stored USING (run_id, stage)
     WHERE NOT (stored.start_ms <= again.start_ms AND stored.end_ms >= again.end_ms) LIMIT 51",
];

/// Totals of zones, and energy of runs, against the sums of all minutes and hours; times of runs against their stages'.
pub(super) fn totals(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    TOTALS
        .iter()
        .try_for_each(|sql| find_faults(connection, report, sql))
}

const TOTALS: [&str; 5] = [
    "WITH again AS MATERIALIZED (
         SELECT node_id, zone_id, sum(measured_uj) AS measured_uj, sum(idle_uj) AS idle_uj,
                sum(system_uj) AS system_uj
         FROM (SELECT node_id, zone_id, measured_uj, idle_uj, system_uj FROM main.zone_minute
               UNION ALL SELECT node_id, zone_id, measured_uj, idle_uj, system_uj FROM zone_hour)
         GROUP BY 1, 2)
     SELECT 'zone_total node_id ' || node_id || ' zone_id ' || zone_id
            || ': it is not the sum of its minutes and hours'
     FROM again FULL JOIN main.zone_total AS stored USING (node_id, zone_id)
     WHERE coalesce(stored.measured_uj, 0) <> coalesce(again.measured_uj, 0)
        OR coalesce(stored.idle_uj, 0) <> coalesce(again.idle_uj, 0)
        OR coalesce(stored.system_uj, 0) <> coalesce(again.system_uj, 0) LIMIT 51",
    "WITH again AS MATERIALIZED (
         SELECT run.id AS run_id, workload.stage AS stage, sum(active_uj) AS active_uj
         FROM (SELECT node_id, workload_id AS was_id, sum(active_uj) AS active_uj
               FROM main.share_minute GROUP BY 1, 2
               UNION ALL SELECT node_id, workload_id, sum(active_uj) FROM share_hour GROUP BY 1, 2)
         LEFT JOIN main.renamed AS renamed USING (node_id, was_id)
         JOIN node ON node.id = node_id JOIN workload ON workload.id = coalesce(is_id, was_id)
         JOIN run ON run.cluster = node.cluster AND run.workflow = workload.workflow
                 AND run.run = workload.run
         WHERE workload.workflow <> '' OR workload.run <> '' OR workload.stage <> ''
         GROUP BY 1, 2)
     SELECT 'run_stage run_id ' || run_id || ' stage ' || stage
            || ': its energy is not the sum of its minutes and hours'
     FROM again FULL JOIN main.run_stage AS stored USING (run_id, stage)
     WHERE coalesce(stored.active_uj, 0) <> coalesce(again.active_uj, 0) LIMIT 51",
    "WITH again AS MATERIALIZED (
         SELECT DISTINCT run.id AS run_id, node_id
         FROM (SELECT DISTINCT node_id, workload_id AS was_id FROM main.share_minute
               UNION SELECT DISTINCT node_id, workload_id FROM share_hour)
         LEFT JOIN main.renamed AS renamed USING (node_id, was_id)
         JOIN node ON node.id = node_id JOIN workload ON workload.id = coalesce(is_id, was_id)
         JOIN run ON run.cluster = node.cluster AND run.workflow = workload.workflow
                 AND run.run = workload.run
         WHERE workload.workflow <> '' OR workload.run <> '' OR workload.stage <> '')
     SELECT 'run_node run_id ' || run_id || ' node_id ' || node_id
            || ': a run is not noted on a node that it ran on'
     FROM again LEFT JOIN main.run_node AS stored USING (run_id, node_id)
     WHERE stored.node_id IS NULL LIMIT 51",
    "SELECT 'run ' || id || ': its times are not those of its stages'
     FROM main.run AS stored LEFT JOIN (
         SELECT run_id, min(start_ms) AS first_ms, max(end_ms) AS last_ms
         FROM main.run_stage GROUP BY 1) ON run_id = id
     WHERE start_ms IS NOT first_ms OR end_ms IS NOT last_ms LIMIT 51",
    "SELECT 'unnamed node_id ' || node_id || ' workload_id ' || workload_id
            || ': its energy is not the sum of its minutes and hours'
     FROM main.unnamed AS stored JOIN (
         SELECT node_id, workload_id, sum(active_uj) AS active_uj
         FROM (SELECT node_id, workload_id, active_uj FROM main.share_minute
               UNION ALL SELECT node_id, workload_id, active_uj FROM share_hour)
         GROUP BY 1, 2) AS again USING (node_id, workload_id)
     WHERE stored.active_uj <> again.active_uj LIMIT 51",
];

/// In every additive zone, minute and hour, the parts sum to what was measured.
pub(super) fn parts(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    for (form, time, seconds) in [("minute", "minute", 60), ("hour", "hour", 3_600)] {
        let sql = format!(
            "SELECT 'zone-{form} of ' || cluster || '/' || node || ', ' || name || ', '
                   || strftime('%Y-%m-%dT%H:%MZ', {time} * {seconds}, 'unixepoch')
                   || ': workloads + system + idle is ' || parts || ' uJ, measured ' || measured_uj || ' uJ'
            FROM (SELECT node_id, {time}, zone_id, measured_uj, idle_uj + system_uj + coalesce(
                      (SELECT sum(active_uj) FROM main.share_{form} AS share
                       WHERE share.node_id = cell.node_id AND share.{time} = cell.{time}
                         AND share.zone_id = cell.zone_id), 0) AS parts
                  FROM main.zone_{form} AS cell)
            JOIN node ON node.id = node_id JOIN zone ON zone.id = zone_id
            WHERE parent = '' AND parts <> measured_uj LIMIT 51"
        );
        find_faults(connection, report, &sql)?;
    }
    Ok(())
}

pub(super) fn find_faults(
    connection: &Connection,
    report: &mut CheckReport,
    sql: &str,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        add_fault(report, row.get(0)?);
    }
    Ok(())
}

/// Rows of the ledger that the batches do not make, or not with these sums.
fn differing(comparison: &Comparison) -> String {
    let Comparison {
        table,
        key,
        sums,
        whole,
    } = comparison;
    let whole = whole.replace("row.", "stored.");
    let first = key[0];
    let differs: String = sums
        .iter()
        .map(|sum| format!(" OR stored.{sum} IS NOT again.{sum}"))
        .collect();
    format!(
        "SELECT {} || CASE WHEN again.{first} IS NULL THEN ': no batch makes this row'
                           ELSE ': stored' || {} || ', its batches make' || {} END
         FROM main.{table} AS stored LEFT JOIN temp.{table} AS again ON {}
         WHERE (again.{first} IS NULL{differs}) AND {whole} LIMIT 51",
        describe(comparison, "stored"),
        list(sums, "stored"),
        list(sums, "again"),
        same_key(key),
    )
}

/// Rows that the batches make and the ledger lacks.
fn missing(comparison: &Comparison) -> String {
    let Comparison {
        table, key, whole, ..
    } = comparison;
    let whole = whole.replace("row.", "again.");
    format!(
        "SELECT {} || ': the row that its batches make is missing'
         FROM temp.{table} AS again LEFT JOIN main.{table} AS stored ON {}
         WHERE stored.{} IS NULL AND {whole} LIMIT 51",
        describe(comparison, "again"),
        same_key(key),
        key[0],
    )
}

fn same_key(key: &[&str]) -> String {
    let equal: Vec<String> = key
        .iter()
        .map(|column| format!("again.{column} = stored.{column}"))
        .collect();
    equal.join(" AND ")
}

/// An SQL expression that names a row: its table and its key.
fn describe(comparison: &Comparison, side: &str) -> String {
    format!("'{}'{}", comparison.table, list_of(comparison.key, side))
}

fn list(columns: &[&str], side: &str) -> String {
    format!("''{}", list_of(columns, side))
}

fn list_of(columns: &[&str], side: &str) -> String {
    columns
        .iter()
        .map(|column| format!(" || ' {column} ' || coalesce({side}.{column}, '-')"))
        .collect()
}
