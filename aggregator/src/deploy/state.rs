//! How a deployed module stands. Pure.

use std::fmt;

use serde::Serialize;

use super::rollout::Rollout;

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// All of it is there and ready.
    Ready,
    /// It is on its way, or something keeps it.
    NotReady,
    /// A change of it goes on, or was broken off; create takes the latter up.
    Unfinished,
    /// Its last change failed.
    Failed,
    /// Nothing of it is there.
    Absent,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Unfinished => "unfinished",
            Self::Failed => "failed",
            Self::Absent => "not deployed",
        })
    }
}

/// helm's record of a release: its last revision and how that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// 1 for the first.
    pub revision: u32,
    /// In helm's words: `deployed`, `failed`, `pending-install`, …
    pub status: String,
    /// The last revision whose change ended well; none where none did.
    #[serde(skip)]
    pub deployed: Option<u32>,
}

/// A module in a namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleState {
    /// Its full name.
    pub module: String,
    /// Its release.
    pub release: String,
    /// In a word.
    pub standing: Standing,
    /// helm's record; none of a module of steps.
    pub record: Option<Record>,
    /// Its workloads.
    pub rollout: Rollout,
}

/// In a word, by helm's record and the cluster's workloads.
#[must_use]
pub fn standing(record: Option<&Record>, rollout: &Rollout) -> Standing {
    let status = record.map(|record| &*record.status);
    match status {
        None if rollout.workloads.is_empty() => Standing::Absent,
        Some(status) if status.starts_with("pending-") || status == "uninstalling" => {
            Standing::Unfinished
        }
        Some("failed") => Standing::Failed,
        _ if rollout.is_ready() => Standing::Ready,
        _ => Standing::NotReady,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rollout::Workload;
    use super::*;

    #[test]
    fn a_module_stands_by_its_record_and_its_workloads() {
        let rollout = |ready: Option<i32>| {
            let workload = |ready| Workload {
                kind: "Deployment",
                name: "d".to_owned(),
                wanted: 1,
                ready,
                is_seen: true,
            };
            Rollout {
                workloads: ready.map(workload).into_iter().collect(),
                waiting: Vec::new(),
            }
        };
        let check = |status: Option<&str>, ready: Option<i32>, expected: Standing| {
            let record = status.map(|status| Record {
                revision: 1,
                status: status.to_owned(),
                deployed: None,
            });
            assert_eq!(standing(record.as_ref(), &rollout(ready)), expected);
        };
        check(None, None, Standing::Absent);
        check(None, Some(1), Standing::Ready);
        check(Some("deployed"), Some(1), Standing::Ready);
        check(Some("deployed"), Some(0), Standing::NotReady);
        check(Some("deployed"), None, Standing::NotReady);
        check(Some("failed"), Some(1), Standing::Failed);
        check(Some("pending-install"), Some(1), Standing::Unfinished);
        check(Some("uninstalling"), None, Standing::Unfinished);
    }
}
