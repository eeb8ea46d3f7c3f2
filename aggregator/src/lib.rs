//! The ledger's server and the command line.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod amounts;
pub mod api;
pub mod app;
pub mod budget;
pub mod carbon;
pub mod cli;
pub mod client;
pub mod commands;
pub mod compare;
pub mod config;
pub mod crypto;
pub mod csv_file;
pub mod demo;
pub mod deploy;
pub mod equivalents;
pub mod error;
pub mod feed;
pub mod format;
pub mod idle_policy;
pub mod ingest;
pub mod intensity;
pub mod ledger;
pub mod metrics;
pub mod openapi;
mod page;
pub mod plan;
pub mod provider;
pub mod report;
pub mod rollup;
pub mod router;
pub mod scope2;
pub mod serve;
pub mod site;
pub mod site_map;
pub mod source;
pub mod store;
pub mod token;
