//! What a cgroup's path says of who runs in it. Pure; where the trees are is in [`hierarchy`], and what is in
//! them now and was until lately in [`watch`].
//!
//! Known forms: the systemd driver's `kubepods[-QOS]-podUID.slice/RUNTIME-ID.scope`, the cgroupfs driver's
//! `kubepods/[QOS/]podUID/ID`, an engine's own `docker-ID.scope`, `docker/ID`, `libpod-ID.scope`,
//! `machine.slice/libpod-ID.scope`, virtual machines ([`vm`]), steps of Slurm jobs ([`slurm`]), and our exec groups.

use wire::exec_group::ExecGroup;

use self::slurm::SlurmStep;

pub mod hierarchy;
mod index;
pub mod slurm;
pub mod vm;
pub mod watch;

/// Who owns a cgroup and all below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A container, in a pod where the uid is known.
    Container {
        /// The pod's uid, with dashes.
        pod_uid: Option<String>,
        /// 64 hexadecimal digits.
        container_id: String,
    },
    /// A pod's own cgroup, outside its containers.
    Pod {
        /// The pod's uid, with dashes.
        pod_uid: String,
    },
    /// A virtual machine outside of containers.
    Vm {
        /// As the one who runs it calls it.
        name: String,
    },
    /// A step of a Slurm job.
    Slurm(SlurmStep),
    /// A command under `hxmlops exec`.
    Exec(ExecGroup),
}

/// The owner of the cgroup at `path`; `None` where it belongs to no workload. What is nearest to the root
/// decides between containers and virtual machines (a container's own sub-cgroups and containers within it are its own; but
/// pods within a container of an engine are their own, since that is a node of Kubernetes), and
/// an exec group, or else a Slurm step, decides over the container that it runs in or holds.
#[must_use]
pub fn owner(path: &str) -> Option<Owner> {
    if let Some(group) = ExecGroup::from_path(path) {
        return Some(Owner::Exec(group));
    }
    if let Some(step) = SlurmStep::from_path(path) {
        return Some(Owner::Slurm(step));
    }
    let mut pod_uid = None;
    let mut outer = None;
    let mut around = "";
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_first = pod_uid.is_none() && outer.is_none();
        if let Some(name) = vm::name_in_path(around, part).filter(|_| is_first) {
            return Some(Owner::Vm { name });
        }
        around = part;
        // A container's scope under the pod's slice, as one element: containerd, told the other driver's form.
        let mut names = part.split(':');
        let (slice, scope) = (names.next(), names.next_back());
        pod_uid = pod_uid.or_else(|| slice.and_then(self::pod_uid));
        let container_id = container_id(scope.unwrap_or(part));
        let container = |container_id| Owner::Container {
            pod_uid: pod_uid.clone(),
            container_id,
        };
        match container_id.map(container) {
            Some(container) if pod_uid.is_some() => return Some(container),
            // It may be a node of Kubernetes in an engine's container.
            Some(container) => outer = outer.or(Some(container)),
            None => {}
        }
    }
    pod_uid.map(|pod_uid| Owner::Pod { pod_uid }).or(outer)
}

/// The owner of the cgroup at `path` where no cgroup around it has the same one; `None` also of a container's
/// sub-cgroups.
#[must_use]
pub fn owner_of_topmost(path: &str) -> Option<Owner> {
    let around = path.rsplit_once('/').and_then(|(around, _)| owner(around));
    owner(path).filter(|owner| around.as_ref() != Some(owner))
}

/// `ID`, `RUNTIME-ID` or `RUNTIME-ID.scope` (docker-, cri-containerd-, crio-, libpod-...).
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit_once('-').map_or(name, |(_, id)| id);
    let is_conmon = part.contains("conmon-");
    (is_hex(id, 64) && !is_conmon).then(|| id.to_owned())
}

/// `podUID` or `kubepods-burstable-podUID.slice`, where the systemd driver writes `_` for `-` and the slices around before it.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let (before, uid) = name.rsplit_once("pod")?;
    let known_prefix = before.is_empty() || before.contains("kubepods-");
    let uid = uid.replace('_', "-");
    let is_uuid = uid.len() == 36 && is_hex(&uid.replace('-', ""), 32);
    // A static pod's uid is the hash of its manifest.
    (known_prefix && (is_uuid || is_hex(&uid, 32))).then_some(uid)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "6a2f3c1e-0b1d-4c52-9a51-2f8f0d3b7a11";

    /// Paths of runtimes, drivers and distributions, and whose each is.
    const PATHS: &str = include_str!("../fixtures/cgroup/paths.tsv");

    #[test]
    fn every_runtime_s_paths() {
        let rows = PATHS.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for row in rows {
            let columns: Vec<&str> = row.split('\t').collect();
            let [who, path, pod_uid, container_id] = columns[..] else {
                panic!("four columns: {row}");
            };
            let some = |text: &str| (text != "-").then(|| text.to_owned());
            let expected = match (some(pod_uid), some(container_id)) {
                (pod_uid, Some(container_id)) => Some(Owner::Container {
                    pod_uid,
                    container_id,
                }),
                (Some(pod_uid), None) => Some(Owner::Pod { pod_uid }),
                (None, None) => None,
            };
            assert_eq!(owner(path), expected, "{who}: {path}");
            count += 1;
        }
        assert!(count > 40, "{count} rows");
    }

    #[test]
    fn an_exec_group_inside_a_container_is_the_exec_groups() {
        let group = ExecGroup::new("w", "r", "s", "1").unwrap();
        let path = format!("/docker/{ID}/{}", group.relative_path());
        assert_eq!(owner(&path), Some(Owner::Exec(group)));
    }

    #[test]
    fn the_topmost_cgroup_of_each_owner_speaks_for_it() {
        let pod = format!("/kubepods/pod{UID}");
        let container = format!("{pod}/{ID}");
        let group = ExecGroup::new("w", "r", "s", "1").unwrap();
        let group = format!("{container}/{}", group.relative_path());
        for path in [&pod, &container, &group] {
            assert_eq!(owner_of_topmost(path), owner(path), "{path}");
            assert!(owner(path).is_some(), "{path}");
            assert_eq!(owner_of_topmost(&format!("{path}/nested")), None, "{path}");
        }
        assert_eq!(owner_of_topmost("/system.slice"), None);
        assert_eq!(owner_of_topmost(""), None);
    }
}
