//! Names to numbers: each name is stored once, and what was looked up stays in memory.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use rusqlite::{Connection, OptionalExtension, Params};
use wire::StreamId;
use wire::v1::{Basis, Batch, Zone};

use crate::rollup::{Rollup, StageKey};
use crate::store::{NodeKey, RunKey, WorkloadLabels};

/// Entries of one kind in memory; beyond, that kind starts anew.
const MAX_CACHED: usize = 100_000;

/// How a kind of name is found and added.
struct Table {
    find: &'static str,
    add: &'static str,
}

const SITE: Table = Table {
    find: "SELECT id FROM site WHERE name = ?1",
    add: "INSERT INTO site (name) VALUES (?1) RETURNING id",
};
const NODE: Table = Table {
    find: "SELECT id FROM node WHERE cluster = ?1 AND node = ?2",
    add: "INSERT INTO node (cluster, node) VALUES (?1, ?2) RETURNING id",
};
const STREAM: Table = Table {
    find: "SELECT id FROM stream WHERE node_id = ?1 AND stream_id = ?2",
    add: "INSERT INTO stream (node_id, stream_id) VALUES (?1, ?2) RETURNING id",
};
const ZONE: Table = Table {
    find: "SELECT id FROM zone WHERE name = ?1 AND parent = ?2 AND modelled = ?3",
    add: "INSERT INTO zone (name, parent, modelled) VALUES (?1, ?2, ?3) RETURNING id",
};
const WORKLOAD: Table = Table {
    find:
        "SELECT id FROM workload WHERE workflow = ?1 AND run = ?2 AND stage = ?3 AND component = ?4
           AND namespace = ?5 AND pod = ?6 AND container = ?7",
    add: "INSERT INTO workload (workflow, run, stage, component, namespace, pod, container)
          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
};
const RUN: Table = Table {
    find: "SELECT id FROM run WHERE cluster = ?1 AND workflow = ?2 AND run = ?3",
    add: "INSERT INTO run (cluster, workflow, run) VALUES (?1, ?2, ?3) RETURNING id",
};

/// What a batch's names are in the ledger.
pub(super) struct BatchIds<'a> {
    pub(super) node: i64,
    pub(super) site: i64,
    /// Parallel to the batch's zones.
    pub(super) zones: Vec<i64>,
    /// Parallel to the batch's workloads.
    pub(super) workloads: Vec<i64>,
    /// Run of each stage of the rollup.
    pub(super) runs: BTreeMap<StageKey<'a>, i64>,
}

/// The dictionaries, as far as they are in memory.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// Names that are not there yet are not added: to look one up is then an error.
    fixed: bool,
    sites: HashMap<String, i64>,
    nodes: HashMap<NodeKey, i64>,
    streams: HashMap<(i64, StreamId), i64>,
    zones: HashMap<(String, String, bool), i64>,
    workloads: HashMap<WorkloadLabels, i64>,
    runs: HashMap<RunKey, i64>,
}

impl Dictionary {
    /// One that adds nothing.
    pub(super) fn fixed() -> Self {
        Self {
            fixed: true,
            ..Self::default()
        }
    }

    pub(super) fn site(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<i64> {
        let key = name.to_owned();
        lookup(&mut self.sites, self.fixed, connection, &SITE, key, [name])
    }

    pub(super) fn node(&mut self, connection: &Connection, batch: &Batch) -> rusqlite::Result<i64> {
        let key = NodeKey {
            cluster: batch.cluster.clone(),
            node: batch.node.clone(),
        };
        let params = [&batch.cluster, &batch.node];
        lookup(&mut self.nodes, self.fixed, connection, &NODE, key, params)
    }

    pub(super) fn stream(
        &mut self,
        connection: &Connection,
        node: i64,
        stream: StreamId,
    ) -> rusqlite::Result<i64> {
        let (key, params) = ((node, stream), (node, stream.0));
        let streams = &mut self.streams;
        lookup(streams, self.fixed, connection, &STREAM, key, params)
    }

    /// Everything that the rows of a batch point to.
    pub(super) fn batch_ids<'a>(
        &mut self,
        connection: &Connection,
        batch: &Batch,
        rollup: &Rollup<'a>,
        node: i64,
        site: i64,
    ) -> rusqlite::Result<BatchIds<'a>> {
        let zones = batch.zones.iter();
        let zones: rusqlite::Result<_> = zones.map(|zone| self.zone(connection, zone)).collect();
        let labels = batch.workloads.iter().map(WorkloadLabels::from);
        let workloads: rusqlite::Result<_> = labels
            .map(|labels| self.workload(connection, labels))
            .collect();
        let runs: rusqlite::Result<_> = rollup
            .stages
            .keys()
            .map(|key| Ok((*key, self.run(connection, &batch.cluster, key)?)))
            .collect();
        Ok(BatchIds {
            node,
            site,
            zones: zones?,
            workloads: workloads?,
            runs: runs?,
        })
    }

    fn zone(&mut self, connection: &Connection, zone: &Zone) -> rusqlite::Result<i64> {
        let modelled = zone.basis() == Basis::Modelled;
        let key = (zone.name.clone(), zone.parent.clone(), modelled);
        let params = (&zone.name, &zone.parent, modelled);
        lookup(&mut self.zones, self.fixed, connection, &ZONE, key, params)
    }

    fn workload(
        &mut self,
        connection: &Connection,
        labels: WorkloadLabels,
    ) -> rusqlite::Result<i64> {
        let params = [
            labels.workflow.clone(),
            labels.run.clone(),
            labels.stage.clone(),
            labels.component.clone(),
            labels.namespace.clone(),
            labels.pod.clone(),
            labels.container.clone(),
        ];
        let workloads = &mut self.workloads;
        lookup(workloads, self.fixed, connection, &WORKLOAD, labels, params)
    }

    fn run(
        &mut self,
        connection: &Connection,
        cluster: &str,
        stage: &StageKey<'_>,
    ) -> rusqlite::Result<i64> {
        let key = RunKey {
            cluster: cluster.to_owned(),
            workflow: stage.workflow.to_owned(),
            run: stage.run.to_owned(),
        };
        let params = [cluster, stage.workflow, stage.run];
        lookup(&mut self.runs, self.fixed, connection, &RUN, key, params)
    }
}

fn lookup<K: Eq + Hash>(
    cached: &mut HashMap<K, i64>,
    fixed: bool,
    connection: &Connection,
    table: &Table,
    key: K,
    params: impl Params + Clone,
) -> rusqlite::Result<i64> {
    if let Some(&id) = cached.get(&key) {
        return Ok(id);
    }
    let found = connection
        .prepare_cached(table.find)?
        .query_row(params.clone(), |row| row.get(0))
        .optional()?;
    let id = match found {
        Some(id) => id,
        None if fixed => return Err(rusqlite::Error::QueryReturnedNoRows),
        None => connection
            .prepare_cached(table.add)?
            .query_row(params, |row| row.get(0))?,
    };
    if cached.len() >= MAX_CACHED {
        cached.clear();
    }
    cached.insert(key, id);
    Ok(id)
}
