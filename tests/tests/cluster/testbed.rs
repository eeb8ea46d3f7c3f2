//! The cluster itself is as the other tests take it to be.

use std::fs;
use std::sync::mpsc::channel;

use e2e::cgroups::Trees;
use e2e::cluster::{Cluster, Driver, Helm, Kubelet, Settings, on_node};
use e2e::poll;
use reqwest::Method;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/pods";

fn pod(name: &str, containers: &Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "work" },
        "spec": { "containers": containers },
    })
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn a_cluster_knows_who_asks_and_what_they_may_do() {
    let cluster = Cluster::start().unwrap();
    cluster.make_service_account("work", "agent").unwrap();
    let agent = cluster.service_account("work", "agent").unwrap();
    let (status, answer) = agent.ask(Method::GET, PODS, None).unwrap();
    assert_eq!(status, 403);
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("system:serviceaccount:work:agent") && message.contains("cannot list"),
        "{message}"
    );

    cluster
        .apply(&json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": { "name": "lists-pods" },
                    "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }],
                },
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": { "name": "agent-lists-pods" },
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": "lists-pods",
                    },
                    "subjects": [{ "kind": "ServiceAccount", "namespace": "work", "name": "agent" }],
                },
            ],
        }))
        .unwrap();
    let before = cluster.requests("pods").unwrap();
    let list = poll("the right is there", || {
        let (status, list) = agent.ask(Method::GET, PODS, None)?;
        Ok((status == 200).then_some(list))
    });
    assert_eq!(list.unwrap()["kind"], "PodList");
    assert!(cluster.requests("pods").unwrap().lists > before.lists);
    let user = "system:serviceaccount:work:agent";
    let asked = cluster.requests_of(user).unwrap();
    let codes: Vec<u64> = asked.iter().map(|request| request.code).collect();
    assert_eq!(codes.first(), Some(&403));
    assert_eq!(codes.last(), Some(&200));
    assert!(
        asked
            .iter()
            .all(|request| request.verb == "list" && request.resource == "pods"),
        "{asked:?}"
    );

    // As a pod and as somebody with a kubeconfig find it.
    let directory = agent.pod_directory().unwrap();
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(read("namespace"), "work");
    assert_eq!(read("token"), agent.token());
    assert_eq!(
        read("ca.crt"),
        fs::read_to_string(cluster.ca_file()).unwrap()
    );
    assert!(cluster.kubeconfig_for(user).unwrap().is_file());
    assert!(
        cluster
            .kubeconfig_for("system:serviceaccount:work:nobody")
            .is_err()
    );
}

#[test]
fn a_pod_is_real_processes_in_cgroups_as_a_kubelet_names_them() {
    let cluster = Cluster::start().unwrap();
    for (driver, node) in [(Driver::Cgroupfs, "node-1"), (Driver::Systemd, "node-2")] {
        let mut kubelet = Kubelet::start(&cluster, node, driver).unwrap();
        let (sender, moments) = channel();
        kubelet.observe(move |moment| {
            let has_cgroup = Trees::find()?
                .all()
                .all(|root| root.join(moment.path).is_dir());
            let moment = (moment.container.to_owned(), moment.begins);
            Ok(sender.send((moment, has_cgroup))?)
        });
        let mut manifest = pod(
            &format!("pod-{node}"),
            &json!([
                { "name": "main", "resources": { "requests": { "cpu": "100m" } } },
                { "name": "job", "command": ["sh", "-c", "exit $CODE"], "env": [{ "name": "CODE", "value": "3" }] },
            ]),
        );
        manifest["spec"]["initContainers"] = json!([{ "name": "before", "command": ["true"] }]);
        manifest["spec"]["restartPolicy"] = "Never".into();
        let mut pod = kubelet.run(&manifest).unwrap();
        assert_eq!(pod.wait("job").unwrap(), 3);
        let ephemeral = json!({ "name": "debugger" });
        kubelet.debug(&mut pod, &ephemeral).unwrap();

        let args = ["get", "pods", "--namespace", "work", "--output", "json"];
        let list: Value = serde_json::from_str(&cluster.kubectl(&args).unwrap()).unwrap();
        let seen = &list["items"][0];
        assert_eq!(seen["metadata"]["uid"], pod.uid());
        assert_eq!(seen["spec"]["nodeName"], node);
        let status = &seen["status"];
        assert_eq!(status["phase"], "Running");
        assert_eq!(status["qosClass"], "Burstable");
        for (list, index, name) in [
            ("initContainerStatuses", 0, "before"),
            ("containerStatuses", 0, "main"),
            ("containerStatuses", 1, "job"),
            ("ephemeralContainerStatuses", 0, "debugger"),
        ] {
            let container = &status[list][index];
            let id = format!("containerd://{}", pod.container_id(name));
            assert_eq!(container["containerID"], id, "{container}");
        }
        let job = &status["containerStatuses"][1]["state"]["terminated"];
        assert_eq!(job["exitCode"], 3, "{job}");

        for name in ["main", "debugger"] {
            let pid = pod.container_pid(name).unwrap();
            let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            let path = pod.container_path(name);
            assert!(cgroups.contains(path), "{path} in\n{cgroups}");
            assert!(path.contains("burstable") && path.contains(pod.container_id(name)));
        }
        assert!(pod.container_cgroup("job").is_none());

        let directories = pod.cgroup().directories().to_vec();
        assert!(directories.iter().all(|directory| directory.is_dir()));
        kubelet.delete(pod).unwrap();
        let moments: Vec<_> = moments.try_iter().collect();
        assert!(moments.iter().all(|(_, has_cgroup)| *has_cgroup));
        for name in ["POD", "before", "main", "job", "debugger"] {
            let of_it = moments
                .iter()
                .filter(|((container, _), _)| container == name);
            let begins: Vec<bool> = of_it.map(|((_, begins), _)| *begins).collect();
            assert_eq!(begins, [true, false], "{name}");
        }
        assert!(directories.iter().all(|directory| !directory.exists()));
        let list = cluster.admin().get(PODS).unwrap();
        assert_eq!(list["items"], json!([]));
    }
}

#[test]
fn a_static_pod_has_a_mirror_with_the_hash_that_its_cgroups_have() {
    let cluster = Cluster::start().unwrap();
    let kubelet = Kubelet::start(&cluster, "node-1", Driver::Cgroupfs).unwrap();
    let manifest = pod("etcd", &json!([{ "name": "etcd" }]));
    let mut pod = kubelet.start_static(&manifest).unwrap();
    let path = format!("{PODS}?{}", on_node("node-1"));
    assert_eq!(cluster.admin().get(&path).unwrap()["items"], json!([]));
    kubelet.mirror(&mut pod).unwrap();
    let list = cluster.admin().get(&path).unwrap();
    let mirror = &list["items"][0]["metadata"];
    assert_eq!(mirror["name"], "etcd-node-1");
    assert_eq!(
        mirror["annotations"]["kubernetes.io/config.hash"],
        pod.uid()
    );
    assert_ne!(mirror["uid"], pod.uid());
    assert!(
        pod.container_path("etcd")
            .contains(&format!("pod{}", pod.uid()))
    );
}

#[test]
fn the_kubelet_s_own_port_tells_its_pods_to_those_who_may_ask() {
    let mut cluster = Cluster::start().unwrap();
    let kubelet = Kubelet::start(&cluster, "node-1", Driver::Cgroupfs).unwrap();
    let server = kubelet.serve().unwrap();
    cluster.make_service_account("work", "agent").unwrap();
    let agent = cluster.service_account("work", "agent").unwrap();
    let agent = agent.at(&server.url(), &server.ca_file()).unwrap();
    let (status, said) = agent.text("/pods").unwrap();
    assert_eq!(status, 403, "{said}");
    assert!(said.contains("resource=nodes, subresource=proxy"), "{said}");
    let role = [
        "create",
        "clusterrole",
        "kubelet",
        "--verb=get",
        "--resource=nodes/proxy",
    ];
    cluster.kubectl(&role).unwrap();
    let account = "--serviceaccount=work:agent";
    let bind = [
        "create",
        "clusterrolebinding",
        "kubelet",
        "--clusterrole=kubelet",
        account,
    ];
    cluster.kubectl(&bind).unwrap();
    poll("the right is there", || {
        Ok((agent.text("/pods")?.0 == 200).then_some(()))
    })
    .unwrap();

    let containers = json!([{ "name": "main" }]);
    let pods = [
        kubelet.run(&pod("api", &containers)).unwrap(),
        kubelet.start_static(&pod("static", &containers)).unwrap(),
    ];
    cluster.stop_api_server().unwrap();
    let before = server.answered();
    let list = agent.get("/pods").unwrap();
    assert_eq!(server.answered(), before + 1);
    for pod in pods {
        let mut items = list["items"].as_array().unwrap().iter();
        let item = items.find(|item| item["metadata"]["uid"] == pod.uid());
        let id = &item.unwrap()["status"]["containerStatuses"][0]["containerID"];
        assert_eq!(*id, format!("containerd://{}", pod.container_id("main")));
        drop(pod);
    }
    assert_eq!(agent.get("/pods").unwrap()["items"], json!([]));
    drop(server);
    assert!(agent.get("/pods").is_err());
}

#[test]
fn a_controller_s_pod_is_taken_by_the_kubelet() {
    let cluster = Cluster::with_controllers().unwrap();
    let kubelet = Kubelet::start(&cluster, "node-1", Driver::Cgroupfs).unwrap();
    let labels = json!({ "app": "agent" });
    cluster.make_namespace("work").unwrap();
    cluster
        .apply(&json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": { "name": "agent", "namespace": "work" },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "agent", "image": "registry.example/image:1" }] },
                },
            },
        }))
        .unwrap();
    let path = "/api/v1/namespaces/work/pods";
    let name = poll("the controller makes a pod", || {
        let list = cluster.admin().get(path)?;
        Ok(list["items"][0]["metadata"]["name"]
            .as_str()
            .map(str::to_owned))
    });
    let _pod = kubelet.take("work", &name.unwrap()).unwrap();
    poll("the controller sees it ready", || {
        let path = "/apis/apps/v1/namespaces/work/daemonsets/agent";
        let set = cluster.admin().get(path)?;
        Ok((set["status"]["numberReady"] == 1).then_some(()))
    })
    .unwrap();
}

#[test]
fn both_helms_talk_to_the_cluster() {
    let cluster = Cluster::start().unwrap();
    for helm in [Helm::Three, Helm::Four] {
        let list = cluster.helm(helm, &["list", "--output", "json"]).unwrap();
        assert_eq!(list.trim(), "[]");
    }
}

#[test]
fn objects_outlive_the_api_server() {
    let mut cluster = Cluster::start().unwrap();
    let kubelet = Kubelet::start(&cluster, "node-1", Driver::Cgroupfs).unwrap();
    let containers = json!([{ "name": "main" }]);
    let early = kubelet.run(&pod("early", &containers)).unwrap();
    let late = kubelet.create(&pod("late", &containers)).unwrap();
    let url = cluster.server_url().to_owned();
    cluster.stop_api_server().unwrap();
    assert!(cluster.admin().get(PODS).is_err());
    // A pod goes on, and another begins and ends.
    assert!(early.container_pid("main").is_some());
    let mut late = kubelet.start_processes(&late).unwrap();
    late.kill("main").unwrap();
    cluster.start_api_server().unwrap();
    assert_eq!(cluster.server_url(), url);
    kubelet.report(&mut late).unwrap();
    let phase = |pod: &e2e::cluster::Pod| cluster.admin().get(&pod.path()).unwrap();
    assert_eq!(phase(&early)["metadata"]["uid"], early.uid());
    assert_eq!(phase(&late)["status"]["phase"], "Failed");
}

#[test]
fn a_watch_from_before_a_compaction_is_gone() {
    // Where the API server keeps pods in its memory, it must have been started again.
    let settings = [false, true].map(|uncached_pods| Settings {
        uncached_pods,
        ..Settings::default()
    });
    for settings in settings {
        let mut cluster = Cluster::with(settings).unwrap();
        let kubelet = Kubelet::start(&cluster, "node-1", Driver::Cgroupfs).unwrap();
        let containers = json!([{ "name": "main" }]);
        let before = kubelet.create(&pod("before", &containers)).unwrap();
        let after = kubelet.create(&pod("after", &containers)).unwrap();
        let path = format!("{PODS}?watch=true&resourceVersion={}", version(&before));
        let event = cluster.admin().watch(&path).unwrap().event().unwrap();
        let event = event.unwrap();
        assert_eq!(event["object"]["metadata"]["name"], "after", "{event}");
        assert_eq!(version(&event["object"]), version(&after));

        cluster.compact().unwrap();
        if !settings.uncached_pods {
            cluster.stop_api_server().unwrap();
            cluster.start_api_server().unwrap();
        }
        let answer = cluster.admin().watch(&path).unwrap().event().unwrap();
        let answer = answer.unwrap();
        // In an event or in its place.
        let status = [&answer, &answer["object"]].map(|status| status["code"].as_u64());
        assert!(status.contains(&Some(410)), "{answer}");
    }
}

#[test]
fn a_proxy_cuts_refuses_and_stalls() {
    let cluster = Cluster::start().unwrap();
    let kubelet = Kubelet::start(&cluster, "node-1", Driver::Cgroupfs).unwrap();
    let proxy = cluster.proxy().unwrap();
    let through = cluster.admin().through(&proxy).unwrap();
    let list = through.get(PODS).unwrap();
    let path = format!("{PODS}?watch=true&resourceVersion={}", version(&list));
    let counts = || cluster.requests("pods").unwrap();
    // The API server asks itself, too.
    let before = counts();

    let mut watch = through.watch(&path).unwrap();
    assert_eq!(counts().watches, before.watches + 1);
    proxy.cut();
    assert!(watch.event().is_err());
    let ended = poll("the API server notices", || {
        let counts = counts();
        Ok((counts.watches == before.watches).then_some(counts))
    });
    assert_eq!(ended.unwrap().ended_watches, before.ended_watches + 1);

    let mut watch = through.watch(&path).unwrap();
    proxy.stall();
    let containers = json!([{ "name": "main" }]);
    kubelet.create(&pod("first", &containers)).unwrap();
    proxy.pass();
    let event = watch.until("ADDED").unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "first");

    proxy.refuse();
    assert!(watch.event().is_err());
    let refused = through.get(PODS).unwrap_err();
    assert!(format!("{refused:?}").contains("refused"), "{refused:?}");
    proxy.pass();
    assert_eq!(
        through.get(PODS).unwrap()["items"][0]["metadata"]["name"],
        "first"
    );

    // Shortly before a watch times out it says how far it has come, where that is further than at its start.
    let bookmarked = format!("{path}&allowWatchBookmarks=true&timeoutSeconds=5");
    let mut watch = through.watch(&bookmarked).unwrap();
    kubelet.create(&pod("second", &containers)).unwrap();
    let bookmark = watch.until("BOOKMARK").unwrap();
    assert_eq!(bookmark["object"]["kind"], "Pod");
    assert_eq!(watch.event().unwrap(), None);
    let asked = cluster.requests_of("admin").unwrap();
    let watch = asked
        .iter()
        .find(|request| request.uri == bookmarked)
        .unwrap();
    assert_eq!((watch.verb.as_str(), watch.code), ("watch", 200));
}
