//! What cgroups are called. After the kubelet's cgroup manager and containerd's shim; `runc` makes the scopes.

use serde_json::Value;

use super::Driver;

/// How well a pod is served where a node runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// The names on one node.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// What all lie below.
    pub(super) top: String,
    pub(super) driver: Driver,
}

impl Names {
    /// A pod's cgroup.
    pub(super) fn pod(&self, qos: Qos, uid: &str) -> String {
        let top = &self.top;
        let class = match qos {
            Qos::Guaranteed => None,
            Qos::Burstable => Some("burstable"),
            Qos::BestEffort => Some("besteffort"),
        };
        // A dash is where systemd goes a level down.
        let escaped = uid.replace('-', "_");
        match (self.driver, class) {
            (Driver::Cgroupfs, None) => format!("{top}/kubepods/pod{uid}"),
            (Driver::Cgroupfs, Some(class)) => format!("{top}/kubepods/{class}/pod{uid}"),
            (Driver::Systemd, None) => {
                format!("{top}/kubepods.slice/kubepods-pod{escaped}.slice")
            }
            (Driver::Systemd, Some(class)) => {
                let slice = format!("kubepods-{class}");
                format!("{top}/kubepods.slice/{slice}.slice/{slice}-pod{escaped}.slice")
            }
        }
    }

    /// A container's, in its pod's.
    pub(super) fn container(&self, pod: &str, id: &str) -> String {
        match self.driver {
            Driver::Cgroupfs => format!("{pod}/{id}"),
            Driver::Systemd => format!("{pod}/cri-containerd-{id}.scope"),
        }
    }
}

/// A pod's class, by its containers' requests and limits of CPU and memory.
pub(super) fn qos(spec: &Value) -> Qos {
    let lists = [&spec["initContainers"], &spec["containers"]];
    let containers = || lists.iter().filter_map(|list| list.as_array()).flatten();
    let of = |container: &Value, kind: &str, what: &str| match &container["resources"][kind][what] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        number => Some(number.to_string()),
    };
    let all = ["cpu", "memory"];
    let has_none = |container: &Value| {
        let mut kinds = ["requests", "limits"].into_iter();
        kinds.all(|kind| all.iter().all(|what| of(container, kind, what).is_none()))
    };
    // What is limited and not requested is requested.
    let is_guaranteed = |container: &Value| {
        all.iter().all(|what| {
            let limit = of(container, "limits", what);
            let request = of(container, "requests", what).or_else(|| limit.clone());
            limit.is_some() && limit == request
        })
    };
    if containers().all(has_none) {
        Qos::BestEffort
    } else if containers().all(is_guaranteed) {
        Qos::Guaranteed
    } else {
        Qos::Burstable
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_are_told_by_requests_and_limits() {
        let both = json!({ "cpu": "1", "memory": "1Gi" });
        let whole = json!({ "resources": { "limits": both } });
        let equal = json!({ "resources": { "limits": both, "requests": both } });
        let less = json!({ "resources": { "limits": both, "requests": { "cpu": "500m", "memory": "1Gi" } } });
        let cpu = json!({ "resources": { "limits": { "cpu": 1 } } });
        let none = json!({});
        for (containers, expected) in [
            (vec![&none], Qos::BestEffort),
            (vec![&whole], Qos::Guaranteed),
            (vec![&equal, &whole], Qos::Guaranteed),
            (vec![&equal, &none], Qos::Burstable),
            (vec![&less], Qos::Burstable),
            (vec![&cpu], Qos::Burstable),
        ] {
            let spec = json!({ "containers": containers });
            assert_eq!(qos(&spec), expected, "{spec}");
        }
        let init = json!({ "initContainers": [cpu], "containers": [whole] });
        assert_eq!(qos(&init), Qos::Burstable);
    }

    #[test]
    fn cgroups_are_named_as_each_driver_names_them() {
        let names = |driver| Names {
            top: "t".to_owned(),
            driver,
        };
        for (driver, qos, expected) in [
            (Driver::Cgroupfs, Qos::Guaranteed, "t/kubepods/poda-b/id"),
            (
                Driver::Cgroupfs,
                Qos::BestEffort,
                "t/kubepods/besteffort/poda-b/id",
            ),
            (
                Driver::Systemd,
                Qos::Guaranteed,
                "t/kubepods.slice/kubepods-poda_b.slice/cri-containerd-id.scope",
            ),
            (
                Driver::Systemd,
                Qos::Burstable,
                "t/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice/cri-containerd-id.scope",
            ),
        ] {
            let names = names(driver);
            assert_eq!(names.container(&names.pod(qos, "a-b"), "id"), expected);
        }
    }
}
