//! The commands of the command line, one module each: arguments, questions to the ledger, output.

pub mod apply;
pub mod ask;
pub mod budget;
pub mod check;
pub mod compare;
pub mod completion;
pub mod demo;
pub mod exec;
pub mod explain;
pub mod import;
pub mod init;
pub mod intensity;
pub mod interrupt;
pub mod ledger;
pub mod man;
pub mod module;
pub mod output;
pub mod plan;
pub mod report;
mod rewrite;
pub mod runs;
pub mod serve;
pub mod token;
pub mod when;
