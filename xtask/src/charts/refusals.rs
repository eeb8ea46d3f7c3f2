//! Values that must not be taken: a wrong name or a wrong value fails, and the message names it.

use std::process::Command;

use anyhow::Result;

use super::helm::{Helm, RELEASE};
use super::{Faults, directory};

/// What is set, and what the message has.
const REFUSALS: [(&str, &str); 37] = [
    // Names that do not exist.
    ("agents.enabled=true", "agents"),
    ("clustername=x", "clustername"),
    ("agent.kube.mod=api", "mod"),
    ("agent.toleration=x", "toleration"),
    ("agent.config.intervall=5s", "intervall"),
    ("agent.config.sys-root=/sys", "sys-root"),
    ("aggregator.config.intensityzone=FR", "intensityzone"),
    ("aggregator.config.sites[0].grid=FR", "grid"),
    ("aggregator.config.providers.neso.uri=x", "uri"),
    ("aggregator.persistence.storageclass=fast", "storageclass"),
    ("aggregator.resources.limit.memory=1Gi", "limit"),
    ("tls.certManager.issuer.name=x", "issuer"),
    ("tokens.secret=x", "secret"),
    ("networkPolicy.enable=false", "enable"),
    ("monitoring.prometheusRule.budgets[0].kwh=1", "kwh"),
    // Values that cannot be.
    ("tls.mode=selfsigned", "mode"),
    ("agent.kube.mode=apiserver", "mode"),
    ("agent.port=0", "port"),
    ("agent.usage=ebpf", "usage"),
    ("agent.extraCapabilities[0]=SYS_ADMIN", "extraCapabilities"),
    ("agent.aggregatorUrl=ledger:8642", "aggregatorUrl"),
    ("agent.config.power[0]=solar", "power"),
    ("agent.kube.kubelet.url=http://$(HOST_IP):10255", "url"),
    ("aggregator.config.pue=0.9", "pue"),
    ("aggregator.config.intensity=solar", "intensity"),
    ("aggregator.runAsUser=0", "runAsUser"),
    (
        "aggregator.podDisruptionBudget.maxUnavailable=2",
        "maxUnavailable",
    ),
    // Values that do not go together.
    ("tls.mode=secret", "tls.secret.name"),
    ("tls.mode=certManager", "issuerRef.name"),
    (
        "agent.aggregatorUrl=https://ledger:8642",
        "aggregator.enabled=false",
    ),
    ("tokens.adminKey=ingest", "agents would be administrators"),
    (
        "aggregator.intensity.existingConfigMap=x",
        "aggregator.intensity.keys",
    ),
    (
        "aggregator.intensity.secretKey=x",
        "aggregator.intensity.existingSecret",
    ),
    (
        "aggregator.config.intensity=neso",
        "networkPolicy.aggregatorEgress",
    ),
    (
        "aggregator.config.sites[0].name=a,aggregator.config.sites[0].intensity=rte",
        "networkPolicy.aggregatorEgress",
    ),
    (
        "agent.seccompProfile.type=Localhost",
        "agent.seccompProfile.localhostProfile",
    ),
    (
        "aggregator.service.nodePort=30000",
        "aggregator.service.type",
    ),
];

/// Tries each.
///
/// # Errors
/// Where helm cannot be run.
pub(super) fn check(helm: &Helm, faults: &mut Faults) -> Result<()> {
    for (value, named) in REFUSALS {
        faults.of(format!("{} --set {value}", helm.name));
        let mut template = helm.template_command(RELEASE, &directory());
        is_refused(template.args(["--set", value]), named, faults)?;
    }
    Ok(())
}

/// A command fails, and its message has this.
///
/// # Errors
/// Where it cannot be run.
pub(super) fn is_refused(command: &mut Command, named: &str, faults: &mut Faults) -> Result<()> {
    let output = command.output()?;
    faults.check(!output.status.success(), || "is not refused".into());
    let said = String::from_utf8_lossy(&output.stderr);
    faults.check(said.contains(named), || {
        format!("the message does not name {named}: {}", said.trim())
    });
    Ok(())
}
