//! The server side from outside: the store's conformance, SQLite's own promises, and the real server over
//! HTTP.

#![allow(clippy::unwrap_used)]

mod access;
mod backup;
mod batches;
mod budgets;
mod commands;
mod components;
mod conformance;
mod http;
mod ingest;
mod metrics;
mod names;
mod once_only;
mod plan;
mod restated;
mod retention;
mod running;
mod sqlite;
mod tls;
