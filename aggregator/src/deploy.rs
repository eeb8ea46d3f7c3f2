//! Deploying the platform's modules to Kubernetes: where to ([`domains`]), in which clusters ([`kubeconfig`]).
//!
//! The commands in `commands/` parse arguments, ask and print; what is decided, is decided here.

pub mod domains;
pub mod kubeconfig;
pub(crate) mod yaml;
