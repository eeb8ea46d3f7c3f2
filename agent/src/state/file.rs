//! What is in the file, and whether it can be used. Pure.

use serde::{Deserialize, Serialize};

use crate::idle::envelope::Envelope;

const VERSION: u32 = 1;

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    machine: Machine,
    /// Figures by zone.
    pub zones: Vec<KeptZone>,
}

/// Whose figures they are. Another machine's say nothing of this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the node.
    pub node: String,
    /// The CPU's model name; empty where it has none.
    pub cpu: String,
    /// CPUs, as the kernel counts them.
    pub threads: usize,
}

/// One zone's figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptZone {
    /// Name of the zone.
    pub name: String,
    /// Where it is read.
    pub source: String,
    /// What was learned of it.
    pub envelope: Envelope,
}

/// What every version of the file says of itself.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Kept {
    pub(super) fn new(machine: Machine, zones: Vec<KeptZone>) -> Self {
        Self {
            version: VERSION,
            machine,
            zones,
        }
    }

    /// As it is written.
    ///
    /// # Errors
    /// Where a figure has no form in JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The content, or why it is of no use on `machine`.
    ///
    /// # Errors
    /// In words: broken, of another version or of another machine.
    pub fn from_json(bytes: &[u8], machine: &Machine) -> Result<Self, String> {
        let broken = |error: serde_json::Error| format!("it is broken ({error})");
        let Head { version } = serde_json::from_slice(bytes).map_err(broken)?;
        if version != VERSION {
            return Err(format!("its version is {version}, not {VERSION}"));
        }
        let kept: Self = serde_json::from_slice(bytes).map_err(broken)?;
        if kept.machine != *machine {
            let Machine { node, cpu, threads } = &kept.machine;
            return Err(format!(
                "it is of another machine (node {node}, {threads} x {cpu})"
            ));
        }
        if !kept.zones.iter().all(|zone| zone.envelope.is_sound()) {
            return Err("it is broken (a figure is out of its range)".to_owned());
        }
        Ok(kept)
    }
}
