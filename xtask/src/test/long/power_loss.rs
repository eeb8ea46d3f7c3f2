//! A server whose machine loses its power while agents send to it: whatever it had acknowledged is in the ledger
//! when it comes back, and the ledger adds up.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Built, boot, image};
use crate::guest::{self, Image, Kernel, Machine};
use crate::install;
use crate::run::output;

/// Times that the power fails.
const FAILURES: u64 = 6;
/// The power fails after at least so many new batches,
const FEWEST: usize = 10;
/// and at most these more.
const SPREAD: usize = 60;
/// How many more batches each agent sends at last, when the power stays.
const AT_LAST: u64 = 10;
const DISK_BYTES: u64 = 256 << 20;

/// By node, the last batch that was acknowledged.
type Acknowledged = BTreeMap<String, u64>;

/// Installs what makes a file system.
///
/// # Errors
/// Where it is missing and cannot be installed.
pub(super) fn prerequisites() -> Result<()> {
    install::debian_program("mkfs.ext4", "e2fsprogs")
}

/// Lets the power fail again and again, and says what was acknowledged and found again.
///
/// # Errors
/// Where something acknowledged is gone, or the ledger does not add up.
pub(super) fn run(kernel: &Kernel, built: &Built) -> Result<String> {
    let disk = make_disk()?;
    let mut acknowledged = Acknowledged::new();
    let mut random = fastrand::Rng::new();
    println!("the power fails at moments by seed {}", random.get_seed());
    for failure in 0..FAILURES {
        let enough = FEWEST + random.usize(..SPREAD);
        let machine = machine(kernel, &disk);
        guest_image(built)?.write(&machine.initramfs()?)?;
        let reported = machine.run_and_kill(&|reported| new_batches(reported) >= enough)?;
        take(&mut acknowledged, &reported)
            .with_context(|| format!("after power failure {failure}"))?;
    }
    finish(kernel, built, &disk, &mut acknowledged)
}

/// The last boot, which comes to its end: all is there, and adds up to what the agents sent.
fn finish(
    kernel: &Kernel,
    built: &Built,
    disk: &Path,
    acknowledged: &mut Acknowledged,
) -> Result<String> {
    let last = acknowledged
        .values()
        .max()
        .context("nothing was acknowledged")?
        + AT_LAST;
    let append = format!("last={last}");
    let machine = Machine {
        append: &append,
        ..machine(kernel, disk)
    };
    let report = boot(&machine, guest_image(built)?)?;
    let before: u64 = acknowledged.values().sum();
    for section in ["before", "server"] {
        report.succeeded(section)?;
    }
    let sent = report.succeeded("sent")?;
    take(acknowledged, sent)?;
    let in_all = sent.lines().find_map(|line| line.strip_prefix("in all "));
    let in_all = in_all.context("the agents did not say what they sent in all")?;
    let after = report.succeeded("after")?;
    ensure!(
        after.contains(&format!(" {in_all}: ")),
        "the agents sent {in_all}, and the ledger says:\n{after}"
    );
    Ok(format!(
        "the power failed {FAILURES} times, {before} acknowledged batches were there each time; in all {in_all}"
    ))
}

fn machine<'a>(kernel: &'a Kernel, disk: &'a Path) -> Machine<'a> {
    Machine {
        name: "power-loss",
        kernel,
        sockets: 1,
        disk: Some(disk),
        append: "",
    }
}

fn guest_image(built: &Built) -> Result<Image> {
    let programs = built.server()?;
    let mut image = image("power-loss.round")?;
    image.file("bin/hxmlops", &programs.server)?;
    image.file("bin/simulated-agents", &programs.senders)?;
    Ok(image)
}

fn make_disk() -> Result<PathBuf> {
    let path = guest::directory().join("runs/power-loss.disk");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(DISK_BYTES)?;
    let mut mkfs = Command::new("mkfs.ext4");
    output(mkfs.args(["-q", "-F"]).arg(&path))?;
    Ok(path)
}

/// An answer to a batch: who sent it, its sequence, and whether it was new.
fn answer(line: &str) -> Option<(&str, u64, bool)> {
    let mut words = line.split(' ');
    let (node, sequence, written) = (words.next()?, words.next()?, words.next()?);
    let is_new = match written {
        "new" => true,
        "duplicate" => false,
        _ => return None,
    };
    Some((node, sequence.parse().ok()?, is_new))
}

/// Whole lines only: the last may have been cut off by the end of the power.
fn answers(reported: &str) -> impl Iterator<Item = (&str, u64, bool)> {
    let whole = reported.rfind('\n').map_or("", |end| &reported[..end]);
    whole.lines().filter_map(answer)
}

fn new_batches(reported: &str) -> usize {
    answers(reported).filter(|(.., is_new)| *is_new).count()
}

/// What was acknowledged in an earlier boot must be a duplicate in this one, whose answers count from now on.
fn take(acknowledged: &mut Acknowledged, reported: &str) -> Result<()> {
    for (node, sequence, is_new) in answers(reported) {
        let before = acknowledged.get(node).copied().unwrap_or_default();
        ensure!(
            sequence > before || !is_new,
            "batch {sequence} of {node} was acknowledged before and is gone"
        );
    }
    for (node, sequence, _) in answers(reported) {
        let last = acknowledged.entry(node.to_owned()).or_default();
        *last = sequence.max(*last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_must_come_back() {
        let mut acknowledged = Acknowledged::new();
        take(&mut acknowledged, "a 1 new\na 2 new\nb 1 new\nb 2 ne").unwrap();
        assert_eq!(
            acknowledged,
            BTreeMap::from([("a".into(), 2), ("b".into(), 1)])
        );
        let mut again = acknowledged.clone();
        // The second of b had been written, but the answer was never seen.
        take(
            &mut again,
            "a 1 duplicate\na 2 duplicate\nb 1 duplicate\nb 2 duplicate\na 3 new\n",
        )
        .unwrap();
        assert_eq!(again["a"], 3);
        let gone = take(&mut acknowledged, "a 1 duplicate\na 2 new\n").unwrap_err();
        assert!(gone.to_string().contains("batch 2 of a"), "{gone}");
        assert_eq!(
            new_batches("### begin sent\na 1 new\na 2 duplicate\na 3 new"),
            1
        );
    }
}
