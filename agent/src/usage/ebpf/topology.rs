//! Which CPUs there are, which are online, and in which package (socket) each is, as the kernel tells it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The node's CPUs.
#[derive(Debug)]
pub(super) struct Cpus {
    sys_root: PathBuf,
    possible: u32,
    online: Vec<u32>,
}

impl Cpus {
    /// Those of the running kernel; `sys_root` tells their packages alone.
    pub(super) fn find(sys_root: &Path) -> io::Result<Self> {
        let possible = aya::util::nr_cpus().map_err(|(path, error)| named(path, &error))?;
        let mut cpus = Self {
            sys_root: sys_root.to_path_buf(),
            possible: u32::try_from(possible).unwrap_or(u32::MAX),
            online: Vec::new(),
        };
        cpus.refresh()?;
        Ok(cpus)
    }

    /// Looks again which are online; true where these are others than before.
    pub(super) fn refresh(&mut self) -> io::Result<bool> {
        let online = aya::util::online_cpus().map_err(|(path, error)| named(path, &error))?;
        let changed = online != self.online;
        self.online = online;
        Ok(changed)
    }

    /// How many there may ever be.
    pub(super) fn possible(&self) -> u32 {
        self.possible
    }

    /// Numbers of those that are online.
    pub(super) fn online(&self) -> &[u32] {
        &self.online
    }

    /// A CPU's package: 0 where the kernel does not say, as in a machine that knows no packages.
    pub(super) fn package_of(&self, cpu: u32) -> u32 {
        let path = format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id");
        let text = fs::read_to_string(self.sys_root.join(path)).unwrap_or_default();
        // The kernel writes -1 for "unknown". A row's package has 16 bits.
        text.trim().parse::<u16>().map_or(0, u32::from)
    }
}

fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_package_and_takes_what_is_unknown_for_the_first() {
        let sys_root = tempfile::tempdir().unwrap();
        for (cpu, text) in ["0\n", "1\n", "-1\n", "many"].iter().enumerate() {
            let name = format!("devices/system/cpu/cpu{cpu}/topology");
            let directory = sys_root.path().join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("physical_package_id"), text).unwrap();
        }
        let cpus = Cpus::find(sys_root.path()).unwrap();
        let packages = (0..5).map(|cpu| cpus.package_of(cpu));
        assert_eq!(packages.collect::<Vec<_>>(), [0, 1, 0, 0, 0]);
        assert!(!cpus.online().is_empty() && cpus.possible() > 0);
    }
}
