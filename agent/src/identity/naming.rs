//! What was told without a whole name, until it has one. Pure.
//!
//! Invariant: each workload that was told under its pod's uid is told by name once that is known, also where an earlier
//! process of the agent told of it: what that one knew of it is not known, so that after the first list all pods are told.

use std::collections::HashMap;

use wire::v1::{Workload, WorkloadKind};

use crate::batch::told;
use crate::kube::{Directory, Who};
use crate::parties::Parties;
use crate::spool::Named;

/// Who has had no name for so long will not get one any more.
const GIVE_UP_NS: u64 = 24 * 3_600_000_000_000;
/// Workloads that wait for a name at most; beyond, new ones are not noted and keep their uids for good.
const MAX_WAITING: usize = 20_000;

/// Names of one interval: a batch takes them all beside what it measured.
const MAX_AT_ONCE: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Naming {
    /// As they were told, by pod uid and container id, and since when.
    waiting: HashMap<Id, Waiting>,
    has_told_all: bool,
    /// Names that are still to be told.
    ready: Vec<Named>,
}

/// Pod's uid and the container's whole id.
type Id = (String, String);

/// A container in a pod whose name was not known may be told again with the pod's name before its own is known.
#[derive(Debug)]
struct Waiting {
    as_told: Vec<Workload>,
    since_ns: u64,
}

impl Naming {
    /// Notes who of them is told without a name.
    pub(super) fn note(&mut self, parties: &Parties, now_ns: u64) {
        for workload in parties.workloads() {
            let as_told = told(workload);
            if !wire::is_unnamed(&as_told) {
                continue;
            }
            let id = (workload.pod_uid.clone(), workload.container_id.clone());
            if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&id) {
                continue;
            }
            let waiting = self.waiting.entry(id).or_insert(Waiting {
                as_told: Vec::new(),
                since_ns: now_ns,
            });
            if !waiting.as_told.contains(&as_told) {
                waiting.as_told.push(as_told);
            }
        }
    }

    /// Whether somebody waits.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The names that are known now.
    pub(super) fn take(&mut self, pods: &mut Directory, now_ns: u64) -> Vec<Named> {
        let names = &mut self.ready;
        if pods.was_listed() && !self.has_told_all {
            self.has_told_all = true;
            names.extend(pods.all().map(|(uid, is)| Named {
                was: told(&Workload {
                    kind: WorkloadKind::Container.into(),
                    pod_uid: uid.to_owned(),
                    container_id: is.container_id.clone(),
                    ..Workload::default()
                }),
                is: told(&is),
            }));
        }
        self.waiting.retain(|(uid, container_id), waiting| {
            let Who::Named(is) = pods.who(Some(uid), container_id, now_ns) else {
                return now_ns < waiting.since_ns + GIVE_UP_NS;
            };
            let is = told(&is);
            names.extend(waiting.as_told.drain(..).map(|was| name(was, &is)));
            false
        });
        let now = self.ready.len().min(MAX_AT_ONCE);
        self.ready.drain(..now).collect()
    }
}

/// Energy that was told under a stage stays there, whatever the pod's labels have become.
fn name(was: Workload, is: &Workload) -> Named {
    let mut is = is.clone();
    let has_stage = [&was.workflow, &was.run, &was.stage]
        .iter()
        .any(|label| !label.is_empty());
    if has_stage {
        is.workflow.clone_from(&was.workflow);
        is.run.clone_from(&was.run);
        is.stage.clone_from(&was.stage);
    }
    Named { was, is }
}

#[cfg(test)]
mod tests;
