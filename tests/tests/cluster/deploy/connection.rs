//! `check connection`: what it asks for is what create uses.

use e2e::cluster::{Cluster, Helm, Node};
use serde_json::{Value, json};

use super::user::{User, kubeconfig};

/// What came of a part of a domain.
fn part<'a>(checked: &'a Value, domain: &str, name: &str) -> &'a Value {
    let domains = checked["domains"].as_array().unwrap();
    let domain = domains.iter().find(|one| one["domain"] == domain).unwrap();
    let mut parts = domain["parts"].as_array().unwrap().iter();
    parts
        .find(|part| part["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {domain}"))
}

fn check(user: &User, domain: &str) -> (Option<i32>, Value) {
    let ended = user.run(&["check", "connection", "--domain", domain, "--json"]);
    (ended.code, serde_json::from_str(&ended.stdout).unwrap())
}

/// The rights that a line lists: (verbs, resource, group).
fn listed(detail: &str) -> Vec<Value> {
    let (_, rights) = detail.split_once(": ").unwrap();
    rights
        .split("; ")
        .map(|right| {
            let (verbs, resource) = right.rsplit_once(' ').unwrap();
            let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
            let verbs: Vec<&str> = verbs.split(", ").collect();
            json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
        })
        .collect()
}

/// A role, and that the account has it.
fn given(kind: &str, name: &str, rules: &[Value]) -> [Value; 2] {
    let metadata = match kind {
        "Role" => json!({ "name": name, "namespace": "limited" }),
        _ => json!({ "name": name }),
    };
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata, "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": { "apiGroup": group, "kind": kind, "name": name },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "limited", "name": "deployer" }],
    });
    [role, binding]
}

/// Who has the rights that it lists can create, and nobody else.
pub(crate) fn check_rights(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    cluster.make_service_account("limited", "deployer").unwrap();
    let limited = cluster.service_account("limited", "deployer").unwrap();
    kubeconfig(
        cluster,
        &[("all", cluster.admin()), ("few", &limited)],
        &config,
    );
    let user = User::with_kubeconfig(&config, Helm::Four);
    user.domain(&["all", "--context", "all", "--namespace", "new"]);
    user.domain(&["few", "--context", "few", "--namespace", "limited"]);

    let (code, checked) = check(&user, "all");
    assert_eq!(code, Some(3), "no node and no storage: {checked}");
    for name in ["nodes", "storage"] {
        assert_eq!(part(&checked, "all", name)["verdict"], "failed");
    }
    let _node = Node::start(cluster, "node-1").unwrap();
    let (code, checked) = check(&user, "all");
    assert_eq!((code, &checked["ok"]), (Some(0), &json!(true)), "{checked}");

    let both = user.run(&["check", "connection"]);
    println!("{}", both.assert_no());
    let (code, checked) = check(&user, "few");
    assert_eq!(code, Some(3));
    let create = [
        "component",
        "storage",
        "create",
        "postgres",
        "--no-wait",
        "--domain",
        "few",
    ];
    user.run(&create)
        .assert_failed("cannot list resource \"secrets\"");
    let mut objects = Vec::new();
    for (kind, name) in [("Role", "rights"), ("ClusterRole", "cluster-rights")] {
        let lacking = part(&checked, "few", name);
        assert_eq!(lacking["verdict"], "failed", "{lacking}");
        let rules = listed(lacking["detail"].as_str().unwrap());
        objects.extend(given(kind, name, &rules));
    }
    cluster
        .apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
        .unwrap();
    let (code, checked) = check(&user, "few");
    assert_eq!(code, Some(0), "{checked}");
    user.run(&create).assert_done();
    for command in ["status", "diff", "delete"] {
        let mut args = vec![
            "component",
            "storage",
            command,
            "postgres",
            "--domain",
            "few",
        ];
        if command == "delete" {
            args.extend(["--yes", "--purge"]);
        }
        let ended = user.run(&args);
        assert!(!ended.stderr.contains("error"), "{ended:?}");
    }
    // Nobody may give rights that he has not himself, and that is said.
    let meter = [
        "component",
        "energy_measurement_asset",
        "create",
        "kepler",
        "--no-wait",
        "--domain",
        "few",
    ];
    user.run(&meter)
        .assert_failed("attempting to grant RBAC permissions not currently held");
}
