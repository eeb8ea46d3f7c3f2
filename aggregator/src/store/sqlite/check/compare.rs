//! Rows of the ledger against rows that were made again from the raw batches.

use rusqlite::Connection;

use super::add_fault;
use crate::store::CheckReport;

/// How one table is compared.
struct Comparison {
    table: &'static str,
    key: &'static [&'static str],
    sums: &'static [&'static str],
}

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
    },
    Comparison {
        table: "share_minute",
        key: &["node_id", "minute", "zone_id", "workload_id"],
        sums: &["active_uj", "usage_ns"],
    },
    Comparison {
        table: "zone_total",
        key: &["node_id", "zone_id"],
        sums: &["measured_uj", "idle_uj", "system_uj"],
    },
    Comparison {
        table: "run_stage",
        key: &["run_id", "stage"],
        sums: &["start_ms", "end_ms", "active_uj"],
    },
    Comparison {
        table: "run_node",
        key: &["run_id", "node_id"],
        sums: &[],
    },
];

/// Every row that the ledger has must come of its batches, with the same sums, and the reverse.
pub(super) fn tables(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    for comparison in &COMPARISONS {
        find_faults(connection, report, &differing(comparison))?;
        find_faults(connection, report, &missing(comparison))?;
    }
    Ok(())
}

/// In every additive zone and minute, the parts sum to what was measured.
pub(super) fn parts(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    let sql = "
        SELECT 'zone-minute of ' || cluster || '/' || node || ', ' || name || ', '
               || strftime('%Y-%m-%dT%H:%MZ', minute * 60, 'unixepoch') || ': workloads + system + idle is '
               || parts || ' uJ, measured ' || measured_uj || ' uJ'
        FROM (SELECT node_id, minute, zone_id, measured_uj, idle_uj + system_uj + coalesce(
                  (SELECT sum(active_uj) FROM main.share_minute AS share
                   WHERE share.node_id = cell.node_id AND share.minute = cell.minute
                     AND share.zone_id = cell.zone_id), 0) AS parts
              FROM main.zone_minute AS cell)
        JOIN node ON node.id = node_id JOIN zone ON zone.id = zone_id
        WHERE parent = '' AND parts <> measured_uj LIMIT 51";
    find_faults(connection, report, sql)
}

fn find_faults(
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
    let Comparison { table, key, sums } = comparison;
    let first = key[0];
    let differs: String = sums
        .iter()
        .map(|sum| format!(" OR stored.{sum} IS NOT again.{sum}"))
        .collect();
    format!(
        "SELECT {} || CASE WHEN again.{first} IS NULL THEN ': no batch makes this row'
                           ELSE ': stored' || {} || ', its batches make' || {} END
         FROM main.{table} AS stored LEFT JOIN temp.{table} AS again ON {}
         WHERE again.{first} IS NULL{differs} LIMIT 51",
        describe(comparison, "stored"),
        list(sums, "stored"),
        list(sums, "again"),
        same_key(key),
    )
}

/// Rows that the batches make and the ledger lacks.
fn missing(comparison: &Comparison) -> String {
    let Comparison { table, key, .. } = comparison;
    format!(
        "SELECT {} || ': the row that its batches make is missing'
         FROM temp.{table} AS again LEFT JOIN main.{table} AS stored ON {}
         WHERE stored.{} IS NULL LIMIT 51",
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
