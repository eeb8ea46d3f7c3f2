//! What the script says.

use serde::Deserialize;

use crate::{Code, code};

/// The whole of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// The driver's version.
    pub(crate) driver: String,
    /// Goes up when the driver is loaded anew: who holds the library from before has to let go of it first.
    #[serde(default)]
    pub(crate) load: u64,
    /// What every call is answered with; 0: as the rest says.
    #[serde(default)]
    pub(crate) error: u32,
    pub(crate) gpus: Vec<Gpu>,
}

/// One GPU; what is not there is not supported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gpu {
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) energy_mj: Option<u64>,
    pub(crate) power_mw: Option<u32>,
    pub(crate) percent: Option<u32>,
    /// (process, percent of the multiprocessors' time)
    pub(crate) samples: Option<Vec<(u32, u32)>>,
    #[serde(default)]
    pub(crate) processes: Vec<u32>,
    /// In MIG mode.
    pub(crate) slices: Option<Vec<Slice>>,
    /// It has fallen off the bus.
    #[serde(default)]
    pub(crate) lost: bool,
    /// Calls about it do not return before this is false again.
    #[serde(default)]
    pub(crate) hangs: bool,
    /// What calls about it are answered with; 0: as the rest says.
    #[serde(default)]
    pub(crate) error: u32,
}

/// A part of a GPU in MIG mode.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slice {
    pub(crate) uuid: String,
    pub(crate) size: u32,
    /// Not told where it is not there.
    pub(crate) processes: Option<Vec<u32>>,
}

impl Script {
    /// As it is now.
    pub(crate) fn read() -> Result<Self, Code> {
        let path = std::env::var_os("FAKE_NVML").ok_or(code::UNKNOWN)?;
        let text = std::fs::read(path).map_err(|_| code::UNKNOWN)?;
        serde_json::from_slice(&text).map_err(|_| code::UNKNOWN)
    }
}
