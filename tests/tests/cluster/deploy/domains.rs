//! Several domains: modules go where they are told to, and no further.

use e2e::cluster::{Cluster, Helm};

use super::connection;
use super::user::{User, kubeconfig, list, names};

#[test]
fn domains_are_checked_and_modules_go_where_they_are_told_to() {
    let cluster = Cluster::start().unwrap();
    connection::check_rights(&cluster);
    deploy_to_several(&cluster);
}

fn deploy_to_several(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    cluster.make_service_account("closed", "deployer").unwrap();
    let limited = cluster.service_account("closed", "deployer").unwrap();
    kubeconfig(
        cluster,
        &[("one", cluster.admin()), ("two", &limited)],
        &config,
    );
    let user = User::with_kubeconfig(&config, Helm::Four);
    user.domain(&[
        "lab",
        "--context",
        "one",
        "--namespace",
        "lab",
        "--site",
        "paris",
        "--default",
    ]);
    user.domain(&[
        "plant",
        "--context",
        "one",
        "--namespace",
        "plant",
        "--site",
        "oslo",
        "--role",
        "production",
    ]);
    user.domain(&["other", "--context", "two", "--namespace", "closed"]);
    let create = |module: [&str; 2], more: &[&str]| {
        let args = ["component", module[0], "create", module[1], "--no-wait"];
        user.run(&[&args[..], more].concat())
    };
    let (postgres, agent) = (["storage", "postgres"], ["energy", "agent"]);
    let default = create(postgres, &[]);
    assert!(
        default
            .assert_done()
            .contains("in domain lab, namespace lab:"),
        "{default:?}"
    );
    create(postgres, &["--domain", "plant"]).assert_done();
    create(postgres, &["--domain", "plant", "--namespace", "else"]).assert_done();
    create(postgres, &["--namespace", "more", "--name", "second"]).assert_done();
    // The other context has other rights.
    create(postgres, &["--domain", "other"]).assert_failed("closed:deployer\" cannot");
    create(postgres, &["--domain", "nowhere"])
        .assert_failed("there is no domain 'nowhere'; there are: lab, other, plant");
    let expected = [
        ("lab", "postgres"),
        ("plant", "postgres"),
        ("else", "postgres"),
        ("more", "second"),
    ];
    for (namespace, name) in expected {
        assert_eq!(
            names(&list(cluster, namespace, "apps/v1/statefulsets", "")),
            [name],
            "{namespace}"
        );
    }
    assert_eq!(
        names(&list(cluster, "closed", "apps/v1/statefulsets", "")),
        [""; 0]
    );

    // What one namespace has is none of another's business.
    let args = [
        "component",
        "storage",
        "delete",
        "postgres",
        "--yes",
        "--purge",
        "--domain",
        "plant",
    ];
    user.run(&args).assert_done();
    assert_eq!(
        names(&list(cluster, "lab", "v1/persistentvolumeclaims", "")),
        ["postgres-data"]
    );

    for (domain, site) in [("lab", "paris"), ("plant", "oslo")] {
        create(agent, &["--domain", domain]).assert_done();
        let path = format!("/api/v1/namespaces/{domain}/configmaps/hxmlops-agent");
        let config = cluster.admin().get(&path).unwrap();
        assert!(
            config["data"]
                .to_string()
                .contains(&format!("site: {site}")),
            "{config}"
        );
    }
    let status = user.run(&["component", "storage", "status", "--domain", "plant"]);
    assert_eq!(status.assert_done(), "");
}
