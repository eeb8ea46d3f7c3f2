//! Deploying the platform's modules to Kubernetes: where to ([`domains`], [`kubeconfig`], [`cluster`]), whether that can
//! be ([`check`]), and with which programs ([`engine`]).
//!
//! The commands in `commands/` parse arguments, ask and print; what is decided, is decided here.

pub mod check;
pub mod cluster;
pub mod domains;
pub mod engine;
pub mod kubeconfig;
pub(crate) mod yaml;
