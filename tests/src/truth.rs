//! A power truth: a powercap tree whose energy is a known function of what each cgroup really used.
//!
//! A zone's energy = its idle watts x time + for each group its watts per CPU second x its CPU time + the zone's own
//! watts per CPU second x all other busy CPU time of its package. CPU time is the kernel's, to the nanosecond; energy is
//! counted in picojoules, so that nothing is rounded before it is shown. The program `power-truth` serves such a tree
//! ([`serve`]) and is told what to do by lines of text ([`command`]); tests and benches hold it by [`client`].
//!
//! [`command`], [`counter`] and [`ledger`] are pure; [`cpu_time`] reads cgroups, [`tree`] writes files.

pub mod client;
pub mod command;
pub mod counter;
pub mod cpu_time;
pub mod ledger;
pub mod serve;
pub mod tree;
