//! The agent's eBPF programs in other kernels: its own tests, and what `--check` says there.

use anyhow::{Context as _, Result, ensure};

use super::{Built, boot, image};
use crate::guest::{Kernel, Machine, Report};

const FOUND: &str = "CPU time by eBPF: found";

/// Boots the kernel, runs the tests in it, and says how many passed.
///
/// # Errors
/// Where one fails, with what the tests printed.
pub(super) fn run(kernel: &Kernel, built: &Built) -> Result<String> {
    let programs = built.agent()?;
    let mut image = image("kernels.round")?;
    image.file("bin/hxmlops-agent", &programs.agent)?;
    // Where the tests look for it: beside their own directory.
    image.file("target/deps/ebpf", &programs.tests)?;
    image.file("target/examples/ebpf_usage", &programs.example)?;
    let machine = Machine {
        name: &kernel.release,
        kernel,
        sockets: 1,
        disk: None,
        append: "",
    };
    check(
        &boot(&machine, image)?,
        counts_maps_as_locked(&kernel.release),
    )
}

/// Kernels before 5.11 count maps as locked memory, and refuse those beyond a process's limit.
fn counts_maps_as_locked(release: &str) -> bool {
    release.starts_with("5.10.")
}

fn check(report: &Report, counts_maps_as_locked: bool) -> Result<String> {
    let nobody = if counts_maps_as_locked {
        "CPU time by eBPF: none: the maps need more locked memory than RLIMIT_MEMLOCK allows"
    } else {
        FOUND
    };
    for (name, expected) in [
        ("check-as-root", FOUND),
        ("check-as-nobody", nobody),
        ("check-with-memory", FOUND),
    ] {
        let said = report.succeeded(name)?;
        ensure!(
            said.contains(expected),
            "{name} does not say '{expected}':\n{said}"
        );
    }
    let passed = passed_in(report, "tests")? + passed_in(report, "compared")?;
    Ok(format!("{passed} tests"))
}

/// How many tests passed in a section: all that it ran, and not none.
fn passed_in(report: &Report, section: &str) -> Result<u32> {
    let printed = report.succeeded(section)?;
    let result = printed
        .lines()
        .find(|line| line.starts_with("test result: "));
    let passed = result.and_then(passed_tests);
    let passed = passed.with_context(|| format!("'{section}' printed no result:\n{printed}"))?;
    ensure!(passed > 0, "'{section}' ran no tests:\n{printed}");
    Ok(passed)
}

/// Of `test result: ok. 7 passed; 0 failed; ...`.
fn passed_tests(line: &str) -> Option<u32> {
    let (_, counts) = line.split_once(". ")?;
    counts.split_once(" passed")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::passed_tests;

    #[test]
    fn counts_the_tests_that_passed() {
        let line = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.84s";
        assert_eq!(passed_tests(line), Some(7));
        assert_eq!(passed_tests("test result: ok."), None);
    }
}
