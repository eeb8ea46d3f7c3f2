//! Thousands of processes of `true`: how much of what their cgroup used is found.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::interrupt::Process;
use super::site::Site;
use crate::metric_sum;

/// As it is printed.
pub const NAME: &str = "5,000 processes of true";

const RUNS: usize = 5;
const SCRIPT: &str = "i=0; while [ $i -lt 5000 ]; do /bin/true; i=$((i+1)); done";

/// The agent's CPU time of a cgroup over the cgroup's own, in percent, in each run.
///
/// # Errors
/// Where a program or a cgroup fails.
pub fn measure(site: &mut Site) -> anyhow::Result<Value> {
    let mut shares = Vec::new();
    for run in 0..RUNS {
        let stage = format!("true-{run}");
        let group = site.group(&stage)?;
        let cgroup = group.cgroup.as_ref().context("it has not ended")?;
        let mut shell = cgroup.command(Path::new("sh"));
        Process(shell.args(["-c", SCRIPT]).spawn()?).wait()?;
        let after = site.aligned()?;
        let labels = [
            format!("pod=\"{}\"", site.run()),
            format!("stage=\"{stage}\""),
        ];
        let labels = labels.each_ref().map(String::as_str);
        let found = metric_sum(&after.metrics, "hxmlops_pod_cpu_seconds_total", &labels);
        shares.push(found / (cgroup.cpu_ns()? as f64 / 1e9) * 100.0);
    }
    eprintln!("{}: {NAME}: {shares:.1?} % found", site.usage());
    Ok(json!({"usage": site.usage(), "workload": NAME, "found_percent": shares}))
}
