//! What the agent keeps across restarts: idle power as it was learned, in `idle.json` of the spool directory.

pub mod file;

use std::fs;
use std::io::Write;
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::Context;
use procfs_core::{CpuInfo, FromBufRead};
use tracing::{info, warn};

use self::file::{Kept, KeptZone, Machine};
use crate::config::Config;
use crate::node::ZoneState;

/// Name of the file.
pub const NAME: &str = "idle.json";

/// Files that are set aside, at most.
const BROKEN: u32 = 10;

/// Zones that are not there any more are forgotten beyond so many, the oldest first: a device may come under a new name
/// at each boot.
const OTHERS: usize = 64;

/// Written no more often than this.
const PERIOD_NS: u64 = 300_000_000_000;

/// The file, as one agent keeps it.
#[derive(Debug)]
pub struct IdleFile {
    directory: PathBuf,
    machine: Machine,
    written_ns: Option<u64>,
    failing: bool,
    /// Of zones that are not there now, or do not learn: kept for when they are and do.
    others: Vec<KeptZone>,
    /// How many of the node's zones were given what was learned of them.
    restored: usize,
}

impl IdleFile {
    /// In the configured directory, which is made if it is not there; `None` where none is configured. Gives
    /// the zones what was learned of them before; a file that cannot be used is set aside.
    ///
    /// # Errors
    /// Where the directory cannot be written.
    pub fn open(config: &Config, zones: &mut [ZoneState]) -> anyhow::Result<Option<Self>> {
        let Some(directory) = &config.spool_dir else {
            info!("no --spool-dir: idle power is learned anew after a restart");
            return Ok(None);
        };
        let cannot = || format!("--spool-dir {} cannot be written", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        let mut file = Self {
            directory: directory.clone(),
            machine: machine(config),
            written_ns: None,
            failing: false,
            others: Vec::new(),
            restored: 0,
        };
        // Not to be found out when there is something to lose.
        file.write_new(b"").with_context(cannot)?;
        file.restore(zones);
        Ok(Some(file))
    }

    /// Writes down what was learned if that is due, or `now`. A failure is logged once, until it works again.
    ///
    /// Zones that have come since the last call are given first what was learned of them before.
    pub fn keep(&mut self, zones: &mut [ZoneState], boottime_ns: u64, now: bool) {
        let others = mem::take(&mut self.others);
        self.others = give_back(others, &mut zones[self.restored..]);
        self.restored = zones.len();
        let since = self.written_ns.get_or_insert(boottime_ns);
        if !now && boottime_ns.saturating_sub(*since) < PERIOD_NS {
            return;
        }
        self.written_ns = Some(boottime_ns);
        let written = self.write(zones);
        if let Err(error) = &written
            && !self.failing
        {
            let path = self.path();
            warn!(
                "cannot write {}: {error}; idle power is not kept",
                path.display()
            );
        }
        self.failing = written.is_err();
    }

    /// Whole or not at all, also when the power fails.
    fn write(&self, zones: &[ZoneState]) -> std::io::Result<()> {
        let zones = zones.iter().filter_map(|state| {
            Some(KeptZone {
                name: state.zone.name.clone(),
                source: state.zone.source.clone(),
                envelope: state.idle.learned()?.clone(),
            })
        });
        let zones = zones.chain(self.others.clone()).collect();
        let kept = Kept::new(self.machine.clone(), zones);
        self.write_new(&kept.to_json()?)?;
        fs::rename(self.new_path(), self.path())?;
        fs::File::open(&self.directory)?.sync_all()
    }

    fn write_new(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut new = fs::File::create(self.new_path())?;
        new.write_all(bytes)?;
        new.sync_all()
    }

    fn restore(&mut self, zones: &mut [ZoneState]) {
        self.restored = zones.len();
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.set_aside(&error.to_string()),
        };
        match Kept::from_json(&bytes, &self.machine) {
            Ok(kept) => self.others = give_back(kept.zones, zones),
            Err(reason) => self.set_aside(&reason),
        }
    }

    fn set_aside(&self, reason: &str) {
        let path = self.path();
        // What was set aside before may be what somebody wants back.
        let names = (1..BROKEN).map(|number| format!("{NAME}.broken.{number}"));
        let names = [format!("{NAME}.broken")].into_iter().chain(names);
        let mut places = names.map(|name| self.directory.join(name));
        let is_free = |place: &PathBuf| !place.exists();
        let broken = places
            .find(is_free)
            .unwrap_or_else(|| self.directory.join(format!("{NAME}.broken")));
        let moved = fs::rename(&path, &broken);
        let place = match moved {
            Ok(()) => format!("set aside as {}", broken.display()),
            Err(error) => format!("it could not be set aside either: {error}"),
        };
        let path = path.display();
        warn!("{path} is not used: {reason}; {place}; idle power is learned anew");
    }

    fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    fn new_path(&self) -> PathBuf {
        self.directory.join(format!("{NAME}.new"))
    }
}

/// Zones are known by their name and by where they are read. Returns what no zone takes that learns.
fn give_back(kept: Vec<KeptZone>, zones: &mut [ZoneState]) -> Vec<KeptZone> {
    let mut others = Vec::new();
    for old in kept {
        let is_it =
            |state: &&mut ZoneState| state.zone.name == old.name && state.zone.source == old.source;
        let found = zones.iter_mut().find(is_it);
        match found.filter(|state| state.idle.learned().is_some()) {
            Some(state) => state.idle.restore(old.envelope),
            None => others.push(old),
        }
    }
    // Those that were there last come first in the file.
    others.truncate(OTHERS);
    others
}

fn machine(config: &Config) -> Machine {
    let cpus = cpus(&config.proc_root.join("cpuinfo"));
    let field = |name| cpus.as_ref()?.get_field(0, name).map(str::to_owned);
    Machine {
        node: config.node_name.clone(),
        cpu: field("model name").unwrap_or_default(),
        threads: cpus.as_ref().map_or(0, CpuInfo::num_cores),
    }
}

fn cpus(path: &Path) -> Option<CpuInfo> {
    let file = fs::File::open(path).ok()?;
    CpuInfo::from_buf_read(std::io::BufReader::new(file)).ok()
}

#[cfg(test)]
mod tests;
