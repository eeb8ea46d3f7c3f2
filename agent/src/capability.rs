//! Which of the kernel's capabilities this process has, as `/proc/PID/status` tells it.

use std::fmt;

/// One capability. The numbers are those of the kernel's `include/uapi/linux/capability.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `CAP_SYS_ADMIN`; contains `CAP_BPF` and `CAP_PERFMON`.
    SysAdmin = 21,
    /// `CAP_PERFMON`: observe the whole machine.
    Perfmon = 38,
    /// `CAP_BPF`: load eBPF programs.
    Bpf = 39,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        })
    }
}

/// The capabilities that are in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// From the text of `/proc/PID/status`; `None` when it has no readable `CapEff` line.
    #[must_use]
    pub fn from_status(status: &str) -> Option<Self> {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }

    /// Whether a capability is there, by itself or by one that contains it.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        let by_itself = self.bit(capability);
        match capability {
            Capability::Bpf | Capability::Perfmon => by_itself || self.bit(Capability::SysAdmin),
            Capability::SysAdmin => by_itself,
        }
    }

    /// Those of `needed` that are not there, in that order.
    #[must_use]
    pub fn missing(self, needed: &[Capability]) -> Vec<Capability> {
        let mut missing = needed.to_vec();
        missing.retain(|capability| !self.has(*capability));
        missing
    }

    fn bit(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        const BOTH: &[Capability] = &[Capability::Bpf, Capability::Perfmon];
        for (mask, missing) in [
            ("000001ffffffffff", &[][..]),
            ("0000000000000000", BOTH),
            // CAP_SYS_ADMIN alone.
            ("0000000000200000", &[]),
            ("0000008000000000", &[Capability::Perfmon]),
            ("0000004000000000", &[Capability::Bpf]),
            ("000000c000000000", &[]),
        ] {
            let status = format!("Name:\tagent\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask}\n");
            let capabilities = Capabilities::from_status(&status).unwrap();
            assert_eq!(capabilities.missing(BOTH), missing, "{mask}");
        }
    }

    #[test]
    fn a_status_without_the_line_is_no_answer() {
        for status in ["", "CapPrm:\t00\n", "CapEff:\tlots\n", "CapEff:\n"] {
            assert_eq!(Capabilities::from_status(status), None, "{status:?}");
        }
    }
}
