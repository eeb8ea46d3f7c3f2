//! Which commit an image is of.

use std::process::Command;

use crate::run::output;
use crate::workspace;

/// What Git says of the source tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revision {
    /// The commit, with `-dirty` where the tree has been changed since.
    pub(super) name: String,
    /// When it was committed, in seconds since 1970.
    pub(super) seconds: i64,
}

impl Revision {
    /// `None` where the sources are in no repository, or there is no Git.
    pub(super) fn find() -> Option<Self> {
        let commit = git(&["rev-parse", "HEAD"])?;
        let seconds = git(&["log", "-1", "--format=%ct"])?.parse().ok()?;
        let is_dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        let name = commit + if is_dirty { "-dirty" } else { "" };
        Some(Self { name, seconds })
    }
}

fn git(args: &[&str]) -> Option<String> {
    output(
        Command::new("git")
            .current_dir(workspace::root())
            .args(args),
    )
    .ok()
}
