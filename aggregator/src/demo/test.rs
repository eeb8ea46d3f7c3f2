//! Stage 4: how good is the network on customers it has not seen? Accuracy with a 95 % interval from
//! bootstrap resampling (Efron 1979).

use std::fs;
use std::path::Path;

use anyhow::Context;
use fastrand::Rng;

use super::network::{Network, split};
use super::read_table;

const RESAMPLES: usize = 800;

pub(super) fn run(directory: &Path) -> anyhow::Result<String> {
    let path = directory.join("model.json");
    let model = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let network: Network = serde_json::from_slice(&model)
        .with_context(|| format!("{} is no model", path.display()))?;
    let (_, customers) = split(read_table(&directory.join("clean.csv"))?);
    let right: Vec<bool> = customers
        .iter()
        .map(|customer| (network.predict(customer) > 0.5) == customer.left)
        .collect();
    let accuracy = right.iter().filter(|right| **right).count() as f64 / right.len() as f64;
    let (low, high) = interval(&right);
    Ok(format!(
        "accuracy {accuracy:.3}, 95 % between {low:.3} and {high:.3}, on {} customers",
        right.len()
    ))
}

fn interval(right: &[bool]) -> (f64, f64) {
    let mut random = Rng::with_seed(13);
    let resample = |_| {
        let hits = (0..right.len())
            .filter(|_| right[random.usize(..right.len())])
            .count();
        hits as f64 / right.len() as f64
    };
    let mut accuracies: Vec<f64> = (0..RESAMPLES).map(resample).collect();
    accuracies.sort_by(f64::total_cmp);
    (
        accuracies[RESAMPLES / 40],
        accuracies[RESAMPLES - 1 - RESAMPLES / 40],
    )
}
