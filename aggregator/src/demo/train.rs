//! Stage 3: fit the network, on all CPUs.

use std::fs;
use std::path::Path;
use std::thread;

use fastrand::Rng;

use super::network::{Network, split};
use super::{Customer, read_table};

const EPOCHS: usize = 45;
const BATCH: usize = 4096;
const RATE: f32 = 0.5;

pub(super) fn run(directory: &Path) -> anyhow::Result<String> {
    let (customers, _) = split(read_table(&directory.join("clean.csv"))?);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut network = Network::random(&mut Rng::with_seed(11));
    for _ in 0..EPOCHS {
        for batch in customers.chunks(BATCH) {
            step(&mut network, batch, threads);
        }
    }
    fs::write(directory.join("model.json"), serde_json::to_vec(&network)?)?;
    Ok(format!(
        "{EPOCHS} epochs over {} customers on {threads} threads",
        customers.len()
    ))
}

fn step(network: &mut Network, batch: &[Customer], threads: usize) {
    let rate = RATE / batch.len() as f32;
    let part = batch.len().div_ceil(threads);
    let current = &*network;
    let gradients: Vec<Network> = thread::scope(|scope| {
        let parts = batch
            .chunks(part)
            .map(|part| scope.spawn(|| current.gradient(part)))
            .collect::<Vec<_>>();
        parts
            .into_iter()
            .map(|part| {
                part.join()
                    .expect("a gradient is arithmetic and cannot panic")
            })
            .collect()
    });
    for gradient in &gradients {
        network.descend(gradient, rate);
    }
}
