//! Modules that are not as helm's record has them: their workload was never made, or is gone, or their last change failed. By
//! both helms.

use e2e::cluster::{Cluster, Helm};
use e2e::text;
use reqwest::Method;

use super::user::{Ended, User, list, names};

/// The API server refuses the workload with this.
const REFUSED: [&str; 2] = ["--set", "podLabels.tier=b/c"];

#[test]
fn what_lacks_or_failed_is_seen_and_put_right() {
    let cluster = Cluster::start().unwrap();
    for (helm, namespace) in [(Helm::Three, "three"), (Helm::Four, "four")] {
        let user = User::admin(&cluster, helm);
        let run = |command: &str, more: &[&str]| -> Ended {
            let args = [
                "component",
                "storage",
                command,
                "postgres",
                "--namespace",
                namespace,
            ];
            user.run(&[&args, more].concat())
        };
        let all = || user.run(&["component", "storage", "status", "--namespace", namespace]);
        let no_wait = ["--no-wait"];
        let refused = [&no_wait[..], &REFUSED].concat();
        assert_eq!(all().assert_done(), "");
        run("create", &refused).assert_failed("Invalid value: \"b/c\"");
        let status = all();
        let line = status.assert_no();
        assert!(
            line.contains("storage/postgres  postgres  failed"),
            "{status:?}"
        );
        run("create", &no_wait).assert_done();
        run("diff", &[]).assert_done();

        // Somebody deletes the workload.
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/postgres");
        cluster.admin().ask(Method::DELETE, &path, None).unwrap();
        let status = all();
        assert!(
            status.assert_no().contains("storage/postgres"),
            "{status:?}"
        );
        let diff = run("diff", &[]);
        assert!(diff.assert_no().contains("+++ StatefulSet/"), "{diff:?}");
        let file = user.write("env.yaml", "modules: [{module: storage/postgres}]\n");
        let apply = [
            "apply",
            "--no-wait",
            "--namespace",
            namespace,
            "-f",
            text(&file),
        ];
        let changed = user.run(&apply);
        assert!(
            changed.assert_done().contains(" is changed as "),
            "{changed:?}"
        );
        let sets = list(&cluster, namespace, "apps/v1/statefulsets", "");
        assert_eq!(names(&sets), ["postgres"]);
        assert_eq!(user.run(&apply).stderr, "nothing was changed\n");

        // A change fails: the cluster has what was before.
        run("create", &refused).assert_failed("Invalid value: \"b/c\"");
        let diff = run("diff", &[]);
        let (line, rest) = diff.assert_no().split_once('\n').unwrap();
        assert!(
            line.contains("is failed: it would be made again"),
            "{diff:?}"
        );
        assert_eq!(rest, "");
        let diff = run("diff", &REFUSED);
        assert!(
            diff.assert_no().contains("+        tier: b/c\n"),
            "{diff:?}"
        );
        run("create", &no_wait).assert_done();
        run("diff", &[]).assert_done();
    }
}
