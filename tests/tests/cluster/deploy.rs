//! The deploy commands against a real API server, with the real helm of both majors and the real kubectl. Images are not to
//! be had here, so that no container runs: [`e2e::cluster::Node`] tells of pods what a kubelet would.

mod catalogue;
mod connection;
mod domains;
mod every_module;
mod gone;
mod interrupted;
mod owner;
mod rendered;
mod steps;
mod surroundings;
mod user;
mod waiting;
