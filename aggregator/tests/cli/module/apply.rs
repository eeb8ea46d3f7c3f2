//! A whole environment from one file: what is refused before anything is changed, in which order it goes, what is left alone,
//! and how one goes on where it stopped.

use serde_json::{Value, json};

use super::{Deployer, deployment};
use crate::program::Ended;

/// A helm that keeps a manifest, which is made of all values, for each namespace and release. A release with a file `fail-RELEASE` fails.
const KEEPS: &str = r#"
for arg; do
  case "$before" in --namespace) namespace=$arg ;; --values) cat "$arg" >> "$3.values" ;; esac
  before=$arg
done
kept="$namespace-$3.manifest"
sum=$(cksum < "$3.values" 2>/dev/null | cut -d' ' -f1)
rm -f "$3.values"
"#;
const UPGRADE: &str = r#"
case "$*" in *--dry-run*)
  [ -f "refuse-$3" ] && echo "Error: values don't meet the specifications of the schema" >&2 && exit 1
  printf '{"manifest": "kind: ConfigMap\\nmetadata: {name: %s}\\ndata: {sum: \\"%s\\"}\\n"}' "$3" "$sum"
  exit ;;
esac
[ -f "fail-$3" ] && . "./fail-$3"
printf 'kind: ConfigMap\nmetadata: {name: %s}\ndata: {sum: "%s"}\n' "$3" "$sum" > "$kept"
exit
"#;

/// The user before the thing that it needs; the thing has another namespace's like.
const ENVIRONMENT: &str = "
modules:
  - module: api/user
  - module: own/thing
    name: it
    files: [mine.yaml]
    values: {env: {A: inline}}
  - {module: own/thing, name: other, namespace: second}
";

impl Deployer {
    fn environment(text: &str) -> Self {
        let deployer = Self::new();
        deployer.helm("upgrade", &format!("{KEEPS}{UPGRADE}"));
        let get = r#"[ "$2" = manifest ] && [ -f "$kept" ] && cat "$kept" && exit"#;
        deployer.helm("get", &format!("{KEEPS}{get}\n"));
        deployer
            .user
            .write("env/mine.yaml", "env: {A: file, B: file}\n");
        deployer.user.write("env/env.yaml", text);
        deployer
    }

    pub(super) fn with_file(&self, command: &str, args: &[&str]) -> Ended {
        let file = self.user.home.path().join("env/env.yaml");
        self.run(&[&[command, "-f", file.to_str().unwrap()], args].concat())
    }

    fn apply(&self, args: &[&str]) -> Ended {
        self.with_file("apply", &[&["--no-wait"], args].concat())
    }

    /// The releases that helm was to change, in order.
    fn changed(&self) -> Vec<String> {
        let calls = self.helm_calls().into_iter();
        let changes =
            calls.filter(|call| call.starts_with("upgrade ") && !call.contains("--dry-run"));
        changes
            .map(|call| call.split(' ').nth(2).unwrap().to_owned())
            .collect()
    }
}

#[test]
fn an_environment_is_applied_once_and_then_what_changed() {
    let deployer = Deployer::environment(ENVIRONMENT);
    let diff = || deployer.with_file("diff", &[]);
    let dry = deployer.apply(&["--dry-run"]);
    insta::assert_snapshot!("apply_dry", dry.assert_done());
    let new = diff();
    assert_eq!(new.code, Some(3), "{new:?}");
    assert!(
        new.stdout.starts_with("# own/thing would be created as it in domain lab, namespace work\n--- (not there)\n+++ ConfigMap/it\n"),
        "{new:?}"
    );
    assert_eq!(deployer.changed(), [""; 0]);

    let first = deployer.apply(&["--yes"]);
    insta::assert_snapshot!("apply", first.assert_done());
    assert_eq!(first.stderr, "");
    assert_eq!(deployer.changed(), ["it", "user", "other"]);
    let mut calls = deployer.helm_calls().into_iter();
    let second = calls.find(|call| call.starts_with("upgrade --install other"));
    assert!(
        second
            .unwrap()
            .contains(" --kube-context lab --namespace second")
    );
    let values = deployer.read("helm/values");
    let values: Vec<Value> = values
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        values
            .iter()
            .any(|values| values["env"]["THING"] == "http://it.work.svc:80")
    );

    let again = deployer.apply(&["--output", "json"]);
    let applied: Value = serde_json::from_str(again.assert_done()).unwrap();
    let effects: Vec<&Value> = applied
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["effect"])
        .collect();
    assert_eq!(effects, ["unchanged"; 3]);
    assert_eq!(applied[1]["uses"], json!([["helper", "it"]]));
    assert_eq!(applied[2]["namespace"], "second");
    let third = deployer.apply(&[]);
    third.assert_done();
    assert_eq!(third.stderr, "nothing was changed\n");
    assert_eq!(diff().assert_done(), "");
    assert_eq!(deployer.changed().len(), 3, "nothing more");

    deployer
        .user
        .write("env/env.yaml", &ENVIRONMENT.replace("A: inline", "A: new"));
    let differs = diff();
    assert_eq!(differs.code, Some(3), "{differs:?}");
    assert!(
        differs
            .stdout
            .starts_with("# own/thing would be changed as it in ")
            && !differs.stdout.contains("# api/user"),
        "{differs:?}"
    );
    deployer.apply(&[]).assert_done();
    assert_eq!(deployer.changed()[3..], ["it"]);
    diff().assert_done();
}

#[test]
fn what_is_wrong_is_found_before_anything_is_changed() {
    let deployer = Deployer::environment(ENVIRONMENT);
    let check = |text: &str, expected: &str| {
        deployer.user.write("env/env.yaml", text);
        deployer.apply(&[]).assert_failed(expected);
        deployer.with_file("diff", &[]).assert_failed(expected);
    };
    let thing = "modules:\n  - module: own/thing\n";
    check("modules: []\nmodule: []\n", "env.yaml: line 2");
    check(&format!("{thing}    nmae: x\n"), "env.yaml: line 3");
    check(
        &format!("{thing}  - module: own/thin\n"),
        "env.yaml: line 3: the group own has no module 'thin'; it has: steps, thing",
    );
    check(
        &format!("{thing}    domain: nowhere\n"),
        "env.yaml: line 2: there is no domain 'nowhere'; there are: lab",
    );
    check(
        &format!("{thing}    files: [none.yaml]\n"),
        "none.yaml: there is no such file",
    );
    check(
        &format!("{thing}    files: [env.yaml/]\n"),
        "there is no such file",
    );
    check(
        &format!("{thing}  - module: own/thing\n"),
        "env.yaml: line 3: thing is the release of line 2, too",
    );
    let steps = "  - {module: own/steps, values: {a: b}}\n";
    check(
        &format!("{thing}{steps}"),
        "env.yaml: line 3: own/steps has no values",
    );
    let elsewhere = "  - {module: api/user, namespace: second}\n";
    check(
        &format!("{thing}{elsewhere}"),
        "env.yaml: line 3: api/user needs thing (helper), which nothing in the file or the namespace offers: add one of own/thing, or say --with-dependencies",
    );
    deployer.user.write("env/bad.yaml", "a: [\n");
    check(&format!("{thing}    files: [bad.yaml]\n"), "bad.yaml: ");
    deployer.user.write("helm/refuse-other", "");
    check(
        ENVIRONMENT,
        "env.yaml: line 8: own/thing as other in domain lab, namespace second: helm upgrade failed: values don't meet",
    );
    deployer
        .user
        .write("env/env.yaml", &format!("domain: lab\n{ENVIRONMENT}"));
    deployer
        .apply(&["--domain", "other"])
        .assert_usage("env.yaml itself says lab");
    deployer
        .run(&["apply", "-f", "/nonexistent"])
        .assert_failed("cannot read /nonexistent: ");
    deployer.run(&["apply"]).assert_usage("--file <FILE>");
    assert_eq!(deployer.changed(), [""; 0]);
}

#[test]
fn what_modules_need_is_created_where_that_is_wanted() {
    let deployer = Deployer::environment("modules:\n  - {module: api/user}\n");
    deployer.apply(&["--with-dependencies"]).assert_done();
    assert_eq!(deployer.changed(), ["thing", "user"]);
    // What is there already is taken, whatever it is called.
    let deployer = Deployer::environment("modules:\n  - {module: api/user}\n");
    deployer.api.put("deployments", vec![deployment("mine", 1)]);
    deployer.apply(&[]).assert_done();
    assert!(
        deployer
            .read("helm/values")
            .contains("http://mine.work.svc:80")
    );
    // But what the file has goes before it.
    deployer.user.write("env/env.yaml", ENVIRONMENT);
    deployer.apply(&[]).assert_done();
    assert!(
        deployer
            .read("helm/values")
            .contains("http://it.work.svc:80")
    );
}

#[test]
fn where_it_fails_it_stops_and_a_second_one_goes_on() {
    let deployer = Deployer::environment(ENVIRONMENT);
    let failing = deployer
        .user
        .write("helm/fail-user", "echo 'Error: no' >&2; exit 1\n");
    deployer.apply(&[]).assert_failed(
        "env.yaml: api/user (user) failed; done: own/thing (it); not begun: own/thing (other); apply again to go on: \
         api/user as user in domain lab, namespace work: helm upgrade failed: no",
    );
    assert_eq!(deployer.changed(), ["it", "user"]);
    let failed = deployer.apply(&["--output", "json"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let done: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(
        (&done[0]["effect"], &done[1]),
        (&json!("unchanged"), &Value::Null)
    );
    std::fs::remove_file(failing).unwrap();
    let json = deployer.apply(&["--output", "json"]);
    let json: Value = serde_json::from_str(json.assert_done()).unwrap();
    let effects: Vec<&Value> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["effect"])
        .collect();
    assert_eq!(effects, ["unchanged", "created", "created"]);
    assert_eq!(deployer.changed()[2..], ["user", "user", "other"]);
}

#[test]
fn ctrl_c_stops_it_in_the_same_way() {
    let deployer = Deployer::environment(ENVIRONMENT);
    let script = "trap 'exit 1' TERM; kill -INT $PPID; while :; do sleep 0.01; done\n";
    deployer.user.write("helm/fail-user", script);
    let ended = deployer.apply(&[]);
    ended.assert_failed(
        "api/user (user) failed; done: own/thing (it); not begun: own/thing (other); ",
    );
    assert!(
        ended
            .stderr
            .trim_end()
            .ends_with(": interrupted: some of it may be deployed, and the same command goes on"),
        "{ended:?}"
    );
    // While it only compares.
    let get =
        "trap 'exit 1' TERM; [ $3 = user ] && kill -INT $PPID; while :; do sleep 0.01; done\n";
    deployer.helm("get", get);
    deployer
        .apply(&[])
        .assert_failed("error: interrupted: nothing is changed\n");
    assert_eq!(deployer.changed(), ["it", "user"]);
}

#[test]
fn a_change_that_did_not_end_well_is_made_again() {
    let deployer = Deployer::environment("modules:\n  - {module: own/thing}\n");
    deployer.apply(&[]).assert_done();
    let labels = json!({ "owner": "helm", "name": "thing", "status": "failed", "version": "1" });
    let record = json!({ "metadata": { "name": "r", "labels": labels } });
    deployer.api.put("secrets", vec![record]);
    let diff = deployer.with_file("diff", &[]);
    assert_eq!(diff.code, Some(3), "{diff:?}");
    let repeated = "# own/thing would be changed as thing in domain lab, namespace work\n\
                    # the last change (revision 1) is failed: it would be made again\n";
    assert_eq!(diff.stdout, repeated);
    deployer.apply(&[]).assert_done();
    assert_eq!(deployer.changed(), ["thing"; 2]);
}

#[test]
fn apply_waits_for_what_is_unchanged_too_and_reads_standard_input() {
    let deployer = Deployer::environment("");
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    let file = deployer.user.write(
        "stdin.yaml",
        "modules: [{module: own/thing, files: [env/mine.yaml]}]\n",
    );
    let apply = |args: &[&str]| {
        let mut command = deployer.command(&[&["apply", "-f", "-"], args].concat());
        command
            .current_dir(deployer.user.home.path())
            .stdin(std::fs::File::open(&file).unwrap());
        Ended::from(command.output().unwrap())
    };
    let first = apply(&[]);
    first.assert_done();
    assert_eq!(first.stderr, "thing: 1 of 1 ready\n");
    let second = apply(&[]);
    second.assert_done();
    assert_eq!(second.stderr, "thing: 1 of 1 ready\nnothing was changed\n");
    deployer
        .api
        .put("deployments", vec![deployment("thing", 0)]);
    let late = apply(&["--timeout", "1s"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(
        late.stderr.contains("error: standard input: own/thing (thing) failed; done: none; not begun: none; apply again to go on: own/thing is not ready after 1 s"),
        "{late:?}"
    );
}

#[test]
fn a_workload_that_somebody_deleted_is_made_again() {
    let deployer = Deployer::environment("modules: [{module: own/thing}]\n");
    let upgrade = r#"
case "$*" in *--dry-run*) printf '{"manifest": "kind: Deployment\\nmetadata: {name: thing}\\n"}'; exit ;; esac
printf 'kind: Deployment\nmetadata: {name: thing}\n' > kept; exit
"#;
    deployer.helm("upgrade", upgrade);
    deployer.helm("get", "[ -f kept ] && cat kept && exit");
    deployer.apply(&[]).assert_done();
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    assert_eq!(deployer.apply(&[]).stderr, "nothing was changed\n");
    deployer.api.put("deployments", Vec::new());
    let diff = deployer.with_file("diff", &[]);
    assert_eq!(diff.code, Some(3), "{diff:?}");
    assert!(
        diff.stdout
            .contains(" would be changed as thing in domain lab, namespace work\n--- (not there)\n+++ Deployment/thing\n"),
        "{diff:?}"
    );
    deployer.apply(&[]).assert_done();
    assert_eq!(deployer.changed(), ["thing"; 2]);
}

#[test]
fn an_old_helm_s_secrets_of_each_preview_are_no_change() {
    let deployer = Deployer::environment("modules: [{module: own/thing}]\n");
    let upgrade = r#"
case "$*" in *--dry-run*) printf '{"manifest": "kind: Secret\\nmetadata: {name: s}\\ndata: {a: x%s}\\n"}' $$; exit ;; esac
printf 'kind: Secret\nmetadata: {name: s}\ndata: {a: x%s}\n' $$ > kept; exit
"#;
    deployer.helm("upgrade", upgrade);
    deployer.helm("get", "[ -f kept ] && cat kept && exit");
    let old = super::HELM.replace("v3.17.2", "v3.12.3");
    let old = deployer.user.program("helm/old", &old);
    let apply = |helm: &str| {
        let file = deployer.user.home.path().join("env/env.yaml");
        let mut command = deployer.command(&["apply", "--no-wait", "-f"]);
        command.arg(file).env("HXMLOPS_HELM", helm);
        Ended::from(command.output().unwrap())
    };
    let first = apply(&old);
    first.assert_done();
    assert_eq!(first.stderr, "");
    assert_eq!(apply(&old).stderr, "nothing was changed\n");
    let new = deployer.user.home.path().join("helm/helm");
    assert_eq!(apply(new.to_str().unwrap()).stderr, "");
}

#[test]
fn steps_are_applied_where_they_differ() {
    let deployer = Deployer::environment("modules: [{module: own/steps}]\n");
    let kubectl = |name: &str, diff: &str| {
        let script = format!("[ \"$1\" = diff ] && {{ {diff}\n}}\n{}", super::KUBECTL);
        deployer.user.program(name, &script)
    };
    let apply = |kubectl: &str| {
        let file = deployer.user.home.path().join("env/env.yaml");
        let mut command = deployer.command(&["apply", "--no-wait", "--output", "json", "-f"]);
        command.arg(file).env("HXMLOPS_KUBECTL", kubectl);
        let ended = Ended::from(command.output().unwrap());
        let json: Value = serde_json::from_str(ended.assert_done()).unwrap();
        json[0]["effect"].as_str().unwrap().to_owned()
    };
    let absent = kubectl(
        "kubectl/absent",
        "echo 'Error from server (NotFound): namespaces \"x\" not found' >&2; exit 2",
    );
    assert_eq!(apply(&absent), "created");
    assert_eq!(
        apply(&kubectl("kubectl/other", "echo '-a'; exit 1")),
        "changed"
    );
    let before = deployer.read("kubectl/calls").matches("apply").count();
    assert_eq!(apply(&kubectl("kubectl/same", "exit 0")), "unchanged");
    assert_eq!(
        deployer.read("kubectl/calls").matches("apply").count(),
        before
    );
    assert_eq!(before, 4);
}
