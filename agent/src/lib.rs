//! hxmlops-agent: reads the node's energy counters and gives every joule to a workload.

pub mod usage;
