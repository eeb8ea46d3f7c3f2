//! Stage 1: a table of customers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use fastrand::Rng;

use super::{COLUMNS, FEATURES};

const CUSTOMERS: usize = 2_500_000;
/// One row in so many has a field missing, a letter in a number, or a value that cannot be.
const FAULTY_ONE_IN: usize = 50;

pub(super) fn run(directory: &Path) -> anyhow::Result<String> {
    let path = directory.join("raw.csv");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = BufWriter::new(file);
    writeln!(writer, "{},left", COLUMNS.join(","))?;
    let mut random = Rng::with_seed(7);
    for _ in 0..CUSTOMERS {
        let features = customer(&mut random);
        let left = random.f32() < chance_of_leaving(&features);
        let mut fields = features.map(|value| format!("{value:.2}"));
        if random.usize(..FAULTY_ONE_IN) == 0 {
            spoil(&mut fields, &mut random);
        }
        writeln!(writer, "{},{}", fields.join(","), u8::from(left))?;
    }
    writer.flush()?;
    Ok(format!("{CUSTOMERS} customers"))
}

fn customer(random: &mut Rng) -> [f32; FEATURES] {
    let tenure = random.f32() * 120.0;
    let contract = [1.0, 12.0, 24.0][random.usize(..3)];
    let calls = exponential(random, 60.0);
    [
        tenure,
        15.0 + exponential(random, 25.0),
        calls,
        exponential(random, 0.6 + calls / 200.0).floor(),
        exponential(random, 12.0),
        18.0 + random.f32() * 70.0,
        exponential(random, 0.8).floor(),
        contract,
    ]
}

fn exponential(random: &mut Rng, mean: f32) -> f32 {
    -mean * (1.0 - random.f32()).ln()
}

/// What the network has to find out.
fn chance_of_leaving(features: &[f32; FEATURES]) -> f32 {
    let [
        tenure,
        charge,
        calls,
        complaints,
        gigabytes,
        age,
        late,
        contract,
    ] = *features;
    let score = -1.0 - 0.02 * tenure + 0.03 * (charge - 40.0) + 0.5 * complaints + 0.4 * late
        - 0.06 * contract
        + 0.8 * (gigabytes / 10.0).sin() * (age / 20.0).cos()
        - 0.002 * calls;
    1.0 / (1.0 + (-score).exp())
}

fn spoil(fields: &mut [String; FEATURES], random: &mut Rng) {
    let field = &mut fields[random.usize(..FEATURES)];
    match random.usize(..3) {
        0 => field.clear(),
        1 => field.push('x'),
        _ => field.insert(0, '-'),
    }
}
