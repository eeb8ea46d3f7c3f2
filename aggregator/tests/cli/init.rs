//! Domains: made by flags, shown, changed; the first tool's file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;

use crate::program::{Ended, hxmlops};

/// A user with a kubeconfig and a directory for configurations.
pub(crate) struct User {
    pub(crate) home: TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = "current-context: kind-a\ncontexts:\n  \
            - {name: kind-a, context: {cluster: a, user: u, namespace: work}}\n  \
            - {name: kind-b, context: {cluster: b, user: u}}\n\
            clusters:\n  - {name: a, cluster: {server: 'https://127.0.0.1:1'}}\n\
            users:\n  - {name: u, user: {token: t}}\n";
        let user = Self { home };
        user.write("kubeconfig", kubeconfig);
        user
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = hxmlops(args);
        command
            .env("HOME", self.home.path())
            .env_remove("XDG_CONFIG_HOME")
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().unwrap().into()
    }

    fn config(&self) -> PathBuf {
        self.home.path().join(".config/hxmlops/config.yaml")
    }
}

#[test]
fn domains_are_made_by_flags() {
    let user = User::new();
    let empty = user.run(&["init", "show-config"]);
    assert_eq!(empty.assert_done(), "");
    assert!(empty.stderr.contains("no domains yet"), "{empty:?}");
    let made = user.run(&["init", "new-config", "--domain", "a", "--context", "kind-a"]);
    made.assert_done();
    assert!(
        made.stderr
            .starts_with("domain a is added, the default, in "),
        "{made:?}"
    );
    let more = [
        "init",
        "new_config",
        "--domain",
        "b",
        "--context",
        "kind-b",
        "--namespace",
        "ml",
        "--site",
        "paris",
        "--role",
        "production",
        "--cluster",
        "lab",
        "--aggregator",
        "https://ledger.example:8642",
        "--aggregator-token-file",
        "/etc/hxmlops/read.token",
    ];
    user.run(&more).assert_done();
    let again = user.run(&more);
    again.assert_done();
    assert!(
        again.stderr.starts_with("domain b is changed, in "),
        "{again:?}"
    );
    insta::assert_snapshot!("domains", user.run(&["init", "show_config"]).assert_done());
    user.run(&["init", "set_default_domain", "b"]).assert_done();
    let json = user.run(&["init", "show-config", "--json"]);
    insta::assert_snapshot!("domains_json", json.assert_done());
    let mode = fs::metadata(user.config()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_is_said_and_changes_nothing() {
    let user = User::new();
    user.run(&["init", "new-config"])
        .assert_usage("where nobody can be asked");
    user.run(&["init"]).assert_usage("Commands:");
    let domain =
        |name, context| user.run(&["init", "new-config", "--domain", name, "--context", context]);
    domain("a", "kind-c")
        .assert_failed("the kubeconfig has no context 'kind-c'; it has: kind-a, kind-b");
    domain("a b", "kind-a").assert_usage("no name of a domain");
    let with = |flag, text| {
        let args = ["init", "new-config", "--domain", "a", "--context", "kind-a"];
        user.run(&[&args[..], &[flag, text]].concat())
    };
    with("--aggregator", "ledger:8642").assert_usage("is not a URL that begins with http://");
    with("--aggregator-token-file", "t").assert_usage("is for an aggregator, and there is none");
    user.run(&["init", "set-default-domain", "a"])
        .assert_failed("there are no domains yet");
    assert!(!user.config().exists());
    let mut without = user.command(&["init", "new-config", "--domain", "a", "--context", "c"]);
    without.env("KUBECONFIG", "/nonexistent/config");
    Ended::from(without.output().unwrap()).assert_failed("no kubeconfig: set KUBECONFIG");
    user.write(
        ".config/hxmlops/config.yaml",
        "domains:\n  a: {contxt: c}\n",
    );
    user.run(&["init", "show-config"])
        .assert_failed("config.yaml: line 2");
}

#[test]
fn the_first_tool_s_domains_are_taken_over() {
    let user = User::new();
    let old = "default_domain: swv\ndomains:\n  swv: {context_name: kind-a}\n";
    user.write(".config/mlopstool/config.yaml", old);
    let shown = user.run(&["init", "show-config", "--json"]);
    assert!(
        shown.assert_done().contains("\"default-domain\": \"swv\""),
        "{shown:?}"
    );
    assert_eq!(shown.stderr.lines().count(), 1, "{shown:?}");
    assert!(
        shown.stderr.contains("the old file is left as it is"),
        "{shown:?}"
    );
    let again = user.run(&["init", "show-config", "--json"]);
    assert_eq!((again.assert_done(), &*again.stderr), (&*shown.stdout, ""));
}
