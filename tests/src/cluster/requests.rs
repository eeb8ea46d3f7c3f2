//! What was asked of the API server, as it counted and recorded itself.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Access;
use crate::metric_sum;

/// Counts of one resource's requests, by anybody, since the API server was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Lists.
    pub lists: u64,
    /// Watches that have ended.
    pub ended_watches: u64,
    /// Watches that go on.
    pub watches: u64,
}

impl Requests {
    pub(super) fn read(admin: &Access, resource: &str) -> anyhow::Result<Self> {
        let (status, text) = admin.text("/metrics")?;
        ensure!(status == 200, "/metrics: {status}: {text}");
        let resource = format!("resource=\"{resource}\"");
        let count = |name: &str, verb: &str| {
            let verb = format!("verb=\"{verb}\"");
            metric_sum(&text, name, &[&resource, "subresource=\"\"", &verb]) as u64
        };
        Ok(Self {
            lists: count("apiserver_request_total", "LIST"),
            ended_watches: count("apiserver_request_total", "WATCH"),
            watches: count("apiserver_longrunning_gauge", "WATCH"),
        })
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As in a role: get, list, watch, ...
    pub verb: String,
    /// As in a role: pods, pods/status, ...; nothing where it is none.
    pub resource: String,
    /// Path and query.
    pub uri: String,
    /// The answer's status; 200 of a watch that goes on.
    pub code: u64,
}

impl Request {
    pub(super) fn read(log: &Path, user: &str) -> anyhow::Result<Vec<Self>> {
        let text = fs::read_to_string(log)
            .with_context(|| format!("cannot read the record {}", log.display()))?;
        let mut seen = HashSet::new();
        let mut requests = Vec::new();
        // The last may be written just now.
        for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let event: Value = serde_json::from_str(line)?;
            // A watch is recorded when it begins and when it ends.
            let mut is_new = || seen.insert(event["auditID"].to_string());
            if event["user"]["username"] == user && is_new() {
                requests.push(Self::parse(&event));
            }
        }
        Ok(requests)
    }

    fn parse(event: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let mut resource = text(&object["resource"]);
        if let Some(subresource) = object["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        Self {
            verb: text(&event["verb"]),
            resource,
            uri: text(&event["requestURI"]),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        }
    }
}
