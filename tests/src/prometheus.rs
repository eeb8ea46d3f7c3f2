//! A real Prometheus that scrapes what a test runs, and answers queries.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::programs::{Server, free_port};
use crate::{get, poll, text};

/// The job of the agents, whose targets say which node each is on.
pub const AGENTS: &str = "hxmlops-agent";
/// The job of the aggregator.
pub const AGGREGATOR: &str = "hxmlops";

/// How often it scrapes.
const EVERY: &str = "1s";

/// Running; killed when it is dropped.
pub struct Prometheus {
    server: Server,
    url: String,
    jobs: usize,
    _directory: TempDir,
}

/// One series of an answer, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels, the name too.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Prometheus {
    /// Starts one that scrapes these, each a job's name and an address, as the chart's monitors have it scrape; and evaluates
    /// the rules of a file. `node`: of the agents.
    ///
    /// # Errors
    /// Where it is not there or does not come up.
    pub fn start(jobs: &[(&str, &str)], node: &str, rules: Option<&Path>) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let scrape: Vec<Value> = jobs
            .iter()
            .map(|(job, url)| {
                let address = url.trim_start_matches("http://");
                let labels = if *job == AGENTS {
                    json!({ "node": node })
                } else {
                    json!({})
                };
                let targets = json!([{ "targets": [address], "labels": labels }]);
                json!({ "job_name": job, "honor_labels": true, "static_configs": targets })
            })
            .collect();
        let global = json!({ "scrape_interval": EVERY, "evaluation_interval": EVERY });
        let rules: Vec<&str> = rules.into_iter().map(text).collect();
        let config = json!({ "global": global, "scrape_configs": scrape, "rule_files": rules });
        // JSON is YAML.
        std::fs::write(directory.path().join("prometheus.yml"), config.to_string())?;
        let url = format!("127.0.0.1:{}", free_port()?);
        let args = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address={url}"),
        ];
        let mut prometheus = Self {
            server: Server::start("prometheus", &args, directory.path())?,
            url: format!("http://{url}"),
            jobs: jobs.len(),
            _directory: directory,
        };
        prometheus.wait()?;
        Ok(prometheus)
    }

    /// Until every job was scraped once.
    fn wait(&mut self) -> anyhow::Result<()> {
        let ready = format!("{}/-/ready", self.url);
        poll("Prometheus is ready", || {
            self.server.check()?;
            Ok(get(&ready)
                .is_ok_and(|(status, _)| status == 200)
                .then_some(()))
        })?;
        poll("every job was scraped", || {
            let up = self.query("up == 1")?;
            Ok((up.len() == self.jobs).then_some(()))
        })
    }

    /// What it answers now.
    ///
    /// # Errors
    /// Where it takes it for no query; what it said is in the error.
    pub fn query(&self, query: &str) -> anyhow::Result<Vec<Sample>> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/query", self.url))?;
        url.query_pairs_mut().append_pair("query", query);
        let (status, body) = get(url.as_str())?;
        ensure!(status == 200, "{query}: {status}: {body}");
        let answer: Value = serde_json::from_str(&body)?;
        let results = answer["data"]["result"].as_array();
        results.context("a vector")?.iter().map(sample).collect()
    }

    /// The one value of an answer; `None` where it has none or several.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub fn value(&self, query: &str) -> anyhow::Result<Option<f64>> {
        Ok(match self.query(query)?.as_slice() {
            [one] => Some(one.value),
            _ => None,
        })
    }
}

fn sample(result: &Value) -> anyhow::Result<Sample> {
    let labels = result["metric"].as_object().context("labels")?;
    let label = |(name, value): (&String, &Value)| {
        (name.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    Ok(Sample {
        labels: labels.iter().map(label).collect(),
        value: result["value"][1].as_str().context("a value")?.parse()?,
    })
}
