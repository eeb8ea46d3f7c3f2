//! The ledger's server and the command line.

pub mod carbon;
pub mod intensity;
pub mod ledger;
pub mod report;
pub mod site;
pub mod store;
