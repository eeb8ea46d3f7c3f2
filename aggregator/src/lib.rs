//! The ledger's server and the command line.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod carbon;
pub mod cli;
pub mod client;
pub mod commands;
pub mod compare;
pub mod csv_file;
pub mod format;
pub mod idle_policy;
pub mod intensity;
pub mod ledger;
pub mod report;
pub mod rollup;
pub mod site;
pub mod source;
pub mod store;
