//! Counts CPU time with eBPF until its standard input ends, then prints the totals.
//!
//! Says `counting` once it does. The tests run it with fewer capabilities, the benches beside a load.

use std::io::{self, Read as _};
use std::path::Path;

use agent::usage::Usage as _;
use agent::usage::ebpf::{EbpfUsage, Options};

fn main() -> anyhow::Result<()> {
    let mut usage = EbpfUsage::load(&Options {
        v1_cgroups: std::env::args().any(|argument| argument == "--v1"),
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
