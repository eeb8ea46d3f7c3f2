//! What the agent needs beside itself: the C library, as the loader looks for it, and as NVIDIA's runtime does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::debian::Package;
use super::tree::Tree;
use crate::run::output;

/// Where Debian has libraries, and where its loader looks without being told.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
/// All that is needed. The last three have been empty since glibc 2.34; NVIDIA's driver was linked to an older one.
const FILES: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
];
/// Other names of that directory. The loader is a program's /lib64/ld-linux-x86-64.so.2; and a driver that is mounted
/// at /usr/lib64, where other distributions have it, is then where the loader looks.
const LINKS: &[(&str, &str)] = &[
    ("/lib", "usr/lib"),
    ("/lib64", "usr/lib64"),
    ("/usr/lib64", "lib/x86_64-linux-gnu"),
];
/// NVIDIA's libnvidia-container mounts the driver into Debian's directory where this file is (`copy_config` of its
/// src/nvc_container.c).
const MARK: &str = "/etc/debian_version";

/// Puts the libraries into the image.
///
/// # Errors
/// Where one is not there, or the program needs more than these.
pub(super) fn put_libraries(tree: &mut Tree, program: &Path) -> Result<()> {
    for needed in needed(program)? {
        ensure!(
            FILES.contains(&&needed[..]),
            "{} needs {needed}: add it to FILES in xtask/src/image/agent.rs",
            program.display()
        );
    }
    let mut packages = BTreeSet::new();
    for name in FILES {
        let file = Path::new(LIBRARIES).join(name);
        packages.insert(Package::of(&file)?);
        tree.put(&file, &format!("{LIBRARIES}/{name}"), 0o755)?;
    }
    for (place, to) in LINKS {
        tree.link(place, to)?;
    }
    tree.put(Path::new(MARK), MARK, 0o644)?;
    tree.credit(packages.into_iter().collect())
}

/// The libraries that a program names.
fn needed(program: &Path) -> Result<Vec<String>> {
    let text = output(
        Command::new("readelf")
            .args(["--dynamic", "--wide"])
            .arg(program),
    )?;
    Ok(parse_needed(&text))
}

/// From `readelf --dynamic`: ` 0x...1 (NEEDED)  Shared library: [libc.so.6]`.
fn parse_needed(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.contains("(NEEDED)"));
    let names = lines.filter_map(|line| line.split_once('[')?.1.strip_suffix(']'));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_libraries_are_read() {
        let text = "
Dynamic section at offset 0x1 contains 32 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000c (INIT)               0x5000
 0x000000000000000e (SONAME)             Library soname: [libx.so]
";
        assert_eq!(parse_needed(text), ["libgcc_s.so.1", "libc.so.6"]);
        assert_eq!(parse_needed("There is no dynamic section"), [""; 0]);
    }
}
