//! The machine that a figure holds for.

use std::fs;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};

/// What a reader needs to compare figures of two machines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Machine {
    cpu_model: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
    os: String,
}

impl Machine {
    /// This machine; what it does not tell is `unknown`.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(crate) fn this() -> Result<Self> {
        let read =
            |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let unknown = || "unknown".to_owned();
        let memory = read("/proc/meminfo")?;
        Ok(Self {
            cpu_model: value(&read("/proc/cpuinfo")?, "model name", ':').unwrap_or_else(unknown),
            cores: available_parallelism().map_or(1, usize::from),
            memory_bytes: value(&memory, "MemTotal", ':')
                .and_then(|kib| bytes(&kib))
                .unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            os: value(
                &read("/etc/os-release").unwrap_or_default(),
                "PRETTY_NAME",
                '=',
            )
            .unwrap_or_else(unknown),
        })
    }
}

/// The first `key<separator>value` of a text, without quotes.
fn value(text: &str, key: &str, separator: char) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// From `/proc/meminfo`'s `4030120 kB`.
fn bytes(kib: &str) -> Option<u64> {
    let number: u64 = kib.strip_suffix(" kB")?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_and_the_distribution_write() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nmodel name\t: other\n";
        assert_eq!(
            value(cpuinfo, "model name", ':').unwrap(),
            "Some CPU @ 2.00GHz"
        );
        let release = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian 12 (bookworm)\"\n";
        assert_eq!(
            value(release, "PRETTY_NAME", '=').unwrap(),
            "Debian 12 (bookworm)"
        );
        assert_eq!(value("", "MemTotal", ':'), None);
        assert_eq!(bytes("4030120 kB"), Some(4_126_842_880));
        assert_eq!(bytes("many"), None);
    }
}
