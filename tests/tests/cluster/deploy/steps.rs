//! A module of steps, by the real kubectl. Its manifests are on the internet, which is not to be had here: a stand-in prints
//! others for `kubectl kustomize ADDRESS`, and has the real kubectl do all else.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use e2e::cluster::{Cluster, Helm, Request, tool};
use reqwest::Method;
use serde_json::json;

use super::catalogue::Module;
use super::user::{User, list};

/// For the first step: what the second one waits for.
const FIRST: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: kubeflow}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: applications.app.k8s.io
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: app.k8s.io
  scope: Namespaced
  names: {kind: Application, plural: applications, singular: application, listKind: ApplicationList}
  versions:
    - name: v1beta1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
const SECOND: &str = "
apiVersion: v1
kind: Service
metadata: {name: ml-pipeline-ui, namespace: kubeflow}
spec: {selector: {app: ml-pipeline-ui}, ports: [{port: 80, targetPort: 3000, protocol: TCP}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ml-pipeline-ui, namespace: kubeflow}
spec:
  selector: {matchLabels: {app: ml-pipeline-ui}}
  template:
    metadata: {labels: {app: ml-pipeline-ui}}
    spec: {containers: [{name: ui, image: 'registry.example/ui:1'}]}
";

/// The user's, with a stand-in for what needs the internet.
fn user(cluster: &Cluster) -> User {
    let user = User::admin(cluster, Helm::Four);
    let (first, second) = (
        user.write("first.yaml", FIRST),
        user.write("second.yaml", SECOND),
    );
    let (first, second, real) = (
        first.display(),
        second.display(),
        tool("kubectl-1.32").unwrap(),
    );
    let script = format!(
        "#!/bin/sh
case \"$1 $2\" in
  'kustomize github.com/kubeflow/pipelines/'*/cluster-scoped-resources?ref=*) exec cat {first} ;;
  'kustomize github.com/kubeflow/pipelines/'*/platform-agnostic?ref=*) exec cat {second} ;;
  kustomize*) echo \"error: $2: no such place\" >&2; exit 1 ;;
esac
exec {} \"$@\"
",
        real.display()
    );
    let kubectl = user.write("kubectl", &script);
    set_permissions(&kubectl, Permissions::from_mode(0o755)).unwrap();
    user.with_kubectl(&kubectl)
}

/// Applied in order, and deleted backwards.
pub(crate) fn check(cluster: &Cluster, module: &Module) {
    let user = user(cluster);
    let run = |command: &str, more: &[&str]| user.run(&module.args(command, more));
    run("status", &[]).assert_no();
    let new = run("diff", &[]);
    assert!(
        new.assert_no()
            .contains("+++ Deployment/kubeflow/ml-pipeline-ui"),
        "{new:?}"
    );
    run("create", &["--dry-run"]).assert_done();

    let created = run("create", &[]);
    assert!(
        created.assert_done().contains("1 of 1 ready"),
        "{created:?}"
    );
    assert!(
        created.stderr.ends_with("kubeflowpipeline: 1 of 1 ready\n"),
        "{created:?}"
    );
    let status = run("status", &[]);
    assert!(status.assert_done().contains(" ready "), "{status:?}");
    let pods = list(
        cluster,
        "kubeflow",
        "v1/pods",
        "hxmlops.io/component=kubeflowpipeline",
    );
    assert_eq!(pods.len(), 1, "its energy has a name");
    let same = run("diff", &[]);
    assert_eq!(
        (same.assert_done(), &*same.stderr),
        ("", "nothing would change\n")
    );
    // What somebody changed by hand is seen, and put right.
    let deployment = "/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline-ui";
    let labels = json!({ "hxmlops.io/component": "other" });
    let by_hand = json!({ "spec": { "template": { "metadata": { "labels": labels } } } });
    cluster.admin().patch(deployment, &by_hand).unwrap();
    assert!(run("diff", &[]).assert_no().contains("kubeflowpipeline"));
    run("create", &[]).assert_done();
    run("diff", &[]).assert_done();

    run("delete", &["--yes"]).assert_done();
    run("status", &[]).assert_no();
    let (status, _) = cluster.admin().ask(Method::GET, deployment, None).unwrap();
    assert_eq!(status, 404);
    let kinds = [
        "services",
        "deployments",
        "namespaces",
        "customresourcedefinitions",
    ];
    let changed = |verb: &str| -> Vec<String> {
        let is_ours = |request: &Request| {
            let names = ["kubeflow", "applications.app.k8s.io"];
            let mut named = names.iter().filter(|name| request.uri.contains(**name));
            request.verb == verb
                && request.code < 300
                && kinds.contains(&&*request.resource)
                && !request.uri.contains("dryRun")
                && named.next().is_some()
        };
        let requests = cluster.requests_of("admin").unwrap().into_iter();
        let ours = requests.filter(is_ours);
        ours.map(|request| request.resource).collect()
    };
    assert_eq!(changed("delete"), kinds);
    let applied = changed("patch");
    let mut forward = kinds;
    forward.rotate_left(2);
    assert_eq!(applied[..4], forward, "{applied:?}");
}
