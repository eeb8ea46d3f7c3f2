//! Counts CPU time with eBPF as the agent does until its standard input ends, then prints the totals.
//!
//! Says `counting` once it does. The tests run it with fewer capabilities, the benches beside a load; with
//! `software`, three software events are counted in the place of hardware ones.

use std::io::{self, Read as _};
use std::path::Path;

use agent::cgroup::hierarchy::Hierarchies;
use agent::usage::Usage as _;
use agent::usage::ebpf::{Counters, EbpfUsage, Options};

fn main() -> anyhow::Result<()> {
    let software = std::env::args().any(|argument| argument == "software");
    let mut usage = EbpfUsage::load(&Options {
        counters: if software {
            Counters::Software
        } else {
            Counters::Hardware
        },
        v1_cgroups: Hierarchies::find(Path::new("/proc"), Path::new("/sys"))?
            .cpuacct
            .is_some(),
        ..Options::new(Path::new("/sys"))
    })?;
    println!("counting");
    io::stdin().read_to_end(&mut Vec::new())?;
    let interval = usage.read()?;
    let tasks_ns: u64 = interval.rows.iter().map(|row| row.cpu_ns).sum();
    println!(
        "rows {} tasks_ns {tasks_ns} idle_ns {} lost_ns {}",
        interval.rows.len(),
        interval
            .packages
            .iter()
            .map(|time| time.idle_ns)
            .sum::<u64>(),
        interval
            .packages
            .iter()
            .map(|time| time.lost_ns)
            .sum::<u64>()
    );
    Ok(())
}
