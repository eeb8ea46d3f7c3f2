//! Names that come after the energy: a workload is told under its pod's uid until the agent knows who it is.
//!
//! What such a workload used stays where it is, under its uid, so that the raw batches prove it as they prove all else;
//! `renamed` says who it was, and whoever reads shares asks it. Only the sums of stages are moved, by what `unnamed`
//! has gathered. A node renames nobody's energy but its own.

use rusqlite::{Connection, OptionalExtension, params};
use wire::v1::Rename;

use super::dictionary::{BatchIds, Dictionary};
use super::row::column;
use super::sums::{ADD_RUN_NODE, ADD_RUN_STAGE};
use super::write::Failure;
use crate::rollup::{StageKey, StageSpan};
use crate::store::RunKey;
use crate::store::prepared::Prepared;

const ADD_UNNAMED: &str = "
    INSERT INTO unnamed (node_id, workload_id, start_ms, end_ms, active_uj)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (node_id, workload_id) DO UPDATE SET
        start_ms = min(start_ms, excluded.start_ms),
        end_ms = max(end_ms, excluded.end_ms),
        active_uj = active_uj + excluded.active_uj";
const TAKE_UNNAMED: &str = "
    DELETE FROM unnamed WHERE node_id = ?1 AND workload_id = ?2 RETURNING start_ms, end_ms, active_uj";
const STAGE_OF_RENAMED: &str = "
    SELECT workflow, run, stage FROM renamed JOIN workload ON workload.id = is_id
    WHERE node_id = ?1 AND was_id = ?2";

/// Times and energy as the tables have them.
type Span = (i64, i64, i64);

/// Gathers what the batch tells of workloads without a name, and takes the names that it gives.
pub(super) fn add(
    connection: &Connection,
    dictionary: &mut Dictionary,
    ids: &BatchIds,
    prepared: &Prepared,
) -> Result<(), Failure> {
    for (&workload, span) in &prepared.rollup.unnamed {
        add_unnamed(connection, dictionary, ids, prepared, workload, span)?;
    }
    for rename in &prepared.batch().renames {
        take_name(connection, dictionary, ids, prepared, rename)?;
    }
    Ok(())
}

/// One whose name has come meanwhile is late, and goes to its stage.
fn add_unnamed(
    connection: &Connection,
    dictionary: &mut Dictionary,
    ids: &BatchIds,
    prepared: &Prepared,
    workload: usize,
    span: &StageSpan,
) -> Result<(), Failure> {
    let id = ids.workloads[workload].expect("it ran in the batch");
    if id <= dictionary.last_old_workload(connection)? {
        return Ok(());
    }
    let span: Span = (span.start_ms, span.end_ms, column(span.active_uj)?);
    let stage: Option<[String; 3]> = connection
        .prepare_cached(STAGE_OF_RENAMED)?
        .query_row([ids.node, id], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?])
        })
        .optional()?;
    let Some([workflow, run, stage]) = stage else {
        let (start_ms, end_ms, active_uj) = span;
        connection
            .prepare_cached(ADD_UNNAMED)?
            .execute(params![ids.node, id, start_ms, end_ms, active_uj])?;
        return Ok(());
    };
    let had_stage = StageKey::of(&prepared.batch().workloads[workload]).is_some();
    let is_staged = [&workflow, &run, &stage]
        .iter()
        .any(|label| !label.is_empty());
    if !had_stage && is_staged {
        let key = StageKey {
            workflow: &workflow,
            run: &run,
            stage: &stage,
        };
        add_to_stage(connection, dictionary, ids, prepared, key, span)?;
    }
    Ok(())
}

fn take_name(
    connection: &Connection,
    dictionary: &mut Dictionary,
    ids: &BatchIds,
    prepared: &Prepared,
    rename: &Rename,
) -> Result<(), Failure> {
    let (was, is) = (rename.was as usize, rename.is as usize);
    // An agent tells all that it knows after its start: most of it was told by name from the first.
    let Some(was_id) = ids.workloads[was] else {
        return Ok(());
    };
    let span: Option<Span> = connection
        .prepare_cached(TAKE_UNNAMED)?
        .query_row([ids.node, was_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some(span) = span else {
        return Ok(());
    };
    let is_id = dictionary.workload(connection, prepared, is)?;
    connection
        .prepare_cached("INSERT INTO renamed (node_id, was_id, is_id) VALUES (?1, ?2, ?3)")?
        .execute([ids.node, was_id, is_id])?;
    let workloads = &prepared.batch().workloads;
    match (StageKey::of(&workloads[was]), StageKey::of(&workloads[is])) {
        (None, Some(key)) => add_to_stage(connection, dictionary, ids, prepared, key, span),
        _ => Ok(()),
    }
}

fn add_to_stage(
    connection: &Connection,
    dictionary: &mut Dictionary,
    ids: &BatchIds,
    prepared: &Prepared,
    key: StageKey<'_>,
    (start_ms, end_ms, active_uj): Span,
) -> Result<(), Failure> {
    let run = RunKey {
        cluster: prepared.node.cluster.clone(),
        workflow: key.workflow.to_owned(),
        run: key.run.to_owned(),
    };
    let run_id = dictionary.run(connection, &run)?;
    connection
        .prepare_cached(ADD_RUN_STAGE)?
        .execute(params![run_id, key.stage, start_ms, end_ms, active_uj])?;
    connection
        .prepare_cached(ADD_RUN_NODE)?
        .execute([run_id, ids.node])?;
    Ok(())
}

/// Who a workload of a node is: another one, where its name came later.
pub(super) fn resolve(connection: &Connection, node: i64, workload: i64) -> rusqlite::Result<i64> {
    let is_id: Option<i64> = connection
        .prepare_cached("SELECT is_id FROM renamed WHERE node_id = ?1 AND was_id = ?2")?
        .query_row([node, workload], |row| row.get(0))
        .optional()?;
    Ok(is_id.unwrap_or(workload))
}
