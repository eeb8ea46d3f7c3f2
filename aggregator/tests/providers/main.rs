//! Every provider of intensity against a server of its shape: one suite for all, and what each has of its own.

#![allow(clippy::unwrap_used)]

mod conformance;
mod electricitymaps;
mod fake;
mod file;
mod neso;
mod rte;
mod subject;
mod watttime;
