//! Values that the chart module must not take: a wrong name or a wrong value fails, and the message names it.

use anyhow::{Context as _, Result};

use super::file::Module;
use super::{case, chart, wiring};
use crate::charts::Faults;
use crate::charts::helm::Helm;
use crate::charts::refusals::is_refused;

/// Which module's values they are set over.
const OVER: &str = "postgres";
/// What is set, and what the message has.
const REFUSALS: [(&str, &str); 48] = [
    // Names that do not exist.
    ("replica=2", "replica"),
    ("image.repo=x", "repo"),
    ("Env.A=x", "Env"),
    ("secretEnv.A.name=x", "name"),
    ("service.nodePort=30000", "nodePort"),
    ("ports[0].hostPort=80", "hostPort"),
    ("ports[0].nodePort=30000", "nodePort"),
    ("ingress.hosts[0]=x", "hosts"),
    ("gateway.parents[0].name=x", "parents"),
    ("networkPolicy.enable=false", "enable"),
    ("config.file.a=x", "file"),
    ("secret.password=x", "password"),
    ("secretMounts.a.path=/x", "path"),
    ("persistence.storageclass=fast", "storageclass"),
    ("emptyDirs.a.path=/x", "path"),
    ("probes.live.exec=x", "live"),
    ("probes.liveness.http.path=/", "http"),
    ("resources.limit.memory=1Gi", "limit"),
    (
        "security.allowPrivilegeEscalation=true",
        "allowPrivilegeEscalation",
    ),
    ("host.network=true", "network"),
    ("serviceMonitor.every=5s", "every"),
    // Values that cannot be.
    ("kind=job", "kind"),
    ("replicas=two", "replicas"),
    ("image.tag=latest", "tag"),
    ("image.digest=sha256:12", "digest"),
    ("secret.generate.password=8", "password"),
    ("secret.generate.password=hunter2", "password"),
    ("ports[0].port=70000", "port"),
    ("service.type=ExternalName", "type"),
    ("persistence.size=much", "size"),
    ("persistence.mountPath=data", "mountPath"),
    ("persistence.accessModes={ReadOnlyMany}", "accessModes"),
    ("security.capabilities={ALL}", "capabilities"),
    ("security.runAsUser=postgres", "runAsUser"),
    (
        "initContainers[0].name=a,initContainers[0].image=busybox:latest,initContainers[0].command={sh}",
        "image",
    ),
    ("fieldEnv.NODE=spec.node", "NODE"),
    // Values that do not go together.
    ("image.repository=", "image.repository"),
    ("image.tag=", "image.tag"),
    ("probes.liveness=null", "probes.liveness"),
    ("probes.none=because", "probes.none"),
    ("resources.requests=null", "requests"),
    ("persistence.mountPath=", "persistence.mountPath"),
    ("replicas=2", "persistence.accessModes"),
    ("kind=daemonset", "persistence.enabled"),
    ("ingress.enabled=true", "ingress.host"),
    ("service.type=LoadBalancer", "networkPolicy.from"),
    ("security.runAsUser=0", "security.runAsNonRoot"),
    ("metrics.port=metrics", "metrics.port"),
];

/// Tries each.
///
/// # Errors
/// Where helm cannot be run, or the module that they are set over is not there.
pub(super) fn check(helm: &Helm, modules: &[Module], faults: &mut Faults) -> Result<()> {
    let over = modules.iter().find(|module| module.name == OVER);
    let over = over.with_context(|| format!("no module is named {OVER}"))?;
    let values = wiring::all(over, modules)?;
    let case = case(over, 0, values.first().context("it needs nothing")?)?;
    let file = case.file.context("a case of the catalogue has a file")?;
    for (value, named) in REFUSALS {
        faults.of(format!("{}, chart module, --set {value}", helm.name));
        let mut template = helm.template_command(OVER, &chart());
        template.arg("--values").arg(&file).args(["--set", value]);
        is_refused(&mut template, named, faults)?;
    }
    faults.of(format!("{}, chart module, a long name", helm.name));
    let mut template = helm.template_command(&"x".repeat(41), &chart());
    is_refused(template.arg("--values").arg(&file), "41 characters", faults)
}
