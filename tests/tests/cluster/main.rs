//! In a Kubernetes cluster: a real API server, pods that are real processes. `cargo xtask cluster` installs what it
//! takes. Needs root, for the cgroups.
#![allow(clippy::unwrap_used)]

mod dashboards;
mod deploy;
mod environment;
mod install;
mod kubelet;
mod names;
mod node_site;
mod site;
mod stages;
mod testbed;
mod watch;
