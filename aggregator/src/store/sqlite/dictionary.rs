//! Names to numbers: each name is stored once, and what was looked up stays in memory.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use rusqlite::{Connection, OptionalExtension, Params};
use wire::StreamId;

use crate::rollup::StageKey;
use crate::store::prepared::{LabelsDigest, Prepared, ZoneKey};
use crate::store::{NodeKey, RunKey, labels};

/// Entries of one kind in memory; beyond, that kind starts anew.
const MAX_CACHED: usize = 100_000;
/// Workloads in memory: their keys are short, and 2,000 nodes have 160,000 of them at a time.
const MAX_CACHED_WORKLOADS: usize = 450_000;

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
const MODEL_RANGE: Table = Table {
    find: "SELECT id FROM model_range WHERE low_percent = ?1 AND high_percent = ?2",
    add: "INSERT INTO model_range (low_percent, high_percent) VALUES (?1, ?2) RETURNING id",
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
pub(super) struct BatchIds {
    pub(super) node: i64,
    pub(super) site: i64,
    /// Parallel to the batch's zones.
    pub(super) zones: Vec<i64>,
    /// Parallel to the batch's workloads; `None` of one that neither ran in the batch nor is known.
    pub(super) workloads: Vec<Option<i64>>,
    /// Run of each stage of the rollup, by the same workload.
    pub(super) runs: BTreeMap<usize, i64>,
}

/// The dictionaries, as far as they are in memory.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// Names that are not there yet are not added: to look one up is then an error.
    fixed: bool,
    sites: HashMap<String, i64>,
    nodes: HashMap<NodeKey, i64>,
    streams: HashMap<(i64, StreamId), i64>,
    zones: HashMap<ZoneKey, i64>,
    workloads: HashMap<LabelsDigest, i64>,
    runs: HashMap<RunKey, i64>,
    last_old_workload: Option<i64>,
}

impl Dictionary {
    /// The last workload that was there before names could follow.
    pub(super) fn last_old_workload(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        if let Some(id) = self.last_old_workload {
            return Ok(id);
        }
        let sql = "SELECT workload_id FROM name_start";
        let id = connection.query_row(sql, [], |row| row.get(0))?;
        self.last_old_workload = Some(id);
        Ok(id)
    }

    /// One that adds nothing.
    pub(super) fn fixed() -> Self {
        Self {
            fixed: true,
            ..Self::default()
        }
    }

    pub(super) fn site(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<i64> {
        if let Some(&id) = self.sites.get(name) {
            return Ok(id);
        }
        let id = find_or_add(self.fixed, connection, &SITE, [name])?;
        remember(&mut self.sites, MAX_CACHED, name.to_owned(), id);
        Ok(id)
    }

    pub(super) fn node(
        &mut self,
        connection: &Connection,
        node: &NodeKey,
    ) -> rusqlite::Result<i64> {
        let params = [&node.cluster, &node.node];
        lookup(&mut self.nodes, self.fixed, connection, &NODE, node, params)
    }

    pub(super) fn stream(
        &mut self,
        connection: &Connection,
        node: i64,
        stream: StreamId,
    ) -> rusqlite::Result<i64> {
        let (key, params) = ((node, stream), (node, stream.0));
        let streams = &mut self.streams;
        lookup(streams, self.fixed, connection, &STREAM, &key, params)
    }

    /// Everything that the rows of a batch point to.
    pub(super) fn batch_ids(
        &mut self,
        connection: &Connection,
        prepared: &Prepared,
        node: i64,
        site: i64,
    ) -> rusqlite::Result<BatchIds> {
        let zones = prepared.zones.iter();
        let zones: rusqlite::Result<_> = zones.map(|zone| self.zone(connection, zone)).collect();
        let workloads: rusqlite::Result<_> = (0..prepared.workloads.len())
            .map(|index| match prepared.ran[index] {
                true => self.workload(connection, prepared, index).map(Some),
                false => self.known_workload(connection, prepared, index),
            })
            .collect();
        let runs: rusqlite::Result<_> = prepared
            .rollup
            .stages
            .keys()
            .map(|&workload| Ok((workload, self.run_of(connection, prepared, workload)?)))
            .collect();
        Ok(BatchIds {
            node,
            site,
            zones: zones?,
            workloads: workloads?,
            runs: runs?,
        })
    }

    fn zone(&mut self, connection: &Connection, zone: &ZoneKey) -> rusqlite::Result<i64> {
        if let Some(&id) = self.zones.get(zone) {
            return Ok(id);
        }
        let modelled = match zone.modelled {
            None => 0,
            Some(range) => find_or_add(self.fixed, connection, &MODEL_RANGE, range)?,
        };
        let params = (&zone.name, &zone.parent, modelled);
        lookup(&mut self.zones, self.fixed, connection, &ZONE, zone, params)
    }

    pub(super) fn workload(
        &mut self,
        connection: &Connection,
        prepared: &Prepared,
        index: usize,
    ) -> rusqlite::Result<i64> {
        let digest = prepared.workloads[index];
        if let Some(&id) = self.workloads.get(&digest) {
            return Ok(id);
        }
        let params = labels(&prepared.batch().workloads[index]);
        let id = find_or_add(self.fixed, connection, &WORKLOAD, params)?;
        remember(&mut self.workloads, MAX_CACHED_WORKLOADS, digest, id);
        Ok(id)
    }

    /// The same, without adding it.
    fn known_workload(
        &self,
        connection: &Connection,
        prepared: &Prepared,
        index: usize,
    ) -> rusqlite::Result<Option<i64>> {
        if let Some(&id) = self.workloads.get(&prepared.workloads[index]) {
            return Ok(Some(id));
        }
        connection
            .prepare_cached(WORKLOAD.find)?
            .query_row(labels(&prepared.batch().workloads[index]), |row| row.get(0))
            .optional()
    }

    fn run_of(
        &mut self,
        connection: &Connection,
        prepared: &Prepared,
        workload: usize,
    ) -> rusqlite::Result<i64> {
        let stage = StageKey::of(&prepared.batch().workloads[workload]);
        let stage = stage.expect("a workload of a stage carries a label");
        let key = RunKey {
            cluster: prepared.node.cluster.clone(),
            workflow: stage.workflow.to_owned(),
            run: stage.run.to_owned(),
        };
        self.run(connection, &key)
    }

    pub(super) fn run(&mut self, connection: &Connection, key: &RunKey) -> rusqlite::Result<i64> {
        let params = [&key.cluster, &key.workflow, &key.run];
        lookup(&mut self.runs, self.fixed, connection, &RUN, key, params)
    }
}

fn lookup<K: Clone + Eq + Hash>(
    cached: &mut HashMap<K, i64>,
    fixed: bool,
    connection: &Connection,
    table: &Table,
    key: &K,
    params: impl Params + Clone,
) -> rusqlite::Result<i64> {
    if let Some(&id) = cached.get(key) {
        return Ok(id);
    }
    let id = find_or_add(fixed, connection, table, params)?;
    remember(cached, MAX_CACHED, key.clone(), id);
    Ok(id)
}

fn find_or_add(
    fixed: bool,
    connection: &Connection,
    table: &Table,
    params: impl Params + Clone,
) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached(table.find)?
        .query_row(params.clone(), |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None if fixed => Err(rusqlite::Error::QueryReturnedNoRows),
        None => connection
            .prepare_cached(table.add)?
            .query_row(params, |row| row.get(0)),
    }
}

fn remember<K: Eq + Hash>(cached: &mut HashMap<K, i64>, most: usize, key: K, id: i64) {
    if cached.len() >= most {
        cached.clear();
    }
    cached.insert(key, id);
}
