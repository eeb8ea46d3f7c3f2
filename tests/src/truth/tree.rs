//! The files of a powercap tree. A reader sees the old or the new number, as it would the kernel's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::command::ZoneLine;
use super::counter::{Counter, Files};
use crate::powercap::link_btf;

/// The tree below a directory that stands in for /sys.
#[derive(Debug)]
pub struct Tree {
    powercap: PathBuf,
    /// Where zones are that vanished.
    away: PathBuf,
}

impl Tree {
    /// Lays out the zones and the CPUs' packages, beside what the running kernel tells of its types.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn new<'a>(
        sys_root: &Path,
        zones: impl Iterator<Item = &'a ZoneLine>,
        cpus: impl Iterator<Item = (usize, usize)>,
    ) -> io::Result<Self> {
        let tree = Self {
            powercap: sys_root.join("class/powercap"),
            away: sys_root.join("away"),
        };
        fs::create_dir_all(&tree.away)?;
        for zone in zones {
            let directory = tree.powercap.join(&zone.directory);
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("name"), format!("{}\n", zone.name))?;
            write(&directory, "max_energy_range_uj", zone.range_uj)?;
            write(&directory, "energy_uj", 0)?;
        }
        for (cpu, package) in cpus {
            let name = format!("devices/system/cpu/cpu{cpu}/topology");
            let directory = sys_root.join(name);
            fs::create_dir_all(&directory)?;
            fs::write(
                directory.join("physical_package_id"),
                format!("{package}\n"),
            )?;
        }
        link_btf(sys_root)?;
        Ok(tree)
    }

    /// Shows what a zone's counter says now.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn show(&self, zone: &str, counter: &Counter, total_uj: u64) -> io::Result<()> {
        if counter.files != Files::There {
            return Ok(());
        }
        let directory = self.powercap.join(zone);
        write(&directory, "energy_uj", counter.shown_uj(total_uj))
    }

    /// Makes a zone's files as its counter has them, after something happened to it.
    ///
    /// # Errors
    /// Where they cannot be made so.
    pub fn change(&self, zone: &str, counter: &Counter, total_uj: u64) -> io::Result<()> {
        let (here, away) = (self.powercap.join(zone), self.away.join(zone));
        if away.exists() {
            fs::rename(&away, &here)?;
        }
        let energy = here.join("energy_uj");
        if energy.is_dir() {
            fs::remove_dir(&energy)?;
        }
        write(&here, "max_energy_range_uj", counter.told_range_uj())?;
        write(&here, "energy_uj", counter.shown_uj(total_uj))?;
        match counter.files {
            Files::There => Ok(()),
            Files::Vanished => fs::rename(&here, &away),
            Files::Unreadable => {
                fs::remove_file(&energy)?;
                fs::create_dir(&energy)
            }
        }
    }
}

fn write(directory: &Path, file: &str, number: u64) -> io::Result<()> {
    let new = directory.join("new");
    fs::write(&new, format!("{number}\n"))?;
    fs::rename(new, directory.join(file))
}
