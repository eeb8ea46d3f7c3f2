//! Load for the aggregator's benches: agents that are not there, and a real `hxmlops serve` that takes in what they
//! would have sent.

mod agents;
mod ask;
mod ingest;
mod query;
mod server;
mod year;

use anyhow::bail;
use serde_json::{Value, json};

/// One figure, with what each run gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    name: String,
    unit: &'static str,
    runs: Vec<f64>,
}

impl Figure {
    fn new(name: impl Into<String>, unit: &'static str, runs: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            runs,
        }
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "unit": self.unit, "runs": self.runs })
    }
}

/// Runs the bench of this name (`aggregator` or `query`) with the programs in `directory`; returns its figures as JSON.
///
/// # Errors
/// Where there is no such bench, or the server fails.
pub async fn run(bench: &str, directory: &std::path::Path) -> anyhow::Result<Value> {
    let figures = match bench {
        "aggregator" => ingest::run(directory).await?,
        "query" => query::run(directory).await?,
        _ => bail!("there is no bench '{bench}'"),
    };
    Ok(figures.iter().map(Figure::json).collect())
}
