//! GPUs: the real agent beside a driver that does what a test says (`fake-nvml`). Needs root, for the cgroups.
//!
//! What no test here can tell is what a real driver does: docs/faults.md.
#![allow(clippy::unwrap_used)]

mod driver;
mod site;
mod users;
