//! A pod of the chart as podman's flags: the rendered object itself, and no copy of it. What is not known here is an
//! error, so that nothing which the chart asks for is left out in silence.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use e2e::text;
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use crate::chart::Release;
use crate::seccomp;

/// What stands in for a node.
pub(crate) struct Node {
    /// What is mounted for each of its directories: where it is here, and below the mount point where.
    pub(crate) host_paths: Vec<(&'static str, Vec<(PathBuf, &'static str)>)>,
    /// What the pod's fields are, such as `status.podIP`.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// Which seccomp profile is `RuntimeDefault`.
    pub(crate) runtime_default: RuntimeDefault,
}

/// A container runtime's seccomp profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuntimeDefault {
    /// Of containerd, where a capability of its own is enough for eBPF.
    Containerd,
    /// Of Debian's podman, where eBPF takes CAP_SYS_ADMIN.
    Podman,
}

/// A pod's first container, ready to be run.
pub(crate) struct Pod {
    pub(crate) image: String,
    pub(crate) args: Vec<String>,
    pub(crate) flags: Vec<String>,
    /// The container as the chart has it.
    pub(crate) container: Value,
    /// What its volumes lie in.
    directory: TempDir,
    /// Held as long as it may be started.
    seccomp: Option<NamedTempFile>,
}

impl Pod {
    /// Of the DaemonSet or StatefulSet of a release, on a node.
    ///
    /// # Errors
    /// Where it asks for something that is not known here.
    pub(crate) fn new(release: &Release, kind: &str, node: &Node) -> anyhow::Result<Self> {
        let workload = release.of_kind(kind)?;
        let spec = &workload["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        let image = container["image"].as_str().context("it has an image")?;
        let mut pod = Self {
            image: format!("localhost/{image}"),
            args: Vec::new(),
            flags: Vec::new(),
            container: container.clone(),
            directory: TempDir::new()?,
            seccomp: None,
        };
        if spec["hostPID"] == true {
            pod.flag("--pid=host");
        }
        pod.pod_security(&spec["securityContext"], node)?;
        pod.container_security(&container["securityContext"])?;
        if let Some(memory) = container["resources"]["limits"]["memory"].as_str() {
            pod.flag(format!("--memory={}", memory.trim_end_matches('i')));
        }
        pod.environment(&container["env"], node)?;
        pod.volumes(release, workload, node)?;
        Ok(pod)
    }

    /// What of this machine is mounted there.
    pub(crate) fn source_of(&self, place: &str) -> Option<&str> {
        let mut volumes = self
            .flags
            .iter()
            .filter_map(|flag| flag.strip_prefix("--volume="));
        volumes.find_map(|volume| {
            let (source, rest) = volume.split_once(':')?;
            (rest.split(':').next() == Some(place)).then_some(source)
        })
    }

    fn flag(&mut self, flag: impl Into<String>) {
        self.flags.push(flag.into());
    }

    /// What holds for all of a pod's containers.
    fn pod_security(&mut self, security: &Value, node: &Node) -> anyhow::Result<()> {
        let mut user = (Value::Null, Value::Null);
        for (key, value) in entries(security) {
            match key {
                "runAsUser" => user.0 = value.clone(),
                "runAsGroup" => user.1 = value.clone(),
                "runAsNonRoot" => ensure!(value != true || security["runAsUser"] != 0),
                // The volumes' owner, once they are there.
                "fsGroup" | "fsGroupChangePolicy" => {}
                "seccompProfile" if value["type"] == "RuntimeDefault" => {
                    if node.runtime_default == RuntimeDefault::Containerd {
                        let profile = seccomp::of_containerd()?;
                        self.flag(format!("--security-opt=seccomp={}", text(profile.path())));
                        self.seccomp = Some(profile);
                    }
                }
                _ => bail!("securityContext.{key}: {value} of a pod is not known"),
            }
        }
        self.user(&user.0, &user.1)
    }

    fn container_security(&mut self, security: &Value) -> anyhow::Result<()> {
        for (key, value) in entries(security) {
            match key {
                "runAsUser" => self.user(value, &security["runAsGroup"])?,
                "runAsGroup" => {}
                "runAsNonRoot" => ensure!(value != true || security["runAsUser"] != 0),
                "allowPrivilegeEscalation" if value == false => {
                    self.flag("--security-opt=no-new-privileges");
                }
                "readOnlyRootFilesystem" if value == true => {
                    self.flag("--read-only");
                    // podman's own addition.
                    self.flag("--read-only-tmpfs=false");
                }
                "capabilities" => {
                    for name in strings(&value["drop"]) {
                        self.flag(format!("--cap-drop={name}"));
                    }
                    for name in strings(&value["add"]) {
                        self.flag(format!("--cap-add={name}"));
                    }
                }
                _ => bail!("securityContext.{key}: {value} of a container is not known"),
            }
        }
        Ok(())
    }

    fn user(&mut self, user: &Value, group: &Value) -> anyhow::Result<()> {
        if let Some(user) = user.as_u64() {
            let group = group.as_u64().context("a user comes with a group")?;
            self.flag(format!("--user={user}:{group}"));
        }
        Ok(())
    }

    /// Variables, and arguments with `$(NAME)` in them.
    fn environment(&mut self, list: &Value, node: &Node) -> anyhow::Result<()> {
        let mut variables = Vec::new();
        for variable in list.as_array().into_iter().flatten() {
            let name = variable["name"].as_str().context("a variable has a name")?;
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some(field) => {
                    let found = node.fields.iter().find(|(known, _)| *known == field);
                    found
                        .with_context(|| format!("field {field} is not known"))?
                        .1
                }
                None => variable["value"]
                    .as_str()
                    .with_context(|| format!("variable {name} has no value"))?,
            };
            self.flag(format!("--env={name}={value}"));
            variables.push((format!("$({name})"), value.to_owned()));
        }
        let container = self.container.clone();
        for arg in strings(&container["args"]) {
            let arg = variables.iter().fold(arg.to_owned(), |arg, (name, value)| {
                arg.replace(name, value)
            });
            self.args.push(arg);
        }
        Ok(())
    }

    fn volumes(&mut self, release: &Release, workload: &Value, node: &Node) -> anyhow::Result<()> {
        let spec = &workload["spec"]["template"]["spec"];
        let claims = workload["spec"]["volumeClaimTemplates"].as_array();
        let mounts = self.container["volumeMounts"].clone();
        for mount in mounts.as_array().into_iter().flatten() {
            let (name, place) = (&mount["name"], &mount["mountPath"]);
            let place = place.as_str().context("a mount has a place")?;
            let mut volumes = spec["volumes"].as_array().into_iter().flatten();
            let volume = volumes.find(|volume| volume["name"] == *name);
            let mut claims = claims.into_iter().flatten();
            let is_claim = claims.any(|claim| claim["metadata"]["name"] == *name);
            let directory = self
                .directory
                .path()
                .join(name.as_str().unwrap_or_default());
            let sources = match volume {
                Some(volume) => sources(release, volume, &directory, node)?,
                None if is_claim => empty(&directory)?,
                None => bail!("volume {name} is not known"),
            };
            let mode = if mount["readOnly"] == true {
                "ro"
            } else {
                "rw"
            };
            for (source, below) in sources {
                self.flag(format!("--volume={}:{place}{below}:{mode}", text(&source)));
            }
            if let Some(group) = spec["securityContext"]["fsGroup"].as_u64() {
                give(&directory, u32::try_from(group)?)?;
            }
        }
        Ok(())
    }
}

type Sources = Vec<(PathBuf, &'static str)>;

/// What is mounted for a volume.
fn sources(
    release: &Release,
    volume: &Value,
    directory: &Path,
    node: &Node,
) -> anyhow::Result<Sources> {
    for (kind, value) in entries(volume) {
        let named = |kind, key: &str| {
            let name = value[key].as_str().context("a volume has a source")?;
            release.named(kind, name)
        };
        match kind {
            "name" => {}
            "emptyDir" => return empty(directory),
            "hostPath" => {
                let path = value["path"].as_str().context("it has a path")?;
                let mut known = node.host_paths.iter();
                let found = known.find(|(host_path, _)| *host_path == path);
                return Ok(found
                    .with_context(|| format!("{path} of the host is not known"))?
                    .1
                    .clone());
            }
            "configMap" => {
                let data = &named("ConfigMap", "name")?["data"];
                return files(directory, value, data, |text| Ok(text.as_bytes().to_vec()));
            }
            "secret" => {
                let data = &named("Secret", "secretName")?["data"];
                let decode = |text: &str| Ok(base64::prelude::BASE64_STANDARD.decode(text)?);
                return files(directory, value, data, decode);
            }
            _ => bail!("a volume of {kind} is not known"),
        }
    }
    bail!("{volume} has no source")
}

fn empty(directory: &Path) -> anyhow::Result<Sources> {
    fs::create_dir(directory)?;
    Ok(vec![(directory.to_owned(), "")])
}

/// The items of an object's data as files; all of them where none are named.
fn files(
    directory: &Path,
    volume: &Value,
    data: &Value,
    decode: impl Fn(&str) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Sources> {
    let mode = volume["defaultMode"].as_u64().unwrap_or(0o644);
    let sources = empty(directory)?;
    let mut items: Vec<(&str, &str)> = Vec::new();
    for item in volume["items"].as_array().into_iter().flatten() {
        let (key, path) = (item["key"].as_str(), item["path"].as_str());
        items.push(key.zip(path).context("an item has a key and a path")?);
    }
    if items.is_empty() {
        items = entries(data).map(|(key, _)| (key, key)).collect();
    }
    for (key, path) in items {
        let value = data[key]
            .as_str()
            .with_context(|| format!("there is no key {key}"))?;
        let file = directory.join(path);
        fs::write(&file, decode(value)?)?;
        fs::set_permissions(&file, Permissions::from_mode(u32::try_from(mode)?))?;
    }
    Ok(sources)
}

/// What the kubelet does for `fsGroup`: the group owns the volume, may read its files, and write where the owner may.
fn give(directory: &Path, group: u32) -> anyhow::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    chown(directory, None, Some(group))?;
    fs::set_permissions(directory, Permissions::from_mode(0o2775))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode();
        chown(entry.path(), None, Some(group))?;
        fs::set_permissions(entry.path(), Permissions::from_mode(mode | 0o040))?;
    }
    Ok(())
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object = object.as_object().into_iter().flatten();
    object.map(|(key, value)| (key.as_str(), value))
}

fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}
