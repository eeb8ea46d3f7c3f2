//! Runs the real program.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// The program with arguments, and without the caller's settings.
pub(crate) fn hxmlops<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hxmlops"));
    command.args(args).env_remove("COLUMNS");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HXMLOPS_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the program to its end.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    hxmlops(args).output().unwrap().into()
}

impl Ended {
    /// Failed with one line on standard error, and that only.
    #[track_caller]
    pub(crate) fn assert_failed(&self, message: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(
            self.stderr.starts_with("error: ") && self.stderr.contains(message),
            "{self:?}"
        );
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
    }

    /// Refused its arguments.
    #[track_caller]
    pub(crate) fn assert_usage(&self, message: &str) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(self.stderr.contains(message), "{self:?}");
    }

    /// Done.
    #[track_caller]
    pub(crate) fn assert_done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }
}
