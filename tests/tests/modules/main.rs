//! What the catalogue's modules say to the programs that they run, said to the real programs: those that Debian and PyPI
//! have, not the images, which no test can fetch. Needs root, for programs that want to be somebody else.
#![allow(clippy::unwrap_used)]

mod mosquitto;
mod postgres;
mod process;
mod rendered;
mod seaweedfs;
