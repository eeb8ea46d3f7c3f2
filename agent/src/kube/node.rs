//! The site that this node belongs to, by a label of its Node object. Asked for now and again: a label may be put on a node
//! at any time, and while the API server does not tell, the last answer holds.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tracing::{info, warn};

use super::watch;

/// Between two questions that were answered.
const ASK_EVERY: Duration = Duration::from_secs(600);
/// After one that was not.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The site that batches name; empty: the aggregator says by the node's name.
#[derive(Debug, Default)]
pub struct SiteName(Mutex<String>);

impl SiteName {
    /// Of a site that is known from the start.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Mutex::new(name.to_owned()))
    }

    /// As it is known now.
    #[must_use]
    pub fn get(&self) -> String {
        self.lock().clone()
    }

    fn set(&self, name: &str) -> bool {
        let mut site = self.lock();
        let is_new = *site != name;
        if is_new {
            name.clone_into(&mut site);
        }
        is_new
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom to ask, and for what.
pub struct Label {
    client: Client,
    node: String,
    key: String,
}

impl Label {
    /// A label of a node, from the API server of a kubeconfig, or else of the cluster around.
    ///
    /// # Errors
    /// Where there are no credentials, or they cannot be read.
    pub async fn new(kubeconfig: Option<&Path>, node: &str, key: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: watch::plain_client(kubeconfig).await?,
            node: node.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Its value; `None` where the node does not have it, or as no name of a site.
    ///
    /// # Errors
    /// Why the server does not tell.
    pub async fn ask(&self) -> anyhow::Result<Option<String>> {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = api.get_metadata(&self.node).await;
        let node = node.map_err(|error| anyhow::anyhow!("{}", watch::of_client(&error)))?;
        Ok(value(node, &self.key))
    }

    /// Keeps the site as the label has it, for ever.
    pub async fn follow(self, site: &SiteName) {
        let (node, key) = (&self.node, &self.key);
        let mut last: Option<String> = None;
        loop {
            let (said, pause) = match self.ask().await {
                Ok(Some(name)) => {
                    if site.set(&name) {
                        info!("this node's site is {name}, by its label {key}");
                    }
                    (None, ASK_EVERY)
                }
                Ok(None) => {
                    site.set("");
                    let said = format!("node {node} has no label {key}");
                    (Some(said), ASK_EVERY)
                }
                Err(error) => (
                    Some(format!("{error:#}").replace(['\n', '\r'], " ")),
                    ASK_AGAIN,
                ),
            };
            if let Some(said) = said.as_ref().filter(|said| last.as_ref() != Some(said)) {
                warn!(
                    "--site-label: {said}; its batches name {}",
                    named(&site.get())
                );
            }
            last = said;
            tokio::time::sleep(pause).await;
        }
    }
}

fn named(site: &str) -> String {
    if site.is_empty() {
        "no site: the aggregator goes by the node's name".to_owned()
    } else {
        format!("site {site} still")
    }
}

fn value(mut node: PartialObjectMeta<Node>, key: &str) -> Option<String> {
    let labels = node.metadata.labels.as_mut()?;
    labels.remove(key).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_is_a_site_where_it_says_something() {
        let node = |labels| {
            let object = json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": { "name": "n1", "labels": labels } });
            serde_json::from_value::<PartialObjectMeta<Node>>(object).unwrap()
        };
        let check = |labels, expected: Option<&str>| {
            assert_eq!(value(node(labels), "zone").as_deref(), expected);
        };
        check(json!({ "zone": "paris", "region": "x" }), Some("paris"));
        check(json!({ "zone": "" }), None);
        check(json!({ "region": "x" }), None);
        check(json!(null), None);
    }

    #[test]
    fn a_site_is_new_once() {
        let site = SiteName::default();
        assert!(site.set("a"));
        assert!(!site.set("a"));
        assert_eq!(site.get(), "a");
    }
}
