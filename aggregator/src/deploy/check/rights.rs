//! The rights that create and delete need, asked for one by one (SelfSubjectAccessReview): the answer is the API
//! server's own, whatever authorises there.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::{Part, failed, ok, unknown_if_forbidden};
use crate::deploy::cluster::Cluster;

/// Questions at once.
const AT_ONCE: usize = 8;

const OWNED: &[&str] = &["get", "create", "patch", "delete"];
/// Of what status lists, too.
const LISTED: &[&str] = &["get", "list", "create", "patch", "delete"];

/// (API group, resource, verbs).
type Needed = (&'static str, &'static str, &'static [&'static str]);

/// What the modules' charts make, helm's own records (secrets), and what progress shows.
const NEEDED: [Needed; 15] = [
    (
        "",
        "secrets",
        &["get", "list", "create", "update", "patch", "delete"],
    ),
    ("", "configmaps", OWNED),
    ("", "services", OWNED),
    ("", "serviceaccounts", OWNED),
    ("", "persistentvolumeclaims", LISTED),
    ("", "pods", &["get", "list", "watch"]),
    ("", "events", &["list"]),
    ("apps", "deployments", LISTED),
    ("apps", "statefulsets", LISTED),
    ("apps", "daemonsets", LISTED),
    ("networking.k8s.io", "ingresses", OWNED),
    ("networking.k8s.io", "networkpolicies", OWNED),
    ("policy", "poddisruptionbudgets", OWNED),
    ("rbac.authorization.k8s.io", "roles", OWNED),
    ("rbac.authorization.k8s.io", "rolebindings", OWNED),
];

/// What modules make for the whole cluster that ask about pods or nodes everywhere: the agent, Prometheus, meters.
const NEEDED_IN_CLUSTER: [Needed; 2] = [
    ("rbac.authorization.k8s.io", "clusterroles", OWNED),
    ("rbac.authorization.k8s.io", "clusterrolebindings", OWNED),
];

/// One right: a verb on a resource of an API group.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Right {
    group: &'static str,
    resource: &'static str,
    verb: &'static str,
}

/// Asks for all of them in the domain's namespace.
pub(super) async fn in_namespace(cluster: &Cluster) -> Part {
    let namespace = &cluster.namespace;
    all("rights", &NEEDED, cluster, Some(namespace), namespace).await
}

/// Asks for those that modules need which look at the whole cluster.
pub(super) async fn in_cluster(cluster: &Cluster) -> Part {
    let place = "the whole cluster (agent, prometheus, kepler and scaphandre need it)";
    all("cluster-rights", &NEEDED_IN_CLUSTER, cluster, None, place).await
}

async fn all(
    name: &'static str,
    needed: &'static [Needed],
    cluster: &Cluster,
    namespace: Option<&String>,
    place: &str,
) -> Part {
    let answers: Result<Vec<(Right, bool)>, kube::Error> = stream::iter(rights(needed))
        .map(|right| {
            let (cluster, namespace) = (cluster.clone(), namespace.cloned());
            async move { Ok((right, may(&cluster, namespace, right).await?)) }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await;
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return unknown_if_forbidden(name, &error),
    };
    let lacking = answers.iter().filter(|(_, may)| !may);
    let lacking: Vec<Right> = lacking.map(|(right, _)| *right).collect();
    let count = answers.len();
    if lacking.is_empty() {
        return ok(name, format!("all {count} that create needs in {place}"));
    }
    let listed = listed(&lacking);
    failed(name, format!("you may not, in {place}: {listed}"))
}

fn rights(needed: &[Needed]) -> Vec<Right> {
    let mut all = Vec::new();
    for (group, resource, verbs) in needed {
        all.extend(verbs.iter().map(|verb| Right {
            group,
            resource,
            verb,
        }));
    }
    all
}

/// Whether one may make the namespace.
pub(super) async fn may_make_namespaces(cluster: &Cluster) -> Result<bool, kube::Error> {
    let right = Right {
        group: "",
        resource: "namespaces",
        verb: "create",
    };
    may(cluster, None, right).await
}

async fn may(
    cluster: &Cluster,
    namespace: Option<String>,
    right: Right,
) -> Result<bool, kube::Error> {
    let attributes = ResourceAttributes {
        namespace,
        group: Some(right.group.to_owned()),
        resource: Some(right.resource.to_owned()),
        verb: Some(right.verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// `create, delete secrets; list pods`, in the order of the table.
fn listed(lacking: &[Right]) -> String {
    let same = |a: &Right, b: &Right| (a.group, a.resource) == (b.group, b.resource);
    let one = |rights: &[Right]| {
        let verbs: Vec<&str> = rights.iter().map(|right| right.verb).collect();
        let Right {
            group, resource, ..
        } = rights[0];
        let dot = if group.is_empty() { "" } else { "." };
        format!("{} {resource}{dot}{group}", verbs.join(", "))
    };
    let all: Vec<String> = lacking.chunk_by(same).map(one).collect();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_listed_by_resource() {
        let lacking = [
            ("", "secrets", "create"),
            ("", "secrets", "delete"),
            ("apps", "deployments", "patch"),
        ]
        .map(|(group, resource, verb)| Right {
            group,
            resource,
            verb,
        });
        let expected = "create, delete secrets; patch deployments.apps";
        assert_eq!(listed(&lacking), expected);
    }
}
