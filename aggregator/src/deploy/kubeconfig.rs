//! The user's kubeconfig: which contexts it has.

use anyhow::Context as _;
use kube::config::Kubeconfig;

/// A context, as far as a domain needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeContext {
    /// Its name.
    pub name: String,
    /// The namespace that it names.
    pub namespace: Option<String>,
    /// The server that its cluster has; empty where that is not told.
    pub server: String,
    /// It is the current one.
    pub is_current: bool,
}

/// Reads the kubeconfig: the files of `$KUBECONFIG`, else `~/.kube/config`.
///
/// # Errors
/// Where there is none, or it is none: one line.
pub fn read() -> anyhow::Result<Kubeconfig> {
    let config = Kubeconfig::read().map_err(|error| {
        let text = error.to_string();
        anyhow::anyhow!("{}", text.lines().next().unwrap_or_default().to_owned())
    });
    config.context("no kubeconfig: set KUBECONFIG, or put one at ~/.kube/config")
}

/// Its contexts, by name.
#[must_use]
pub fn contexts(config: &Kubeconfig) -> Vec<KubeContext> {
    let server = |cluster: &str| {
        let mut clusters = config.clusters.iter();
        let named = clusters.find(|one| one.name == cluster)?;
        named.cluster.as_ref()?.server.clone()
    };
    let mut contexts: Vec<KubeContext> = config
        .contexts
        .iter()
        .map(|named| {
            let context = named.context.as_ref();
            KubeContext {
                name: named.name.clone(),
                namespace: context.and_then(|context| context.namespace.clone()),
                server: context
                    .and_then(|context| server(&context.cluster))
                    .unwrap_or_default(),
                is_current: config.current_context.as_deref() == Some(&*named.name),
            }
        })
        .collect();
    contexts.sort_by(|a, b| a.name.cmp(&b.name));
    contexts
}

/// The context of a name.
///
/// # Errors
/// Where there is none: a line that names those that are there.
pub fn context<'a>(contexts: &'a [KubeContext], name: &str) -> anyhow::Result<&'a KubeContext> {
    let found = contexts.iter().find(|context| context.name == name);
    found.with_context(|| {
        let names: Vec<&str> = contexts.iter().map(|context| &*context.name).collect();
        let names = match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        format!("the kubeconfig has no context '{name}'; it has: {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
current-context: b
contexts:
  - {name: b, context: {cluster: two, user: u, namespace: work}}
  - {name: a, context: {cluster: one, user: u}}
clusters:
  - {name: two, cluster: {server: 'https://two:6443'}}
users: []
";

    #[test]
    fn contexts_have_their_namespace_and_server() {
        let contexts = contexts(&Kubeconfig::from_yaml(TEXT).unwrap());
        let found: Vec<_> = contexts
            .iter()
            .map(|one| {
                (
                    &*one.name,
                    one.namespace.as_deref(),
                    &*one.server,
                    one.is_current,
                )
            })
            .collect();
        let expected = [
            ("a", None, "", false),
            ("b", Some("work"), "https://two:6443", true),
        ];
        assert_eq!(found, expected);
        assert_eq!(context(&contexts, "b").unwrap().name, "b");
        let error = context(&contexts, "c").unwrap_err().to_string();
        assert_eq!(error, "the kubeconfig has no context 'c'; it has: a, b");
    }
}
