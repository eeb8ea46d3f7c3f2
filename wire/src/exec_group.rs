//! The name under which `hxmlops exec` shows a command's processes to the agent.
//!
//! The command line makes a cgroup `hxmlops.exec/WORKFLOW:RUN:STAGE:ID`; where it may not, it bears
//! `hxmlops.exec/WORKFLOW:RUN:STAGE:ID` as its `argv[0]` and the agent follows its descendants. The name
//! is all that the agent needs: no socket, no file, nothing to lose at a restart.

use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

/// Directory of all exec groups within a cgroup, and the first part of a supervisor's `argv[0]`.
pub const DIRECTORY: &str = "hxmlops.exec";

/// Name (`comm`) of a supervisor's process, so that the agent sees one when it runs for the first time.
pub const SUPERVISOR_COMM: &CStr = c"hxmlops-exec";

/// Bytes of one part: what Kubernetes allows in a label's value.
const MAX_PART_BYTES: usize = 63;

/// One command under `hxmlops exec`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecGroup {
    workflow: String,
    run: String,
    stage: String,
    id: String,
}

/// A part of an exec group's name that breaks the rule of label values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExecGroup {
    /// The part (first) has this value (second), which is no label value.
    #[error(
        "{0} '{1}' is not a label value: 1 to 63 letters, digits, '-', '_' or '.', a letter or digit at both ends"
    )]
    Part(&'static str, String),
    /// The text has not four parts.
    #[error("an exec group is WORKFLOW:RUN:STAGE:ID")]
    Shape,
}

impl ExecGroup {
    /// Checks each part: a Kubernetes label value that is not empty. `id` tells commands of one stage
    /// apart.
    ///
    /// # Errors
    /// [`InvalidExecGroup::Part`] names the part that is no label value.
    pub fn new(workflow: &str, run: &str, stage: &str, id: &str) -> Result<Self, InvalidExecGroup> {
        let part = |name, value: &str| {
            if is_label_value(value) {
                Ok(value.to_owned())
            } else {
                Err(InvalidExecGroup::Part(name, value.to_owned()))
            }
        };
        Ok(Self {
            workflow: part("workflow", workflow)?,
            run: part("run", run)?,
            stage: part("stage", stage)?,
            id: part("id", id)?,
        })
    }

    /// The workflow's name.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.workflow
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The stage's name.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// What tells this command from others of the same stage.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path below the cgroup that holds it, and the supervisor's `argv[0]`.
    #[must_use]
    pub fn relative_path(&self) -> String {
        format!("{DIRECTORY}/{self}")
    }

    /// The group that a cgroup path lies in, at any depth below it; the innermost where groups are nested;
    /// `None` when in none.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let mut groups = path.rsplit('/').zip(path.rsplit('/').skip(1));
        groups.find_map(|(name, directory)| {
            if directory == DIRECTORY {
                name.parse().ok()
            } else {
                None
            }
        })
    }
}

impl fmt::Display for ExecGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}:{}",
            self.workflow, self.run, self.stage, self.id
        )
    }
}

impl FromStr for ExecGroup {
    type Err = InvalidExecGroup;

    fn from_str(name: &str) -> Result<Self, InvalidExecGroup> {
        let parts: Vec<&str> = name.split(':').collect();
        let [workflow, run, stage, id] = parts[..] else {
            return Err(InvalidExecGroup::Shape);
        };
        Self::new(workflow, run, stage, id)
    }
}

fn is_label_value(value: &str) -> bool {
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= MAX_PART_BYTES
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_round_trips_through_a_path() {
        let group =
            ExecGroup::new("churn", "run-1", "train", "42").expect("all parts are label values");
        assert_eq!(group.relative_path(), "hxmlops.exec/churn:run-1:train:42");
        let path = format!("/user.slice/{}/nested", group.relative_path());
        assert_eq!(ExecGroup::from_path(&path), Some(group.clone()));
        let inner =
            ExecGroup::new("churn", "run-1", "part", "43").expect("all parts are label values");
        let nested = format!("{path}/{}", inner.relative_path());
        assert_eq!(ExecGroup::from_path(&nested), Some(inner));
        assert_eq!(ExecGroup::from_path("/hxmlops.exec"), None);
        assert_eq!(ExecGroup::from_path("/system.slice"), None);
        assert_eq!(ExecGroup::from_path("/hxmlops.exec/a:b:c"), None);
    }

    #[test]
    fn what_could_leave_its_directory_is_refused() {
        for bad in ["", "..", "a/b", "a:b", "-a", "a ", "é", &"x".repeat(64)] {
            let error = ExecGroup::new("w", bad, "s", "1").expect_err(bad);
            assert_eq!(error, InvalidExecGroup::Part("run", bad.to_owned()));
        }
    }
}
