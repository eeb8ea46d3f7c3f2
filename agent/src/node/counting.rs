//! Who counts CPU time on this node, why not somebody better, and whether the count adds up.

use std::sync::Arc;

use anyhow::Context;
use tracing::{error, warn};

use crate::cgroup::hierarchy::Hierarchies;
use crate::cgroup::watch::{CgroupWatch, Purpose};
use crate::config::{Config, UsageSource};
use crate::usage::accounting::Accounting;
use crate::usage::ebpf::{EbpfUsage, Options};
use crate::usage::{Usage, UsageInterval};

/// After a read that failed: eBPF's may already have begun the next window, which is then the long one.
const LATE_READS: u32 = 2;

/// The chosen counter of CPU time.
pub struct Counting {
    usage: Box<dyn Usage>,
    /// Why eBPF does not count, where it was wanted.
    without_ebpf: Option<String>,
    failing: bool,
    /// Reads to come that may be of more than their interval.
    late: u32,
    sums: CpuSums,
}

/// CPU time since the start, all CPUs together; with eBPF the first three are the time that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSums {
    /// Of processes.
    pub tasks_ns: u64,
    /// Of nobody.
    pub idle_ns: u64,
    /// Of processes for which there was no room.
    pub lost_ns: u64,
    /// By how much the others fail to add up: 0 unless the counter is wrong.
    pub unaccounted_ns: u64,
}

impl Counting {
    /// Chooses as `--usage` says; the cgroups are watched for what the counter does not tell itself.
    ///
    /// # Errors
    /// Where CPU time cannot be counted in the way that was asked for, or in no way.
    pub(super) fn find(
        config: &Config,
        hierarchies: Hierarchies,
    ) -> anyhow::Result<(Self, Arc<CgroupWatch>)> {
        let mut without_ebpf = None;
        if config.usage != UsageSource::Accounting {
            let options = Options {
                v1_cgroups: hierarchies.cpuacct.is_some(),
                ..Options::new(&config.sys_root)
            };
            match EbpfUsage::load(&options) {
                Ok(ebpf) => {
                    let flush = ebpf.flush();
                    let on_move = Arc::new(move || flush.after_move());
                    let cgroups =
                        CgroupWatch::start_telling(hierarchies, Purpose::NamesAndMoves, on_move);
                    return Ok((Self::new(Box::new(ebpf), None), Arc::new(cgroups)));
                }
                Err(error) if config.usage == UsageSource::Ebpf => {
                    return Err(error).context("--usage ebpf");
                }
                Err(error) => {
                    warn!(
                        "no eBPF: {error}; CPU time comes from cgroup accounting and /proc, which misses short processes"
                    );
                    without_ebpf = Some(error.to_string());
                }
            }
        }
        let accounting = Accounting::new(&config.proc_root, hierarchies)?;
        let cgroups = accounting.cgroups();
        Ok((Self::new(Box::new(accounting), without_ebpf), cgroups))
    }

    fn new(usage: Box<dyn Usage>, without_ebpf: Option<String>) -> Self {
        Self {
            usage,
            without_ebpf,
            failing: false,
            late: 0,
            sums: CpuSums::default(),
        }
    }

    /// As `--usage` names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.usage.name()
    }

    /// What it counts and what it could not, or why eBPF does not count; as `--check` says it.
    #[must_use]
    pub fn detail(&self) -> String {
        let detail = || self.usage.detail();
        self.without_ebpf.clone().unwrap_or_else(detail)
    }

    /// CPU time since the start.
    #[must_use]
    pub fn sums(&self) -> CpuSums {
        self.sums
    }

    /// CPU time since the last call; nothing where it cannot be read, so that all energy is the system's.
    pub(super) fn read(&mut self) -> UsageInterval {
        let usage = self.usage.read();
        if let Err(error) = &usage
            && !self.failing
        {
            warn!("{error}; until it can, all active energy is booked to the system");
        }
        self.failing = usage.is_err();
        if self.failing {
            self.late = LATE_READS;
            return UsageInterval::default();
        }
        let mut usage = usage.unwrap_or_default();
        usage.is_late = self.late > 0;
        self.late = self.late.saturating_sub(1);
        if usage.unaccounted_ns > 0 && self.sums.unaccounted_ns == 0 {
            error!(
                "{} ns of CPU time do not add up; see hxmlops_agent_cpu_seconds_total, and report this",
                usage.unaccounted_ns
            );
        }
        self.sums.add(&usage);
        usage
    }
}

impl CpuSums {
    fn add(&mut self, usage: &UsageInterval) {
        self.tasks_ns += usage.rows.iter().map(|row| row.cpu_ns).sum::<u64>();
        for time in &usage.packages {
            self.idle_ns += time.idle_ns;
            self.lost_ns += time.lost_ns;
        }
        self.unaccounted_ns += usage.unaccounted_ns;
    }
}
