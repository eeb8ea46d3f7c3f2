//! Faults that energy exporters have had, each with a test that would fail on it: docs/faults.md has the list.
//! Needs root, for the cgroups.
#![allow(clippy::unwrap_used)]

mod counters;
mod identity;
mod processes;
mod site;
mod surroundings;
mod wraps;
mod zones;
