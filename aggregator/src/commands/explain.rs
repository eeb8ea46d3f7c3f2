//! `hxmlops explain`

use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config};
use serde::Deserialize;
use wire::stage::{PodMeta, Rule, Rules};

use super::output::{print, width};
use crate::cli::Usage;
use crate::crypto;
use crate::format;

/// Bytes of a file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Which pod, and by which rules.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The pod's name; with --file only needed where the file has several
    #[arg(value_name = "POD", required_unless_present = "file")]
    pod: Option<String>,
    /// Its namespace [default: the kubeconfig's]
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// Kubeconfig of its cluster [default: $KUBECONFIG, else the service account of this container, else ~/.kube/config]
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    context: Option<String>,
    /// Read what `kubectl get pod -o yaml` printed instead of asking a cluster; - is standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The agents' config file, for the stage rules in it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A pod, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pod {
    #[serde(default)]
    kind: String,
    pub(crate) metadata: PodMeta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
}

#[derive(Clone, Debug, Deserialize)]
struct Container {
    name: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Pod>,
}

impl Pod {
    /// Names of its containers.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &str> {
        let Spec {
            containers,
            init_containers,
            ephemeral_containers,
        } = &self.spec;
        let all = init_containers.iter().chain(containers);
        all.chain(ephemeral_containers).map(|one| &*one.name)
    }
}

/// Says which rule places a pod, and why.
///
/// # Errors
/// Where there is no such pod, or it cannot be asked for.
pub async fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let rules = rules(args.config.as_deref())?;
    let pod = match &args.file {
        Some(file) => from_file(file, args)?,
        None => from_cluster(args).await?,
    };
    let explanation = rules.explain(&pod.metadata);
    let text = if args.json {
        format::json(&explanation)?
    } else {
        format::explain::explanation(&pod, &rules, &explanation, width())
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The built-in rules, with those of an agent's configuration.
fn rules(config: Option<&Path>) -> anyhow::Result<Rules> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default, rename = "stage-rules", alias = "stage_rules")]
        stage_rules: Vec<Rule>,
    }
    let Some(path) = config else {
        return Ok(Rules::built_in());
    };
    let name = || format!("--config {}", path.display());
    let text = std::fs::read_to_string(path).with_context(name)?;
    let content: Content = serde_saphyr::from_str(&text)
        .map_err(|error| anyhow::anyhow!(first_line(&error)))
        .with_context(name)?;
    Rules::with(content.stage_rules).with_context(name)
}

/// The parser goes on with an excerpt of the file.
fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

fn from_file(file: &Path, args: &ExplainArgs) -> anyhow::Result<Pod> {
    let mut text = String::new();
    let is_stdin = file == Path::new("-");
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let opened: Box<dyn Read> = if is_stdin {
        Box::new(stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot open {name}"))?)
    };
    let read = opened.take(MAX_FILE_BYTES).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {name}"))?;
    let mut pods = parse(&text).with_context(|| format!("{name} has no pod"))?;
    pods.retain(|pod| {
        let meta = &pod.metadata;
        args.pod.as_ref().is_none_or(|name| *name == meta.name)
            && args
                .namespace
                .as_ref()
                .is_none_or(|name| *name == meta.namespace)
    });
    match pods.len() {
        1 => Ok(pods.remove(0)),
        0 => bail!("{name} has no such pod"),
        _ => Err(Usage(format!(
            "{name} has several pods: say which, and --namespace"
        ))
        .into()),
    }
}

/// A pod, or a list of them; as YAML, which JSON is too.
fn parse(text: &str) -> anyhow::Result<Vec<Pod>> {
    if let Ok(list) = serde_saphyr::from_str::<List>(text) {
        return Ok(list.items);
    }
    let pod: Pod =
        serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!(first_line(&error)))?;
    if !matches!(&*pod.kind, "Pod" | "") {
        bail!("it is a {}", pod.kind);
    }
    Ok(vec![pod])
}

async fn from_cluster(args: &ExplainArgs) -> anyhow::Result<Pod> {
    crypto::install();
    // Its causes are in the error's own words already.
    let config = config(args).await.map_err(|error| {
        anyhow::anyhow!(
            "no cluster to ask ({error}); give --kubeconfig, or read a file with --file"
        )
    })?;
    let namespace = args
        .namespace
        .clone()
        .unwrap_or(config.default_namespace.clone());
    let client = Client::try_from(config).context("cannot make a client for Kubernetes")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let pods: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    // The grammar asks for it where there is no file.
    let name = args.pod.as_deref().unwrap_or_default();
    let pod = pods.get(name).await.map_err(|error| match error {
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        error => anyhow::Error::from(error),
    });
    let pod = pod.with_context(|| format!("cannot read pod {namespace}/{name}"))?;
    Ok(serde_json::from_value(serde_json::to_value(pod)?)?)
}

async fn config(args: &ExplainArgs) -> anyhow::Result<Config> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    if let Some(path) = &args.kubeconfig {
        let file = Kubeconfig::read_from(path)?;
        return Ok(Config::from_custom_kubeconfig(file, &options).await?);
    }
    if let Ok(config) = Config::incluster()
        && args.context.is_none()
        && std::env::var_os("KUBECONFIG").is_none()
    {
        return Ok(config);
    }
    Ok(Config::from_kubeconfig(&options).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_and_lists_of_them_are_read_and_nothing_else() {
        let pod = "kind: Pod\nmetadata: {name: a, labels: {x: y}}\nspec: {containers: [{name: main, image: i}]}\n";
        let pods = parse(pod).unwrap();
        assert_eq!(pods[0].metadata.labels["x"], "y");
        assert_eq!(pods[0].containers().collect::<Vec<_>>(), ["main"]);
        let list = r#"{"kind": "List", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}"#;
        assert_eq!(parse(list).unwrap().len(), 2);
        for (text, expected) in [
            (
                "kind: Deployment\nmetadata: {name: a}\n",
                "it is a Deployment",
            ),
            ("a: [", "line 1"),
            ("hello", "line 1"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
