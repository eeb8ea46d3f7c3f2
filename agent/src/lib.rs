//! hxmlops-agent: reads the node's energy counters and gives every joule to a workload.
//!
//! [`run`] is the way of one joule, step by step. The steps that decide ([`sample`], [`attribution`],
//! [`fit`], [`idle`], [`remainder`], [`cgroup`], [`parties`]) do no I/O; what they decide on comes from [`sensor`] and [`usage`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod attribution;
pub mod batch;
pub mod capability;
mod causes;
pub mod cgroup;
pub mod check;
pub mod clock;
pub mod config;
pub mod exec_tree;
pub mod fit;
pub mod http;
pub mod identity;
pub mod idle;
pub mod kube;
pub mod machines;
pub mod memory;
pub mod metrics;
pub mod node;
pub mod parties;
mod perf_event;
pub mod remainder;
pub mod run;
pub mod sample;
pub mod sensor;
pub mod spool;
pub mod state;
pub mod uplink;
pub mod usage;

/// How many cases a property is tried with; those that failed once are kept beside the sources.
#[cfg(test)]
fn cases() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, FileFailurePersistence};
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel(
            "proptest-regressions",
        ))),
        ..Config::with_cases(10_000)
    }
}
