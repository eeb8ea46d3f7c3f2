//! How pods' names are had, from the flags and what Kubernetes gives a container.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;
use reqwest::Url;

use super::Args;
use crate::kube::{Access, kubelet};

/// Who tells of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum KubeArg {
    /// The API server where there is a service account or a --kubeconfig, else nobody
    Auto,
    /// Nobody: pods go by their uids
    Off,
    /// The API server: one watch of this node's pods
    Api,
    /// This node's kubelet, asked when a pod is not known
    Kubelet,
}

/// Where a container finds whom to believe.
pub(super) const SERVICE_ACCOUNT_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// Where a container finds what to show.
pub(super) const SERVICE_ACCOUNT_TOKEN: &str =
    "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// `None`: pods go by their uids.
pub(super) fn access(args: &Args) -> anyhow::Result<Option<Access>> {
    if let Some(path) = &args.kubeconfig {
        std::fs::read(path)
            .with_context(|| format!("--kubeconfig {} cannot be read", path.display()))?;
    }
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && std::path::Path::new(SERVICE_ACCOUNT_TOKEN).exists();
    let has_api = in_cluster || args.kubeconfig.is_some();
    let api = || Access::Api(args.kubeconfig.clone());
    match args.kube {
        KubeArg::Off => Ok(None),
        KubeArg::Auto => Ok(has_api.then(api)),
        KubeArg::Api if has_api => Ok(Some(api())),
        KubeArg::Api => bail!("--kube api: there is no service account here; give a --kubeconfig"),
        KubeArg::Kubelet => Ok(Some(Access::Kubelet(kubelet_access(args)?))),
    }
}

/// Who says at which site a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteSource {
    /// The aggregator, by the node's name.
    Aggregator,
    /// A flag.
    Name(String),
    /// A label of the Node object, from the API server of a kubeconfig or else of the cluster around.
    Label(String, Option<PathBuf>),
}

pub(super) fn site(
    name: Option<&str>,
    label: Option<&str>,
    access: Option<&Access>,
) -> anyhow::Result<SiteSource> {
    let Some(label) = label else {
        let Some(name) = name else {
            return Ok(SiteSource::Aggregator);
        };
        super::check_name("--site", name)?;
        return Ok(SiteSource::Name(name.to_owned()));
    };
    super::check_name("--site-label", label)?;
    match access {
        Some(Access::Api(kubeconfig)) => {
            Ok(SiteSource::Label(label.to_owned(), kubeconfig.clone()))
        }
        _ => bail!(
            "--site-label {label}: only the API server knows labels of nodes; it needs --kube api"
        ),
    }
}

fn kubelet_access(args: &Args) -> anyhow::Result<kubelet::Access> {
    let url = match &args.kubelet_url {
        Some(url) => url.clone(),
        None => {
            let address = std::env::var("NODE_IP")
                .context("--kube kubelet: give a --kubelet-url, or $NODE_IP")?;
            let is_v6 = address.contains(':');
            let host = if is_v6 {
                format!("[{address}]")
            } else {
                address
            };
            format!("https://{host}:10250")
                .parse::<Url>()
                .with_context(|| format!("$NODE_IP {host} is no address"))?
        }
    };
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        bail!(
            "--kubelet-url {}: it begins with https:// and holds no password",
            url.host_str().unwrap_or_default()
        );
    }
    for (flag, path) in [
        ("--kubelet-ca-file", &args.kubelet_ca_file),
        ("--kubelet-token-file", &args.kubelet_token_file),
    ] {
        std::fs::read(path).with_context(|| format!("{flag} {} cannot be read", path.display()))?;
    }
    Ok(kubelet::Access {
        url,
        ca_file: args.kubelet_ca_file.clone(),
        token_file: args.kubelet_token_file.clone(),
        interval: args.interval,
    })
}
