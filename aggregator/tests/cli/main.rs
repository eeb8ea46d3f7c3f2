//! The command line as it is run: the real program, its output and its exit codes.

#![allow(clippy::unwrap_used)]

#[path = "../server/batches.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
mod batches;
mod budget;
mod carbon;
mod check;
mod ci;
mod crash;
mod exec;
mod help;
mod init;
mod ledger;
mod ledger_check;
mod model_card;
mod module;
mod plan;
mod program;
mod serve;
mod server;
mod shell;
mod token;
