//! hxmlops-agent: reads the node's energy counters and gives every joule to a workload.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod capability;
pub mod usage;
