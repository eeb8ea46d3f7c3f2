//! What the chart module makes of values that no module sets by itself: that each does something, and something that is well.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::file::Module;
use super::{case, check_rendered, wiring};
use crate::charts::Faults;
use crate::charts::cases::Case;
use crate::charts::helm::Helm;
use crate::charts::kinds::KUBE_VERSIONS;
use crate::charts::objects::of_kind;

/// Values over those of a module, and what comes of them.
struct Choice {
    module: &'static str,
    set: &'static [&'static str],
    kind: &'static str,
    /// Where in the objects of this kind, and what is there.
    makes: (&'static str, fn() -> Value),
}

const CHOICES: [Choice; 22] = [
    Choice {
        module: "grafana",
        set: &[
            "ingress.enabled=true,ingress.host=g.example,ingress.tlsSecret=g-tls,ingress.className=a",
        ],
        kind: "Ingress",
        makes: (
            "/spec/rules/0/http/paths/0/backend/service/port/number",
            || json!(3000),
        ),
    },
    Choice {
        module: "pgadmin",
        set: &["ingress.enabled=true,ingress.host=p.example,ingress.port=http"],
        kind: "Ingress",
        makes: (
            "/spec/rules/0/http/paths/0/backend/service/port/number",
            || json!(80),
        ),
    },
    Choice {
        module: "minio",
        set: &[
            "gateway.enabled=true,gateway.host=m.example,gateway.port=console,gateway.parentRefs[0].name=g",
        ],
        kind: "HTTPRoute",
        makes: ("/spec/rules/0/backendRefs/0/port", || json!(9001)),
    },
    Choice {
        module: "seaweedfs",
        set: &["serviceMonitor.enabled=true,serviceMonitor.labels.release=p"],
        kind: "ServiceMonitor",
        makes: ("/spec/endpoints/0/port", || json!("metrics")),
    },
    Choice {
        module: "otelcol",
        set: &["replicas=3"],
        kind: "Deployment",
        makes: ("/spec/replicas", || json!(3)),
    },
    Choice {
        module: "otelcol",
        set: &["env.A=1000000"],
        kind: "Deployment",
        makes: ("/spec/template/spec/containers/0/env/0/value", || {
            json!("1000000")
        }),
    },
    Choice {
        module: "otelcol",
        set: &[
            "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ],
        kind: "Deployment",
        makes: ("/spec/template/spec/containers/0/image", || {
            json!(
                "docker.io/otel/opentelemetry-collector-contrib@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
            )
        }),
    },
    Choice {
        module: "otelcol",
        set: &["strategy=Recreate"],
        kind: "Deployment",
        makes: ("/spec/strategy/type", || json!("Recreate")),
    },
    Choice {
        module: "tfserving",
        set: &["persistence.accessModes={ReadWriteMany},replicas=2,strategy=RollingUpdate"],
        kind: "PersistentVolumeClaim",
        makes: ("/spec/accessModes", || json!(["ReadWriteMany"])),
    },
    Choice {
        module: "postgres",
        set: &["persistence.storageClass=fast,persistence.size=20Gi"],
        kind: "PersistentVolumeClaim",
        makes: ("/spec/storageClassName", || json!("fast")),
    },
    Choice {
        module: "postgres",
        set: &["persistence.storageClass=-"],
        kind: "PersistentVolumeClaim",
        makes: ("/spec/storageClassName", || json!("")),
    },
    Choice {
        module: "postgres",
        set: &["persistence.existingClaim=mine"],
        kind: "StatefulSet",
        makes: (
            "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName",
            || json!("mine"),
        ),
    },
    Choice {
        module: "postgres",
        set: &["secret.existing=mine"],
        kind: "StatefulSet",
        makes: (
            "/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/name",
            || json!("mine"),
        ),
    },
    Choice {
        module: "postgres",
        set: &["commonLabels.team=t,podLabels.tier=db"],
        kind: "StatefulSet",
        makes: ("/spec/template/metadata/labels/tier", || json!("db")),
    },
    Choice {
        module: "postgres",
        set: &["component=features"],
        kind: "StatefulSet",
        makes: (
            "/spec/template/metadata/labels/hxmlops.io~1component",
            || json!("features"),
        ),
    },
    Choice {
        module: "postgres",
        set: &["networkPolicy.from[0].ipBlock.cidr=10.0.0.0/8,service.type=LoadBalancer"],
        kind: "Service",
        makes: ("/spec/type", || json!("LoadBalancer")),
    },
    Choice {
        module: "postgres",
        set: &["networkPolicy.from=null"],
        kind: "NetworkPolicy",
        makes: ("/spec/ingress", || json!([])),
    },
    Choice {
        module: "vllm",
        set: &["secretEnv.HF_TOKEN.secret=hf,secretEnv.HF_TOKEN.key=token,runtimeClassName=nvidia"],
        kind: "Deployment",
        makes: ("/spec/template/spec/runtimeClassName", || json!("nvidia")),
    },
    Choice {
        module: "vllm",
        set: &["tolerations[0].operator=Exists,priorityClassName=high,imagePullSecrets[0].name=r"],
        kind: "Deployment",
        makes: (
            "/spec/template/spec/imagePullSecrets",
            || json!([{"name": "r"}]),
        ),
    },
    Choice {
        module: "prometheus",
        set: &["env.RETENTION=7d"],
        kind: "StatefulSet",
        makes: ("/spec/template/spec/containers/0/env/0/value", || {
            json!("7d")
        }),
    },
    Choice {
        module: "kepler",
        set: &["nodeSelector.rapl=yes"],
        kind: "DaemonSet",
        makes: ("/spec/template/spec/nodeSelector/rapl", || json!("yes")),
    },
    Choice {
        module: "mosquitto",
        set: &["serviceAccount.annotations.a=b,podAnnotations.c=d"],
        kind: "ServiceAccount",
        makes: ("/metadata/annotations/a", || json!("b")),
    },
];

/// Renders each.
///
/// # Errors
/// Where helm refuses one, or its module is not there.
pub(super) fn check(helm: &Helm, modules: &[Module], faults: &mut Faults) -> Result<()> {
    for choice in &CHOICES {
        let module = modules.iter().find(|module| module.name == choice.module);
        let module = module.with_context(|| format!("no module is named {}", choice.module))?;
        let ways = wiring::all(module, modules)?;
        let usual = case(module, 0, ways.first().context("it is wired in some way")?)?;
        let case = Case {
            set: choice.set,
            ..usual
        };
        for version in KUBE_VERSIONS {
            let objects = helm.template_of(&module.release(), &module.chart(), &case, version)?;
            faults.of(format!(
                "{}, {} with {}",
                helm.name,
                module.name,
                choice.set.join(" ")
            ));
            let (pointer, expected) = choice.makes;
            let mut found = of_kind(&objects, choice.kind).map(|object| object.pointer(pointer));
            faults.check(found.any(|found| found == Some(&expected())), || {
                format!("makes no {} with {} at {pointer}", choice.kind, expected())
            });
            check_rendered(&objects, module, version, faults)?;
        }
    }
    Ok(())
}
