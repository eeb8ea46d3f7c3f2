//! Every system's pods have their energy, by stage, from counters to Prometheus and the report.

use e2e::cluster::{Cluster, Pod};
use e2e::poll;
use e2e::prometheus::{AGENTS, AGGREGATOR, Prometheus};
use serde_json::{Value, json};

use crate::dashboards;
use crate::site::{NODE, Site, USER, account, busy, chart, true_joules};

/// How far a stage may be from the truth, in parts of its zone's active energy.
const TOLERANCE: f64 = 0.01;

/// A pod of one system: labels and annotations, and the stage that they make it; how long and how much it works.
struct Case {
    name: &'static str,
    labels: Value,
    annotations: Value,
    workflow: &'static str,
    stage: &'static str,
    seconds: u64,
    percent: u32,
}

const KFP_RUN: &str = "6d2b8d5e-0000-4c52-9a51-2f8f0d3b7a11";

fn cases() -> Vec<Case> {
    let kfp = |node: &str| {
        let labels = json!({
            "pipeline/runid": KFP_RUN,
            "pipelines.kubeflow.org/v2_component": "true",
            "workflows.argoproj.io/workflow": "churn-x7k2b",
        });
        (
            labels,
            json!({ "workflows.argoproj.io/node-name": format!("churn-x7k2b.root.{node}") }),
        )
    };
    let case = |name, (labels, annotations), workflow, stage, seconds, percent| Case {
        name,
        labels,
        annotations,
        workflow,
        stage,
        seconds,
        percent,
    };
    let labelled = |labels| (labels, json!({}));
    vec![
        case(
            "churn-x7k2b-trainer-driver",
            kfp("trainer-driver"),
            "churn",
            "trainer",
            2,
            10,
        ),
        case(
            "churn-x7k2b-prepare",
            kfp("prepare.executor"),
            "churn",
            "prepare",
            4,
            20,
        ),
        case(
            "churn-x7k2b-trainer",
            kfp("trainer.executor"),
            "churn",
            "trainer",
            6,
            30,
        ),
        case(
            "fraud-9tq4z-1",
            (
                json!({ "pipeline/runid": "0f7c1b1a", "workflows.argoproj.io/workflow": "fraud-9tq4z" }),
                json!({ "pipelines.kubeflow.org/task_display_name": "Train the model" }),
            ),
            "fraud",
            "Train the model",
            5,
            15,
        ),
        case(
            "etl-x7k2b-load",
            (
                json!({ "workflows.argoproj.io/workflow": "etl-x7k2b" }),
                json!({ "workflows.argoproj.io/node-name": "etl-x7k2b[1].load(0:a.b)" }),
            ),
            "etl",
            "load",
            5,
            10,
        ),
        case(
            "build-compile-pod",
            labelled(json!({
                "tekton.dev/pipeline": "build", "tekton.dev/pipelineRun": "build-x7k2b",
                "tekton.dev/pipelineTask": "compile", "tekton.dev/taskRun": "build-x7k2b-compile",
            })),
            "build",
            "compile",
            4,
            15,
        ),
        case(
            "churn-predictor-0",
            labelled(
                json!({ "component": "predictor", "serving.kserve.io/inferenceservice": "churn-api" }),
            ),
            "churn-api",
            "serving",
            6,
            5,
        ),
        case(
            "tune-worker-0",
            labelled(json!({
                "ray.io/cluster": "tune-raycluster-x7k2b", "ray.io/group": "small",
                "ray.io/node-type": "worker", "ray.io/originated-from-cr-name": "tune",
            })),
            "tune",
            "worker",
            5,
            15,
        ),
        case(
            "wordcount-exec-1",
            labelled(json!({
                "spark-app-selector": "spark-0a1b", "spark-role": "executor",
                "sparkoperator.k8s.io/app-name": "wordcount",
            })),
            "wordcount",
            "executor",
            4,
            20,
        ),
    ]
}

/// A Job's pod, as the Job controller makes it.
fn job() -> Value {
    let mut pod = busy("", &json!({}), &json!({}), 4, 15);
    pod["spec"]["containers"][0]["image"] = "registry.example/image:1".into();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": "report", "namespace": "ml" },
        "spec": { "template": { "spec": pod["spec"] } },
    })
}

/// The name of the pod that the controller has made.
fn pod_of_job(cluster: &Cluster) -> String {
    let path = "/api/v1/namespaces/ml/pods?labelSelector=job-name%3Dreport";
    poll("the Job has a pod", || {
        let list = cluster.admin().get(path)?;
        Ok(list["items"][0]["metadata"]["name"]
            .as_str()
            .map(str::to_owned))
    })
    .unwrap()
}

#[test]
fn every_system_s_stages_have_their_energy() {
    let cluster = Cluster::with_controllers().unwrap();
    let access = account(&cluster, &["list", "watch"]);
    cluster.make_namespace("ml").unwrap();
    cluster
        .apply(&json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "default", "namespace": "ml" },
        }))
        .unwrap();
    let mut site = Site::new(cluster);
    site.start_agent_with_api(&access);
    let jobs = [
        (AGENTS, site.agent().url()),
        (AGGREGATOR, site.server.url()),
    ];
    let rules = chart("rules/hxmlops.yaml");
    let prometheus = Prometheus::start(&jobs, NODE, Some(&rules)).unwrap();
    let before = site.sync();

    site.cluster.apply(&job()).unwrap();
    let job_name = pod_of_job(&site.cluster);
    let cases = cases();
    let mut pods: Vec<Pod> = vec![site.kubelet.take("ml", &job_name).unwrap()];
    for case in &cases {
        let Case {
            name,
            labels,
            annotations,
            seconds,
            percent,
            ..
        } = case;
        let manifest = busy(name, labels, annotations, *seconds, *percent);
        pods.push(site.kubelet.run(&manifest).unwrap());
    }
    for pod in &mut pods {
        assert_eq!(pod.wait("main").unwrap(), 0);
        site.kubelet.report(pod).unwrap();
    }
    site.after_ticks(2);
    let truth = site.sync();
    let agent_metrics = site.metrics();
    dashboards::check(
        &prometheus,
        &[
            ("workflow", "churn"),
            ("stage", "trainer"),
            ("run", KFP_RUN),
        ],
    );
    site.stop_agent();

    let mut stages: Vec<(&str, &str)> = vec![("report", "job")];
    stages.extend(cases.iter().map(|case| (case.workflow, case.stage)));
    stages.sort_unstable();
    stages.dedup();
    let told: Vec<(&str, &str)> = [("report", "job")]
        .into_iter()
        .chain(cases.iter().map(|case| (case.workflow, case.stage)))
        .collect();
    for zone in ["package-0", "dram-0"] {
        let active =
            (truth.total(zone) - truth.idle(zone)) - (before.total(zone) - before.idle(zone));
        for &(workflow, stage) in &stages {
            let own: Vec<&Pod> = told
                .iter()
                .zip(&pods)
                .filter(|(of, _)| **of == (workflow, stage))
                .map(|(_, pod)| pod)
                .collect();
            let expected = true_joules(&truth, &own, zone);
            let query = format!(
                "hxmlops_stage_energy_joules_total{{workflow=\"{workflow}\",stage=\"{stage}\",zone=\"{zone}\"}}"
            );
            let found = poll("Prometheus has scraped the last batch", || {
                let value = prometheus.value(&query)?;
                Ok(value.filter(|value| (value - expected).abs() <= TOLERANCE * active))
            });
            let found = found.unwrap_or_else(|error| {
                let value = prometheus.value(&query).unwrap();
                panic!("{query}: {value:?} J, in truth {expected} J of {active} J: {error}")
            });
            let points = 100.0 * (found - expected).abs() / active;
            println!(
                "{zone} {workflow}/{stage}: {found:.2} J, truth {expected:.2} J, {points:.2} points"
            );
        }
    }

    // The run's report has its stages, and the driver apart.
    let report = site.hxmlops(&["report", KFP_RUN, "--format", "json", "--idle", "request"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let names: Vec<&str> = report["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"prepare") && names.contains(&"trainer"),
        "{names:?}"
    );
    assert!(
        report.to_string().contains("\"component\":\"driver\""),
        "{report}"
    );
    assert!(
        report["idle_joules"].as_f64().unwrap() > 0.0,
        "by request: {report}"
    );
    site.check_ledger();

    // Kubernetes was asked for what the agent may, once each.
    let asked = site.cluster.requests_of(USER).unwrap();
    let asked: Vec<(&str, &str)> = asked
        .iter()
        .map(|one| (&*one.verb, &*one.resource))
        .collect();
    assert_eq!(asked, [("list", "pods"), ("watch", "pods")]);
    for part in [
        "pod=\"wordcount-exec-1\"",
        "container=\"main\"",
        "kepler_pod_cpu_joules_total",
    ] {
        assert!(agent_metrics.contains(part), "{part}");
    }
    e2e::check_metrics(&agent_metrics).unwrap();
}
