//! A pod's part on the machine: its cgroups and its processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::names::{Names, qos};
use super::observer::{Moment, Observer};
use super::{now, status};
use crate::cgroups::Cgroup;
use crate::poll;

/// Which of a pod's containers it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Init,
    Main,
    Ephemeral,
}

/// The pods of a node, by uid, as the kubelet itself would tell of them.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<BTreeMap<String, Value>>>);

impl Known {
    pub(super) fn list(&self) -> Value {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pod on this machine. Its processes are killed and its cgroups removed when it is dropped.
pub struct Pod {
    object: Value,
    uid: String,
    known: Known,
    pub(super) started: String,
    pub(super) containers: Vec<Container>,
    pause: Container,
    /// What the others lie in: dropped after them.
    cgroup: Cgroup,
}

/// Where a container is to be.
struct Place<'a> {
    names: &'a Names,
    observer: &'a Observer,
    /// Its pod's name, and its pod's cgroup.
    pod: &'a str,
    cgroup: &'a str,
}

/// A container; `cgroup` and `process` are there until it has ended.
pub(super) struct Container {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) started: String,
    /// When it ended, and its exit code.
    pub(super) ended: Option<(String, i32)>,
    path: String,
    pod: String,
    observer: Observer,
    process: Option<Child>,
    cgroup: Option<Cgroup>,
}

impl Pod {
    pub(super) fn start(
        names: &Names,
        observer: &Observer,
        known: &Known,
        object: &Value,
    ) -> anyhow::Result<Self> {
        let uid = object["metadata"]["uid"].as_str();
        let uid = uid.context("the pod has a uid")?.to_owned();
        let spec = &object["spec"];
        let cgroup = Cgroup::new(&names.pod(qos(spec), &uid))?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let place = Place {
            names,
            observer,
            pod: name,
            cgroup: cgroup.path(),
        };
        let start = |kind, spec: &Value| Container::start(&place, kind, spec);
        let pause = start(Kind::Main, &serde_json::json!({ "name": "POD" }))?;
        let started = now();
        let mut containers = Vec::new();
        for (kind, list) in [(Kind::Init, "initContainers"), (Kind::Main, "containers")] {
            for spec in spec[list].as_array().into_iter().flatten() {
                let mut container = start(kind, spec)?;
                if kind == Kind::Init {
                    let code = container.wait()?;
                    let name = &container.name;
                    ensure!(code == 0, "the init container {name} ended with {code}");
                }
                containers.push(container);
            }
        }
        let mut pod = Self {
            object: object.clone(),
            uid,
            known: known.clone(),
            started,
            containers,
            pause,
            cgroup,
        };
        pod.look()?;
        Ok(pod)
    }

    pub(super) fn start_ephemeral(
        &mut self,
        names: &Names,
        observer: &Observer,
        spec: &Value,
    ) -> anyhow::Result<()> {
        let place = Place {
            names,
            observer,
            pod: self.name(),
            cgroup: self.cgroup.path(),
        };
        let container = Container::start(&place, Kind::Ephemeral, spec)?;
        self.containers.push(container);
        Ok(())
    }

    /// As the API had it when it was started.
    #[must_use]
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// As its cgroups have it.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let namespace = self.object["metadata"]["namespace"].as_str();
        namespace.unwrap_or("default")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its path in the API.
    #[must_use]
    pub fn path(&self) -> String {
        format!(
            "/api/v1/namespaces/{}/pods/{}",
            self.namespace(),
            self.name()
        )
    }

    /// Its cgroup, with all of its containers in it.
    #[must_use]
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The id of a container: 64 digits.
    ///
    /// # Panics
    /// Where it has none of this name.
    #[must_use]
    pub fn container_id(&self, name: &str) -> &str {
        &self.container(name).id
    }

    /// The path of a container's cgroup below the trees' roots; of one that has ended too.
    ///
    /// # Panics
    /// Where it has none of this name.
    #[must_use]
    pub fn container_path(&self, name: &str) -> &str {
        &self.container(name).path
    }

    /// The path of the pause container's cgroup.
    #[must_use]
    pub fn pause_path(&self) -> &str {
        &self.pause.path
    }

    /// The cgroup of a container that has not ended.
    #[must_use]
    pub fn container_cgroup(&self, name: &str) -> Option<&Cgroup> {
        self.container(name).cgroup.as_ref()
    }

    /// The process id of a container that has not ended.
    #[must_use]
    pub fn container_pid(&self, name: &str) -> Option<u32> {
        self.container(name).process.as_ref().map(Child::id)
    }

    /// Waits until a container has ended by itself; returns its exit code.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    ///
    /// # Panics
    /// Where it has none of this name.
    pub fn wait(&mut self, name: &str) -> anyhow::Result<i32> {
        self.container_mut(name).wait()
    }

    /// Kills what runs in a container, which has ended then.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    ///
    /// # Panics
    /// Where it has none of this name.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let container = self.container_mut(name);
        if let Some(process) = &mut container.process {
            process.kill()?;
        }
        container.wait().map(drop)
    }

    /// Finds out which containers have ended; returns the pod's status, which the node knows from now on.
    pub(super) fn look(&mut self) -> anyhow::Result<Value> {
        self.containers.iter_mut().try_for_each(Container::look)?;
        let status = status::of_pod(self);
        let mut object = self.object.clone();
        object["status"] = status.clone();
        self.known.lock().insert(self.uid.clone(), object);
        Ok(status)
    }

    fn container(&self, name: &str) -> &Container {
        let mut all = self.containers.iter();
        let found = all.find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("the pod {} has no container {name}", self.name()))
    }

    fn container_mut(&mut self, name: &str) -> &mut Container {
        let mut all = self.containers.iter_mut();
        let found = all.find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("the pod has no container {name}"))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.known.lock().remove(&self.uid);
    }
}

impl Container {
    /// In its cgroup when this returns, or at its end already.
    fn start(place: &Place<'_>, kind: Kind, spec: &Value) -> anyhow::Result<Self> {
        let name = spec["name"].as_str().context("a container has a name")?;
        let id = format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..));
        let path = place.names.container(place.cgroup, &id);
        let cgroup = Cgroup::new(&path)?;
        place.observer.tell(Moment {
            begins: true,
            pod: place.pod,
            container: name,
            path: &path,
        })?;
        let words = ["command", "args"].map(|list| spec[list].as_array());
        let words = words.into_iter().flatten().flatten();
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        let (program, args) = match words.split_first() {
            Some((program, args)) => (*program, args.to_vec()),
            None => ("sleep", vec!["infinity"]),
        };
        let mut command = cgroup.command(Path::new(program));
        command.args(args);
        for variable in spec["env"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) =
                (variable["name"].as_str(), variable["value"].as_str())
            {
                command.env(name, value);
            }
        }
        let process = command.spawn();
        let process = process.with_context(|| format!("cannot start container {name}"))?;
        let mut container = Self {
            kind,
            name: name.to_owned(),
            id,
            started: now(),
            ended: None,
            path,
            pod: place.pod.to_owned(),
            observer: place.observer.clone(),
            process: Some(process),
            cgroup: Some(cgroup),
        };
        let what = format!("container {name} is in its cgroup");
        poll(&what, || Ok(container.is_in()?.then_some(())))?;
        Ok(container)
    }

    fn is_in(&mut self) -> anyhow::Result<bool> {
        let (Some(process), Some(cgroup)) = (&mut self.process, &self.cgroup) else {
            return Ok(true);
        };
        if process.try_wait()?.is_some() {
            return Ok(true);
        }
        let pid = process.id().to_string();
        let has_it = |directory: &std::path::PathBuf| {
            let pids = fs::read_to_string(directory.join("cgroup.procs"));
            pids.is_ok_and(|pids| pids.lines().any(|line| line == pid))
        };
        Ok(cgroup.directories().iter().all(has_it))
    }

    fn look(&mut self) -> anyhow::Result<()> {
        if let Some(process) = &mut self.process
            && let Some(status) = process.try_wait()?
        {
            // As a shell says it.
            use std::os::unix::process::ExitStatusExt as _;
            let code = status.code().or_else(|| Some(128 + status.signal()?));
            self.ended = Some((now(), code.unwrap_or(255)));
            self.process = None;
            self.tell_the_end()?;
            // A runtime removes it at once, with what the process has left behind.
            self.cgroup = None;
        }
        Ok(())
    }

    fn tell_the_end(&self) -> anyhow::Result<()> {
        self.observer.tell(Moment {
            begins: false,
            pod: &self.pod,
            container: &self.name,
            path: &self.path,
        })
    }

    fn wait(&mut self) -> anyhow::Result<i32> {
        if let Some(process) = &mut self.process {
            process.wait()?;
        }
        self.look()?;
        let (_, code) = self.ended.as_ref().context("it has ended")?;
        Ok(*code)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Either it has ended, or it ends now.
            let _ = process.kill();
            let _ = process.wait();
            // Who wants to know may be gone.
            let _ = self.tell_the_end();
        }
    }
}
