//! Modules, with a helm, a kubectl and an API server that only play theirs: what is asked of them, and what is made of
//! their answers. The real ones are in the package e2e.

mod api;
mod apply;
mod create;
mod delete;
mod energy;
mod owner;
mod show;

use std::fs;

use serde_json::{Value, json};

use self::api::Api;
use crate::init::User;
use crate::program::Ended;

/// A module in a catalogue folder of the user's own.
const THING: &str = "
title: A thing
kind: component
about: >-
  It does something, and it is described in a sentence that is longer than a line of a terminal has columns, as they are.
version: '2'
chart:
  image: {repository: registry.example/thing, tag: '2'}
  env: {A: b}
offers:
  - {capability: thing, port: 80, secret: {name: '{{release}}-auth', password: pw}}
values:
  - {path: env.A, default: b, about: What it does}
checked: {real: [], not: [the image]}
";
const USER_OF_THING: &str = "
title: Its user
kind: link
about: Uses a thing.
version: '1'
chart:
  image: {repository: registry.example/user, tag: '1'}
needs:
  - {capability: thing, as: helper, wire: {env.THING: '{{endpoint}}'}}
checked: {real: [], not: []}
";
const STEPS: &str = "
title: Steps
kind: component
about: Two steps.
version: '1'
steps:
  - {kustomize: first, wait: {for: condition=established, on: crd/a, timeout: 60s}}
  - {kustomize: second, namespace: elsewhere}
checked: {real: [], not: []}
";

/// A helm that writes down how it is called, and the values that it gets, each line at once: several may run. What it does is in
/// files beside it. What a release was given it tells by the files `values-RELEASE`, `owner-RELEASE` and
/// `foreign-RELEASE`, and does not write down that.
const HELM: &str = r#"
cd "$(dirname "$0")"
[ "$1" = version ] && echo v3.17.2 && exit
if [ "$1 $2" = 'get values' ]; then
  [ -f "values-$3" ] && cat "values-$3" && exit
  [ -f "owner-$3" ] && printf '{"commonLabels": {"hxmlops.io/module": "%s"}}' "$(cat "owner-$3")" && exit
  [ -f "foreign-$3" ] && echo null && exit
  echo "Error: release: not found" >&2; exit 1
fi
echo "$@" >> calls
if [ "$1" = upgrade ]; then
  for arg; do case "$arg" in */values.json) printf '%s\n' "$(cat "$arg")" >> values ;; esac; done
fi
[ -f "$1.sh" ] && . "./$1.sh"
case "$1" in
  status | get | uninstall) echo "Error: release: not found" >&2; exit 1 ;;
esac
"#;
const KUBECTL: &str = r#"
cd "$(dirname "$0")"
[ "$1" = version ] && echo '{"clientVersion": {"gitVersion": "v1.32.1"}}' && exit
echo "$@" >> calls
[ "$1" = kustomize ] && printf 'kind: Deployment\nmetadata: {name: %s}\nspec: {template: {spec: {containers: []}}}\n' "$2"
[ -t 0 ] || cat >> input
exit 0
"#;

/// A user with a domain, a catalogue and programs.
struct Deployer {
    user: User,
    api: Api,
}

impl Deployer {
    fn new() -> Self {
        let (user, api) = (User::new(), Api::start());
        user.domain("lab", api.url());
        user.program("helm/helm", HELM);
        user.program("kubectl/kubectl", KUBECTL);
        for (path, text) in [
            ("own/thing", THING),
            ("own/steps", STEPS),
            ("api/user", USER_OF_THING),
        ] {
            user.write(&format!("catalogue/{path}.yaml"), text);
        }
        Self { user, api }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let path = |name: &str| self.user.home.path().join(name);
        let mut command = self.user.command(args);
        command
            .env("HXMLOPS_CATALOGUE", path("catalogue"))
            .env("HXMLOPS_HELM", path("helm/helm"))
            .env("HXMLOPS_KUBECTL", path("kubectl/kubectl"));
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().unwrap().into()
    }

    /// What helm does for a command, beside being written down.
    fn helm(&self, command: &str, script: &str) {
        self.user.write(&format!("helm/{command}.sh"), script);
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.user.home.path().join(path)).unwrap_or_default()
    }

    /// The commands of helm, with the chart's changing path left out.
    fn helm_calls(&self) -> Vec<String> {
        let calls = self.read("helm/calls");
        let is_path = |word: &&str| !word.starts_with('/');
        let plain = |line: &str| {
            line.split(' ')
                .filter(is_path)
                .collect::<Vec<_>>()
                .join(" ")
        };
        calls.lines().map(plain).collect()
    }
}

/// A deployment of a release of `own/thing`.
fn deployment(release: &str, ready: i32) -> Value {
    json!({
        "metadata": { "name": release, "generation": 1, "labels": { "hxmlops.io/module": "own.thing", "app.kubernetes.io/instance": release } },
        "spec": { "replicas": 1, "selector": {}, "template": {} },
        "status": { "observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": ready },
    })
}
