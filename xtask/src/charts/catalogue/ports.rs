//! Nothing collides: no port of a node is taken, so that two modules may have the same one; and within a module each is there once.

use std::collections::BTreeSet;

use serde_json::Value;

use super::file::Module;
use crate::charts::Faults;
use crate::charts::pods::items;

/// Keys by which a pod or a Service takes a port of its node.
const OF_NODES: [&str; 3] = ["nodePort", "hostPort", "hostNetwork"];

/// Looks at each module's values and offers.
pub(super) fn check(modules: &[Module], faults: &mut Faults) {
    for module in modules {
        faults.of(format!(
            "helm/catalogue/{}/{}.yaml",
            module.group, module.name
        ));
        let Some(chart) = &module.chart else { continue };
        for key in OF_NODES {
            let is_there = chart.to_string().contains(&format!("\"{key}\""));
            faults.check(!is_there, || format!("takes a port of its nodes: {key}"));
        }
        let mut names = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for port in items(&chart["ports"]) {
            let is_new =
                names.insert(port["name"].as_str()) && numbers.insert(port["port"].as_u64());
            faults.check(is_new, || format!("has a port twice: {port}"));
        }
        for offer in &module.offers {
            let mut served = items(&chart["ports"]).filter(|port| port["expose"] != false);
            faults.check(
                served.any(|port| number(port) == Some(offer.port.into())),
                || {
                    format!(
                        "offers {} at port {}, which its Service has not",
                        offer.capability, offer.port
                    )
                },
            );
            for (role, key) in offer.secret.iter().filter(|(role, _)| *role != "name") {
                faults.check(chart["secret"]["generate"][key].is_u64(), || {
                    format!(
                        "offers {} with the {role} {key}, which nobody makes",
                        offer.capability
                    )
                });
            }
        }
    }
}

/// Of a Service's port.
fn number(port: &Value) -> Option<u64> {
    port["servicePort"].as_u64().or(port["port"].as_u64())
}
