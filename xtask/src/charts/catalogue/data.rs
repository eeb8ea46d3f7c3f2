//! Data is on the volume: the directory that the program keeps it in is below the mount, the claim outlives the release, and
//! so do the secrets that open it.

use serde_json::Value;

use super::file::Module;
use super::is_below;
use crate::charts::Faults;
use crate::charts::objects::{name, of_kind};
use crate::charts::pods::{items, pod_spec};
use crate::charts::references::workloads;

/// Where a program keeps its data: the text of its pod or configuration that says so, and the directory.
const DIRECTORIES: [(&str, &str, &str); 14] = [
    (
        "postgres",
        "PGDATA=/var/lib/postgresql/18/docker",
        "/var/lib/postgresql/18/docker",
    ),
    (
        "timescale",
        "PGDATA=/home/postgres/pgdata/data",
        "/home/postgres/pgdata/data",
    ),
    ("minio", "/data", "/data"),
    ("seaweedfs", "-dir=/data", "/data"),
    // Of its documentation: no setting says it.
    ("pgadmin", "", "/var/lib/pgadmin"),
    (
        "torchserve",
        "model_store=/home/model-server/model-store",
        "/home/model-server/model-store",
    ),
    // Named in the file of models that its users write.
    ("tfserving", "", "/models"),
    ("triton", "--model-repository=/models", "/models"),
    ("vllm", "HF_HOME=/data/huggingface", "/data/huggingface"),
    (
        "prometheus",
        "--storage.tsdb.path=/prometheus",
        "/prometheus",
    ),
    // Of its documentation: no setting says it.
    ("grafana", "", "/var/lib/grafana"),
    (
        "modelsharing",
        "--data-dir=/var/lib/hxmlops",
        "/var/lib/hxmlops",
    ),
    (
        "datasetsharing",
        "--data-dir=/var/lib/hxmlops",
        "/var/lib/hxmlops",
    ),
    (
        "mosquitto",
        "persistence_location /mosquitto/data/",
        "/mosquitto/data",
    ),
];
/// Those want the mount above their directory: initdb takes no mount point, in which there may be a `lost+found`.
const BELOW: [&str; 2] = ["postgres", "timescale"];
const KEEP: &str = "helm.sh/resource-policy";

/// Looks at claims, mounts and secrets.
pub(super) fn check(objects: &[Value], module: &Module, faults: &mut Faults) {
    for kind in ["PersistentVolumeClaim", "Secret"] {
        for object in of_kind(objects, kind) {
            let metadata = &object["metadata"];
            let is_kept = metadata["annotations"][KEEP] == "keep"
                && metadata["labels"]["hxmlops.io/kept"].is_string();
            faults.check(is_kept, || {
                format!("{} ends with the release", name(object))
            });
        }
    }
    let found = DIRECTORIES.iter().find(|(of, _, _)| *of == module.name);
    let mounts: Vec<&str> = workloads(objects)
        .into_iter()
        .filter_map(data_mount)
        .collect();
    let Some((_, said, directory)) = found else {
        faults.check(mounts.is_empty(), || {
            "has a volume, and xtask/src/charts/catalogue/data.rs does not know what for".into()
        });
        return;
    };
    let is_well = |mount: &&str| {
        is_below(directory, mount) && (!BELOW.contains(&&*module.name) || directory != mount)
    };
    faults.check(mounts.len() == 1 && mounts.iter().all(is_well), || {
        format!("keeps its data in {directory}, and has its volume at {mounts:?}")
    });
    let texts = texts(objects);
    faults.check(texts.iter().any(|text| text.contains(said)), || {
        format!("does not say {said}")
    });
}

/// Where the claim is mounted.
fn data_mount(workload: &Value) -> Option<&str> {
    let spec = pod_spec(workload);
    let volume =
        items(&spec["volumes"]).find(|volume| volume["persistentVolumeClaim"].is_object())?;
    let mut mounts = items(&spec["containers"][0]["volumeMounts"]);
    mounts.find(|mount| mount["name"] == volume["name"])?["mountPath"].as_str()
}

/// Arguments, variables as `NAME=VALUE`, and files.
fn texts(objects: &[Value]) -> Vec<String> {
    let mut texts = Vec::new();
    for workload in workloads(objects) {
        let container = &pod_spec(workload)["containers"][0];
        let arguments = items(&container["args"]).filter_map(Value::as_str);
        texts.extend(arguments.map(str::to_owned));
        for variable in items(&container["env"]) {
            let text = |key: &str| variable[key].as_str().unwrap_or_default().to_owned();
            texts.push(format!("{}={}", text("name"), text("value")));
        }
    }
    for config in of_kind(objects, "ConfigMap") {
        let files = config["data"].as_object().into_iter().flatten();
        texts.extend(files.filter_map(|(_, text)| text.as_str().map(str::to_owned)));
    }
    texts
}
