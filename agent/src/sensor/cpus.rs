//! The machine's CPUs, as far as their energy registers ask: vendor and model.

use procfs_core::CpuInfo;

/// Who made a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD, and Hygon, whose CPUs are AMD's.
    Amd,
    /// Somebody else.
    Other,
}

/// What kind of CPU the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Who made it.
    pub vendor: Vendor,
    /// Its family, as CPUID tells it.
    pub family: u32,
    /// Its model within the family.
    pub model: u32,
}

impl Cpu {
    /// From `/proc/cpuinfo`, of the first CPU: all of a machine are of one kind.
    #[must_use]
    pub fn of(cpus: &CpuInfo) -> Self {
        let field = |name| cpus.get_field(0, name).unwrap_or_default();
        let number = |name| field(name).parse().unwrap_or_default();
        Self {
            vendor: match field("vendor_id") {
                "GenuineIntel" => Vendor::Intel,
                "AuthenticAMD" | "HygonGenuine" => Vendor::Amd,
                _ => Vendor::Other,
            },
            family: number("cpu family"),
            model: number("model"),
        }
    }
}
