//! A whole environment from one file, in a real API server, by both helms.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use e2e::cluster::{Cluster, tool};
use e2e::program;
use serde_json::Value;

/// Whoever needs something is before who gives it; two domains, which are namespaces of this cluster.
const ENVIRONMENT: &str = "
domain: first
modules:
  - module: api/modelsharing
    use: {database: db}
  - module: monitoring/grafana
    domain: second
  - module: storage/postgres
    name: db
    values: {persistence: {size: 3Gi}}
  - module: energy_measurement_asset/prometheus
    domain: second
    files: [prometheus.yaml]
  - module: storage/seaweedfs
";
/// In the order in which they are deployed.
const ORDER: [&str; 5] = ["db", "seaweedfs", "modelsharing", "prometheus", "grafana"];

/// Somebody with two domains and one of the helms.
struct Operator {
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
    helm: PathBuf,
}

impl Operator {
    fn new(cluster: &Cluster, helm: &str) -> Self {
        let operator = Self {
            home: tempfile::tempdir().unwrap(),
            kubeconfig: cluster.admin_kubeconfig().unwrap(),
            helm: tool(helm).unwrap(),
        };
        for domain in ["first", "second"] {
            // Each helm has namespaces of its own.
            let namespace = format!("{domain}-{helm}");
            let args = [
                "init",
                "new-config",
                "--domain",
                domain,
                "--context",
                "test",
                "--namespace",
                &namespace,
            ];
            operator.done(&args);
        }
        operator.write("env.yaml", ENVIRONMENT);
        operator.write("prometheus.yaml", "env: {RETENTION: 7d}\n");
        operator
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let home = self.home.path();
        let mut command = Command::new(program("hxmlops"));
        command
            .args(args)
            .current_dir(home)
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HXMLOPS_HELM", &self.helm)
            .env("HXMLOPS_KUBECTL", tool("kubectl-1.32").unwrap())
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What it printed, having ended with this code.
    #[track_caller]
    fn ended(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        self.ended(args, 0)
    }

    /// (release, effect) of all modules.
    #[track_caller]
    fn apply(&self) -> Vec<(String, String)> {
        let applied = self.done(&["apply", "-f", "env.yaml", "--no-wait", "--output", "json"]);
        let applied: Value = serde_json::from_str(&applied).unwrap();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        let applied = applied.as_array().unwrap().iter();
        applied
            .map(|one| (text(one, "release"), text(one, "effect")))
            .collect()
    }
}

/// As [`ORDER`], of which these are something else than the rest.
fn effects(rest: &str, releases: &[&str], effect: &str) -> Vec<(String, String)> {
    let one = |release: &&str| {
        let effect = if releases.contains(release) {
            effect
        } else {
            rest
        };
        ((*release).to_owned(), effect.to_owned())
    };
    ORDER.iter().map(one).collect()
}

/// How many modules a diff is about.
fn heads(diff: &str) -> usize {
    diff.lines().filter(|line| line.starts_with("# ")).count()
}

#[test]
fn an_environment_comes_whole_and_then_only_what_changes() {
    let cluster = Cluster::start().unwrap();
    for helm in ["helm-3", "helm-4"] {
        let operator = Operator::new(&cluster, helm);
        let diff = |code: i32| operator.ended(&["diff", "-f", "env.yaml"], code);
        let new = diff(3);
        assert_eq!(heads(&new), 5, "{new}");
        assert!(
            !operator
                .done(&["apply", "-f", "env.yaml", "--dry-run"])
                .contains("changed")
        );
        assert_eq!(operator.apply(), effects("created", &[], ""));
        assert_eq!(
            operator.apply(),
            effects("unchanged", &[], ""),
            "{helm}: {}",
            diff(3)
        );
        diff(0);

        let get = |path: &str| cluster.admin().get(path).unwrap();
        let share = get(&format!(
            "/apis/apps/v1/namespaces/first-{helm}/statefulsets/modelsharing"
        ));
        let host = format!("db.first-{helm}.svc");
        assert!(share.to_string().contains(&host), "it is wired: {share}");
        let prometheus = get(&format!(
            "/apis/apps/v1/namespaces/second-{helm}/statefulsets/prometheus"
        ));
        assert!(prometheus.to_string().contains("\"7d\""), "{prometheus}");

        operator.write(
            "env.yaml",
            &ENVIRONMENT.replace("3Gi}}", "3Gi}, env: {PGTZ: UTC}}"),
        );
        operator.write("prometheus.yaml", "env: {RETENTION: 8d}\n");
        let differs = diff(3);
        assert_eq!(heads(&differs), 2, "{differs}");
        assert!(differs.contains("8d"), "{differs}");
        let changed = ["db", "prometheus"];
        assert_eq!(operator.apply(), effects("unchanged", &changed, "changed"));
        diff(0);
    }
}
