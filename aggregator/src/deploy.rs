//! Deploying the platform's modules to Kubernetes: where to ([`domains`], [`kubeconfig`], [`cluster`]), whether that can
//! be ([`check`]), and with which programs ([`engine`]); what there is ([`catalogue`]), what it needs of what is there
//! ([`needs`]), with which [`values`], and all of an [`environment`]; whose a release is ([`owner`]), how it is deployed
//! ([`helm`], [`steps`]), how far it is ([`observe`], [`rollout`]) and what it uses ([`energy`]).
//!
//! The commands in `commands/` parse arguments, ask and print; what is decided, is decided here.

pub mod catalogue;
pub mod check;
pub mod cluster;
pub mod domains;
pub mod energy;
pub mod engine;
pub mod environment;
pub mod files;
pub mod helm;
pub mod kubeconfig;
pub mod manifest;
pub mod needs;
pub mod observe;
pub mod owner;
pub mod rollout;
pub mod set;
pub mod state;
pub mod steps;
pub mod values;
pub(crate) mod yaml;
