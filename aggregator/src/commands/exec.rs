//! `hxmlops exec`: runs a command so that the agent books its energy to a workflow, run and stage.
//!
//! Two ways, and the agent knows both. The command runs in cgroups `hxmlops.exec/WORKFLOW:RUN:STAGE:ID`;
//! or, where none may be made, below a supervisor that bears this path as its `argv[0]`, so that the agent
//! finds it in `/proc` and follows its descendants. Neither needs a server or an agent to be there.

mod cgroup;
pub mod mounts;
mod supervise;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use wire::exec_group::{DIRECTORY, ExecGroup, SUPERVISOR_COMM};

use crate::cli::Usage;
use crate::commands::output::tell;
use cgroup::Cgroups;

/// A command and the labels of its energy.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Workflow that the command belongs to
    #[arg(long, value_name = "NAME")]
    workflow: String,
    /// Run that the command belongs to
    #[arg(long, value_name = "ID")]
    run: String,
    /// Stage of the run that the command is
    #[arg(long, value_name = "NAME")]
    stage: String,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the command and returns its exit code: 128 + N where signal N ended it, 127 where there is no such
/// command, 126 where it cannot be executed.
///
/// # Errors
/// Where a label is none, or the command could not be supervised.
pub fn run(args: &ExecArgs) -> anyhow::Result<ExitCode> {
    let group = ExecGroup::new(&args.workflow, &args.run, &args.stage, &id())
        .map_err(|error| Usage(error.to_string()))?;
    match Cgroups::make(&group) {
        Ok(cgroups) => supervise::run(&args.command, Some(&cgroups)),
        Err(reason) => {
            tell(&format!(
                "hxmlops exec: {reason}; the agent follows the process tree instead"
            ));
            bear_the_name(&group, &args.command)
        }
    }
}

/// Tells commands of one stage apart: the supervisor's pid, by which what it left behind is known to be
/// left, and the time, for pids come again.
fn id() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}-{:x}", std::process::id(), now.as_micros())
}

/// Becomes a supervisor that is called after the group. Returns only where that fails.
fn bear_the_name(group: &ExecGroup, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let error = Command::new("/proc/self/exe")
        .arg0(group.relative_path())
        .args(command)
        .exec();
    Err(error).context("cannot execute /proc/self/exe to follow the process tree")
}

/// A command whose supervisor bears its group's name.
#[derive(Debug)]
pub struct Supervised {
    command: Vec<OsString>,
}

impl Supervised {
    /// `None` for any other invocation of this program.
    pub fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let name = args.next()?;
        let name = name.to_str()?.strip_prefix(DIRECTORY)?.strip_prefix('/')?;
        let _: ExecGroup = name.parse().ok()?;
        let command: Vec<OsString> = args.collect();
        (!command.is_empty()).then_some(Self { command })
    }
}

/// Runs the command of a supervisor that bears its group's name.
#[must_use]
pub fn supervise_tree(supervised: &Supervised) -> ExitCode {
    // The agent sees that a supervisor has come by the name of what runs; one that it cannot read it finds
    // all the same when it starts.
    let _ = rustix::thread::set_name(SUPERVISOR_COMM);
    // Orphans of the command then become this process's children, and stay in the tree that the agent
    // follows.
    let adopted = rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("cannot adopt the command's orphans");
    let ended = adopted.and_then(|()| supervise::run(&supervised.command, None));
    ended.unwrap_or_else(|error| {
        tell(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], expected: Option<&[&str]>) {
        let found = Supervised::from_args(args.iter().map(OsString::from));
        let found = found.map(|supervised| supervised.command);
        let expected = expected.map(|words| words.iter().map(OsString::from).collect());
        assert_eq!(found, expected, "{args:?}");
    }

    #[test]
    fn only_a_group_s_name_makes_a_supervisor() {
        check(
            &["hxmlops.exec/w:r:s:1", "true", "-x"],
            Some(&["true", "-x"]),
        );
        check(&["hxmlops.exec/w:r:s:1"], None);
        check(&["hxmlops.exec/w:r:s", "true"], None);
        check(&["/usr/bin/hxmlops.exec/w:r:s:1", "true"], None);
        check(&["hxmlops", "runs"], None);
        check(&[], None);
    }
}
