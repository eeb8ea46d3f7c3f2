//! Which package (socket) each CPU is in, as sysfs tells it.

use std::fs;
use std::path::Path;

/// A CPU's package: 0 where the kernel does not say, as for a CPU that is offline or in a machine that
/// knows no packages.
pub(super) fn package_of(sys_root: &Path, cpu: usize) -> u64 {
    let path = format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id");
    let text = fs::read_to_string(sys_root.join(path)).unwrap_or_default();
    // The kernel writes -1 for "unknown". A row's package has 16 bits.
    text.trim().parse::<u16>().map_or(0, u64::from)
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
        let packages = (0..5).map(|cpu| package_of(sys_root.path(), cpu));
        assert_eq!(packages.collect::<Vec<_>>(), [0, 1, 0, 0, 0]);
    }
}
