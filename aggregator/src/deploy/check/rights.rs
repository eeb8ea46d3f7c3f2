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

/// (API group, resource, verbs): what the modules' charts make, helm's own records (secrets), and what progress shows.
const NEEDED: [(&str, &str, &[&str]); 14] = [
    (
        "",
        "secrets",
        &["get", "list", "create", "update", "patch", "delete"],
    ),
    ("", "configmaps", OWNED),
    ("", "services", OWNED),
    ("", "serviceaccounts", OWNED),
    (
        "",
        "persistentvolumeclaims",
        &["get", "list", "create", "patch", "delete"],
    ),
    ("", "pods", &["get", "list", "watch"]),
    ("", "events", &["list"]),
    ("apps", "deployments", OWNED),
    ("apps", "statefulsets", OWNED),
    ("apps", "daemonsets", OWNED),
    ("networking.k8s.io", "ingresses", OWNED),
    ("networking.k8s.io", "networkpolicies", OWNED),
    ("rbac.authorization.k8s.io", "roles", OWNED),
    ("rbac.authorization.k8s.io", "rolebindings", OWNED),
];

/// One right: a verb on a resource of an API group.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Right {
    group: &'static str,
    resource: &'static str,
    verb: &'static str,
}

/// Asks for all of them.
pub(super) async fn check(cluster: &Cluster) -> Part {
    let namespace = Some(cluster.namespace.clone());
    let answers: Result<Vec<(Right, bool)>, kube::Error> = stream::iter(needed())
        .map(|right| {
            let (cluster, namespace) = (cluster.clone(), namespace.clone());
            async move { Ok((right, may(&cluster, namespace, right).await?)) }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await;
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return unknown_if_forbidden("rights", &error),
    };
    let lacking = answers.iter().filter(|(_, may)| !may);
    let lacking: Vec<Right> = lacking.map(|(right, _)| *right).collect();
    let (name, count) = (&cluster.namespace, answers.len());
    if lacking.is_empty() {
        return ok("rights", format!("all {count} that create needs in {name}"));
    }
    failed(
        "rights",
        format!("you may not, in {name}: {}", listed(&lacking)),
    )
}

fn needed() -> Vec<Right> {
    let mut all = Vec::new();
    for (group, resource, verbs) in NEEDED {
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
