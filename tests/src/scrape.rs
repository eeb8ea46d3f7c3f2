//! /metrics, as those read it who scrape it.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::block_on;

/// A GET request; the body, whatever the status, beside it.
///
/// # Errors
/// Where nobody answers.
pub fn get(url: &str) -> anyhow::Result<(u16, String)> {
    crate::install_crypto();
    block_on(async {
        let response = reqwest::get(url).await?;
        Ok((response.status().as_u16(), response.text().await?))
    })
}

/// What `promtool check metrics` has to say; it must be nothing.
///
/// # Errors
/// Where it says something, or is not there (Debian: package prometheus).
pub fn check_metrics(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run promtool; it is in Debian's package prometheus")?;
    promtool
        .stdin
        .take()
        .context("promtool reads its input")?
        .write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        output.status.success() && said.is_empty(),
        "promtool: {}: {said}",
        output.status
    );
    Ok(())
}

/// The value of the one series of a metric that has all these labels.
///
/// # Errors
/// Where there is none.
pub fn metric(text: &str, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
    let is_it = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    };
    let line = text
        .lines()
        .find(is_it)
        .with_context(|| format!("no series {name} {labels:?} in\n{text}"))?;
    let value = line.rsplit(' ').next().context("a series has a value")?;
    Ok(value.parse()?)
}

/// The sum of all series of a metric that have all these labels; 0 where there is none.
#[must_use]
pub fn metric_sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let of_metric = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    of_metric
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
