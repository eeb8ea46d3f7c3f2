//! Our programs as such that need no libraries.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::directory;
use crate::run::{cargo, output};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The agent, and what tests it.
pub(crate) struct Programs {
    /// hxmlops-agent.
    pub(crate) agent: PathBuf,
    /// agent/tests/ebpf.
    pub(crate) tests: PathBuf,
    /// agent/examples/ebpf_usage.rs, which the tests run.
    pub(crate) example: PathBuf,
}

impl Programs {
    /// Builds them, with the eBPF object that is there.
    ///
    /// # Errors
    /// Where they do not build.
    pub(crate) fn build() -> Result<Self> {
        println!("building the agent and its eBPF tests without shared libraries");
        let agent = ["--package", "agent"];
        let programs = ["build", "--bin", "hxmlops-agent", "--example", "ebpf_usage"];
        let programs = built(&[&programs[..], &agent].concat())?;
        let tests = ["test", "--no-run", "--test", "ebpf"];
        let tests = built(&[&tests[..], &agent].concat())?;
        Ok(Self {
            agent: executable(&programs, "bin", "hxmlops-agent")?,
            example: executable(&programs, "example", "ebpf_usage")?,
            tests: executable(&tests, "test", "ebpf")?,
        })
    }
}

/// The server, and who sends to it.
pub(crate) struct ServerPrograms {
    /// hxmlops.
    pub(crate) server: PathBuf,
    /// tests/src/bin/simulated-agents.rs.
    pub(crate) senders: PathBuf,
}

impl ServerPrograms {
    /// Builds them.
    ///
    /// # Errors
    /// Where they do not build.
    pub(crate) fn build() -> Result<Self> {
        println!("building the server and its simulated agents without shared libraries");
        let server = built(&["build", "--package", "aggregator", "--bin", "hxmlops"])?;
        let senders = built(&["build", "--package", "e2e", "--bin", "simulated-agents"])?;
        Ok(Self {
            server: executable(&server, "bin", "hxmlops")?,
            senders: executable(&senders, "bin", "simulated-agents")?,
        })
    }
}

/// What Cargo says, a line of JSON for each thing it has built.
fn built(arguments: &[&str]) -> Result<String> {
    let mut build: Command = cargo();
    build
        .args(arguments)
        .args(["--locked", "--quiet"])
        .args([
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
            "--target-dir",
        ])
        .arg(directory().join("build"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // It all goes into the guest's memory.
        .env("CARGO_PROFILE_DEV_STRIP", "symbols");
    output(&mut build)
}

/// The part of a `compiler-artifact` message that is needed here.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn executable(messages: &str, kind: &str, name: &str) -> Result<PathBuf> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let mut named = artifacts.filter(|artifact| {
        artifact.target.name == name && artifact.target.kind.iter().any(|other| other == kind)
    });
    named
        .find_map(|artifact| artifact.executable)
        .with_context(|| format!("Cargo built no {kind} '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_cargo_s_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"agent"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"ebpf"},"executable":"/t/deps/ebpf-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "test", "ebpf").unwrap(),
            PathBuf::from("/t/deps/ebpf-1")
        );
        assert!(executable(messages, "bin", "ebpf").is_err());
        assert!(executable(messages, "lib", "agent").is_err());
    }
}
