//! Which instructions of the kernel side old kernels do not have.

use anyhow::{Result, bail};

/// The lines of a disassembly (`llvm-objdump -d`) that kernels before 5.12 refuse: atomic operations other
/// than an addition whose result nobody reads. LLVM makes them of what looks like an addition.
///
/// # Errors
/// Where the text is no disassembly of ours: then nothing has been checked.
pub(crate) fn refused(disassembly: &str) -> Result<Vec<&str>> {
    if !disassembly.lines().any(is_atomic) {
        bail!("the disassembly has no atomic addition, which every build of ours has");
    }
    let lines = disassembly.lines().map(str::trim);
    Ok(lines
        .filter(|line| is_atomic(line) && !is_plain_addition(line))
        .collect())
}

fn is_atomic(line: &str) -> bool {
    ["lock ", "atomic_", "xchg", "cmpxchg"]
        .iter()
        .any(|name| line.contains(name))
}

fn is_plain_addition(line: &str) -> bool {
    line.contains("lock *(") && line.contains(" += ")
}

#[cfg(test)]
mod tests {
    use super::refused;

    const ADDITION: &str = "      56:\tdb 90 00 00 00 00 00 00\tlock *(u64 *)(r0 + 0) += r9";

    #[test]
    fn only_plain_additions_pass() {
        for (line, expected) in [
            ("exit", 0),
            (ADDITION, 0),
            ("lock *(u64 *)(r0 + 0) |= r1", 1),
            ("r1 = atomic_fetch_add((u64 *)(r0 + 0), r1)", 1),
            ("r0 = cmpxchg_64(r1 + 0, r0, r2)", 1),
        ] {
            let text = format!("<switch>:\n{ADDITION}\n{line}\n");
            assert_eq!(refused(&text).unwrap().len(), expected, "{line}");
        }
    }

    #[test]
    fn a_text_without_additions_was_not_checked() {
        assert!(refused("file format elf64-bpf\n<switch>:\nexit\n").is_err());
    }
}
