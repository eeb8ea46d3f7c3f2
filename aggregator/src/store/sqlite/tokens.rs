//! Tokens, without their secrets.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, Row, params};

use super::row::time;
use crate::token::{Role, TokenRecord};

pub(super) fn put(connection: &Connection, token: &TokenRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO token (id, sha256, role, cluster, node, note, created_ms, expires_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (cluster, node) = match &token.role {
        Role::Ingest { cluster, node } => (cluster.as_str(), node.as_str()),
        Role::Read | Role::Admin => ("", ""),
    };
    connection.execute(
        sql,
        params![
            token.id,
            token.sha256,
            token.role.name(),
            cluster,
            node,
            token.note,
            token.created.as_millisecond(),
            token.expires.map(Timestamp::as_millisecond),
        ],
    )?;
    Ok(())
}

/// Whether there is one; one that was revoked before keeps its time.
pub(super) fn revoke(connection: &Connection, id: &str, now: Timestamp) -> rusqlite::Result<bool> {
    let sql = "UPDATE token SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1";
    Ok(connection.execute(sql, params![id, now.as_millisecond()])? > 0)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<TokenRecord>> {
    let sql = "SELECT id, sha256, role, cluster, node, note, created_ms, expires_ms, revoked_ms
               FROM token ORDER BY created_ms, id";
    connection
        .prepare_cached(sql)?
        .query_map([], record)?
        .collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    let role: String = row.get(2)?;
    let role = match role.as_str() {
        "ingest" => Role::Ingest {
            cluster: row.get(3)?,
            node: row.get(4)?,
        },
        "read" => Role::Read,
        "admin" => Role::Admin,
        _ => return Err(Error::InvalidColumnType(2, role, Type::Text)),
    };
    let optional = |column| match row.get::<_, Option<i64>>(column)? {
        Some(_) => time(row, column).map(Some),
        None => Ok(None),
    };
    Ok(TokenRecord {
        id: row.get(0)?,
        sha256: row.get(1)?,
        role,
        note: row.get(5)?,
        created: time(row, 6)?,
        expires: optional(7)?,
        revoked: optional(8)?,
    })
}
