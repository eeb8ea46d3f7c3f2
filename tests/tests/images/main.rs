//! The images of both programs, run by podman as the chart has Kubernetes run them. Needs root, buildah, podman and runc of
//! Debian, and helm: `cargo xtask test` installs them.
//!
//! No container runtime of Kubernetes is here. What podman does instead, and with which settings, is in `podman.rs`; what of
//! a pod becomes which of podman's flags, in `pod.rs`.
#![allow(clippy::unwrap_used)]

mod agent;
mod aggregator;
mod chart;
mod contents;
mod pod;
mod podman;
mod seccomp;
