//! One module for each command that people type.

pub mod ledger;
pub mod serve;
