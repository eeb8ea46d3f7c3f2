//! A powercap tree as the kernel lays it out, with counters that the test turns.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A tree below a temporary sysfs root.
pub struct Tree {
    root: TempDir,
}

impl Tree {
    /// Zones as (directory, name, counter, range), such as `("intel-rapl:0:0", "dram", 5, 1000)`.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn new(zones: &[(&str, &str, u64, u64)]) -> anyhow::Result<Self> {
        let tree = Self {
            root: tempfile::tempdir()?,
        };
        for (directory, name, counter_uj, range_uj) in zones {
            let zone = tree.zone(directory);
            fs::create_dir_all(&zone)?;
            fs::write(zone.join("name"), format!("{name}\n"))?;
            fs::write(zone.join("max_energy_range_uj"), format!("{range_uj}\n"))?;
            tree.set(directory, *counter_uj)?;
        }
        link_btf(tree.root())?;
        Ok(tree)
    }

    /// The sysfs root.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Turns a counter. A reader sees the old or the new number, as it would the kernel's.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set(&self, directory: &str, counter_uj: u64) -> anyhow::Result<()> {
        let zone = self.zone(directory);
        let new = zone.join("energy_uj.new");
        fs::write(&new, format!("{counter_uj}\n"))?;
        Ok(fs::rename(new, zone.join("energy_uj"))?)
    }

    fn zone(&self, directory: &str) -> PathBuf {
        self.root.path().join("class/powercap").join(directory)
    }
}

/// Puts into a sysfs of one's own where the running kernel tells of its types: without it the agent counts as it does on
/// a kernel that does not tell.
///
/// # Errors
/// Where it cannot be written.
pub fn link_btf(sys_root: &Path) -> io::Result<()> {
    let kernel = sys_root.join("kernel");
    fs::create_dir_all(&kernel)?;
    symlink("/sys/kernel/btf", kernel.join("btf"))
}
