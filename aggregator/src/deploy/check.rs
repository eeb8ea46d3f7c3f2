//! Whether modules can be deployed to a domain: the API server, its nodes, the namespace, what one may do there, and
//! storage; and the programs that it takes.
//!
//! Each part says ok, failed, or that it cannot be known (a user of one namespace may not list nodes). A domain is
//! checked within [`LIMIT`], whatever its server does.

mod rights;

use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, Resource as _};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, is_absent, is_forbidden, reason};
use super::domains::{Domain, Role};
use super::engine::{Engine, Program};

/// The longest that a domain is waited for.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What came of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it has to be.
    Ok,
    /// Create would fail.
    Failed,
    /// One may not know.
    Unknown,
}

/// One part of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What was looked at: `helm`, `kubectl`, `api`, `nodes`, `namespace`, `rights`,
    /// `cluster-rights`, `storage`.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, or what to do; one line.
    pub detail: String,
}

/// What was found of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainCheck {
    /// Its name.
    pub domain: String,
    /// Its context.
    pub context: String,
    /// Its role.
    pub role: Role,
    /// Part by part. Without an API server there is nothing more to say.
    pub parts: Vec<Part>,
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// All of it is ok, or cannot be known.
    pub ok: bool,
    /// The programs of this machine.
    pub programs: Vec<Part>,
    /// The domains, in the order in which they were asked for.
    pub domains: Vec<DomainCheck>,
}

/// Checks the programs and all these domains at the same time.
pub async fn check(
    kubeconfig: &Kubeconfig,
    domains: &[(&str, &Domain)],
    end: &CancellationToken,
) -> Checked {
    let programs = join_all([Program::Helm, Program::Kubectl].map(|one| program(one, end)));
    let checks = domains.iter().map(|(name, domain)| {
        // Credentials may come from a program that takes its time; that holds up nobody else.
        let (name, domain, kubeconfig) =
            ((*name).to_owned(), (*domain).clone(), kubeconfig.clone());
        tokio::spawn(async move {
            let context = domain.context.clone();
            let parts = tokio::time::timeout(LIMIT, parts(kubeconfig, &domain)).await;
            let late = format!("no answer within {} s", LIMIT.as_secs());
            DomainCheck {
                domain: name,
                context,
                role: domain.role,
                parts: parts.unwrap_or_else(|_| vec![failed("api", late)]),
            }
        })
    });
    let (programs, checks) = tokio::join!(programs, join_all(checks));
    let domains: Vec<DomainCheck> = checks.into_iter().filter_map(Result::ok).collect();
    let all = domains.iter().flat_map(|domain| &domain.parts);
    let ok = all
        .chain(&programs)
        .all(|part| part.verdict != Verdict::Failed);
    Checked {
        ok,
        programs,
        domains,
    }
}

async fn program(program: Program, end: &CancellationToken) -> Part {
    let name = program.name();
    match Engine::find(program, end).await {
        Ok(engine) => ok(
            name,
            format!("{} at {}", engine.version(), engine.path().display()),
        ),
        Err(error) => failed(name, error.to_string()),
    }
}

async fn parts(kubeconfig: Kubeconfig, domain: &Domain) -> Vec<Part> {
    let cluster = match Cluster::of(kubeconfig, domain, None).await {
        Ok(cluster) => cluster,
        Err(error) => return vec![failed("api", format!("{error:#}"))],
    };
    let api = match cluster.client.apiserver_version().await {
        Ok(version) => ok(
            "api",
            format!("{} at {}", version.git_version, cluster.server),
        ),
        Err(error) => {
            let why = format!("cannot reach {}: {}", cluster.server, reason(&error));
            return vec![failed("api", why)];
        }
    };
    let (nodes, namespace, rights, cluster_rights, storage) = tokio::join!(
        nodes(&cluster),
        namespace(&cluster),
        rights::in_namespace(&cluster),
        rights::in_cluster(&cluster),
        storage(&cluster)
    );
    vec![api, nodes, namespace, rights, cluster_rights, storage]
}

async fn nodes(cluster: &Cluster) -> Part {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = match nodes.list(&ListParams::default()).await {
        Ok(nodes) => nodes.items,
        Err(error) => return unknown_if_forbidden("nodes", &error),
    };
    let ready = nodes.iter().filter(|node| is_ready(node)).count();
    let detail = format!("{ready} of {} ready", nodes.len());
    if ready == 0 {
        failed("nodes", detail)
    } else {
        ok("nodes", detail)
    }
}

fn is_ready(node: &Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn namespace(cluster: &Cluster) -> Part {
    let (name, part) = (&cluster.namespace, "namespace");
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    match namespaces.get(name).await {
        Ok(found) => match found.meta().deletion_timestamp {
            None => ok(part, format!("{name} is there")),
            Some(_) => failed(part, format!("{name} is being deleted")),
        },
        Err(error) if is_absent(&error) => match rights::may_make_namespaces(cluster).await {
            Ok(true) => ok(part, format!("{name} is not there; create makes it")),
            Ok(false) => failed(
                part,
                format!("{name} is not there, and you may not make it"),
            ),
            Err(error) => failed(part, reason(&error)),
        },
        Err(error) => unknown_if_forbidden(part, &error),
    }
}

/// What marks a cluster's default class; the second is what it was called before.
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

async fn storage(cluster: &Cluster) -> Part {
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let classes = match classes.list(&ListParams::default()).await {
        Ok(classes) => classes.items,
        Err(error) => return unknown_if_forbidden("storage", &error),
    };
    let is_default = |class: &&StorageClass| {
        let annotations = class.metadata.annotations.as_ref();
        let is_true =
            |key| annotations.is_some_and(|all| all.get(key).is_some_and(|it| it == "true"));
        DEFAULT_CLASS.into_iter().any(is_true)
    };
    match classes.iter().find(is_default) {
        Some(class) => {
            let name = class.metadata.name.as_deref().unwrap_or_default();
            ok(
                "storage",
                format!("{name} ({}) is the default class", class.provisioner),
            )
        }
        None => {
            let count = classes.len();
            let detail = format!(
                "none of {count} storage classes is the default: mark one, or set a module's storageClass"
            );
            failed("storage", detail)
        }
    }
}

fn ok(name: &'static str, detail: String) -> Part {
    Part {
        name,
        verdict: Verdict::Ok,
        detail,
    }
}

fn failed(name: &'static str, detail: String) -> Part {
    Part {
        name,
        verdict: Verdict::Failed,
        detail,
    }
}

fn unknown_if_forbidden(name: &'static str, error: &kube::Error) -> Part {
    let verdict = if is_forbidden(error) {
        Verdict::Unknown
    } else {
        Verdict::Failed
    };
    Part {
        name,
        verdict,
        detail: reason(error),
    }
}
