//! Modules of several steps, by kubectl: each kustomized, labelled, applied, and waited for; deleted in the reverse order.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::catalogue::module::{Step, Wait};
use super::engine::{Call, Engine, EngineError};
use super::manifest;
use super::needs::Planned;
use super::observe::COMPONENT_LABEL;
use super::values::MODULE_LABEL;

/// To fetch a repository's manifests.
const FETCH_LIMIT: Duration = Duration::from_secs(180);

/// kubectl, for one cluster.
pub struct Kubectl<'a> {
    /// The program.
    pub engine: &'a Engine,
    /// The kubeconfig's context.
    pub context: &'a str,
    /// Ends what runs.
    pub end: &'a CancellationToken,
}

impl Kubectl<'_> {
    /// The objects of a step, with labels that say whose they are.
    ///
    /// # Errors
    /// Where kubectl cannot make them.
    pub async fn objects(&self, step: &Step, planned: &Planned<'_>) -> anyhow::Result<Vec<Value>> {
        let call = Call::new(["kustomize", &step.kustomize]).within(FETCH_LIMIT);
        let printed = self.engine.run(&call, self.end).await?;
        let objects = manifest::objects(&printed).map_err(anyhow::Error::msg);
        let mut objects =
            objects.with_context(|| format!("kubectl kustomize {}", step.kustomize))?;
        let module = planned.module.label();
        for object in &mut objects {
            let pods = (COMPONENT_LABEL, &*planned.release);
            manifest::label(object, (MODULE_LABEL, &module), pods);
        }
        Ok(objects)
    }

    /// Applies a step's objects, and waits for what the next step needs.
    ///
    /// # Errors
    /// Where kubectl fails.
    pub async fn apply(
        &self,
        step: &Step,
        objects: &[Value],
        limit: Duration,
    ) -> anyhow::Result<()> {
        // By the server: some definitions are too long for the annotation that kubectl else keeps.
        let call = self.call([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            "-",
        ]);
        let call = call.input(list(objects)).within(limit);
        self.engine.run(&call, self.end).await?;
        if let Some(Wait {
            condition,
            on,
            timeout,
        }) = &step.wait
        {
            let condition = format!("--for={condition}");
            let timeout = format!("--timeout={timeout}");
            let call = self.call(["wait", &condition, &timeout, on]).within(limit);
            self.engine.run(&call, self.end).await?;
        }
        Ok(())
    }

    /// Deletes a step's objects; those that are not there are passed over.
    ///
    /// # Errors
    /// Where kubectl fails.
    pub async fn delete(&self, objects: &[Value], limit: Duration) -> anyhow::Result<()> {
        let call = self.call([
            "delete",
            "--ignore-not-found",
            "--wait=false",
            "--filename",
            "-",
        ]);
        let call = call.input(list(objects)).within(limit);
        self.engine.run(&call, self.end).await?;
        Ok(())
    }

    /// What applying would change, empty where nothing; and whether it is there at all.
    ///
    /// # Errors
    /// Where kubectl fails.
    pub async fn diff(&self, objects: &[Value]) -> anyhow::Result<(String, bool)> {
        let call = self.call([
            "diff",
            "--server-side",
            "--force-conflicts",
            "--filename",
            "-",
        ]);
        let call = call.input(list(objects));
        match self.engine.compare(&call, self.end).await {
            Ok((text, true)) => Ok((text, true)),
            Ok((_, false)) => Ok((String::new(), true)),
            // kubectl compares nothing in a namespace, or of a kind, that earlier objects have yet to make.
            Err(EngineError::Failed(_, why)) if is_absent(&why) => {
                Ok((manifest::diff(&[], objects), false))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn call<const N: usize>(&self, args: [&str; N]) -> Call {
        Call::new(args).args(["--context", self.context])
    }
}

/// Whether kubectl fails since the cluster has no such namespace or kind.
fn is_absent(why: &str) -> bool {
    let is_namespace = why.contains("namespaces \"") && why.contains("\" not found");
    is_namespace || why.contains("no matches for kind")
}

fn list(objects: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()
}
