//! Every provider of intensity against a server of its shape: one suite for all, and what each has of its own; and the task that feeds
//! the ledger from them.

#![allow(clippy::unwrap_used)]

mod conformance;
mod electricitymaps;
mod fake;
mod feed;
mod file;
mod neso;
mod outage;
mod rte;
mod serving;
mod subject;
mod watttime;
