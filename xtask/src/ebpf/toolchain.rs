//! What can build for the kernel: Debian's compiler, or a nightly one from rustup; and `bpf-linker`.
//!
//! The target has no ready-made `core`, so that its sources are needed, and building it is an unstable
//! option of Cargo: Debian's stable compiler takes that with `RUSTC_BOOTSTRAP`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::install;
use crate::run::answer;
use crate::workspace;

/// What to do where there is none.
pub(crate) const ADVICE: &str = "run `cargo xtask ebpf --install` as root on Debian; elsewhere `rustup toolchain install nightly --component rust-src` and `cargo install bpf-linker`";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev"];
const LINKER: &str = "bpf-linker";
const LINKER_VERSION: &str = "0.13.0";
/// Type information for the kernel, and no unwinding, which it does not have.
const RUSTFLAGS: &str = "-C debuginfo=2 -C link-arg=--btf -C panic=abort";

/// A compiler that can build for the kernel; `bpf-linker` is there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// Debian's packages.
    Debian,
    /// rustup's nightly.
    Nightly,
}

impl Toolchain {
    /// Its Cargo, set up for the kernel's target.
    pub(crate) fn cargo(self) -> Command {
        let mut command = match self {
            Self::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                command
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1");
                command
            }
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command
                    .args(["run", "nightly", "cargo"])
                    .env_remove("RUSTC");
                command
            }
        };
        command
            .env("PATH", workspace::path_with_tools())
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", RUSTFLAGS)
            // Either would be taken instead of the flags above.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    fn is_there(self) -> bool {
        match self {
            Self::Debian => can_build(|arguments| {
                Path::new(DEBIAN_CARGO).exists().then_some(())?;
                answer(DEBIAN_RUSTC, arguments)
            }),
            Self::Nightly => can_build(|arguments| {
                let run = ["run", "nightly", "rustc"];
                answer("rustup", &[&run, arguments].concat())
            }),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian's rustc",
            Self::Nightly => "rustup's nightly",
        })
    }
}

/// The first toolchain that is complete.
pub(crate) fn find() -> Option<Toolchain> {
    has_linker().then_some(())?;
    let mut all = [Toolchain::Debian, Toolchain::Nightly].into_iter();
    all.find(|toolchain| toolchain.is_there())
}

/// Installs what is missing of Debian's.
///
/// # Errors
/// Where this is not root or not a Debian, and where an installation fails.
pub(crate) fn install() -> Result<()> {
    install::debian_packages(DEBIAN_PACKAGES)?;
    if has_linker() {
        return Ok(());
    }
    install::from_crates_io(LINKER, LINKER_VERSION, |cargo| {
        let llvm = Path::new(DEBIAN_LLVM);
        cargo
            .args(["--no-default-features", "--features", "llvm-22"])
            .env("PATH", workspace::path_with(&llvm.join("bin")))
            .env("LLVM_PREFIX", llvm)
            .env("RUSTFLAGS", format!("-L {DEBIAN_LLVM}/lib"));
    })
}

/// LLVM's disassembler: the one of the same version as the linker, else the one in PATH.
pub(crate) fn llvm_objdump() -> Option<PathBuf> {
    let debian = Path::new(DEBIAN_LLVM).join("bin/llvm-objdump");
    if debian.is_file() {
        return Some(debian);
    }
    workspace::tool("llvm-objdump")
}

/// A linker that cannot find its LLVM is none.
fn has_linker() -> bool {
    let linker = workspace::tool(LINKER);
    linker.is_some_and(|path| answer(path, &["--version"]).is_some())
}

/// Whether a compiler is new enough and has the sources of `core`.
fn can_build(ask: impl Fn(&[&str]) -> Option<String>) -> bool {
    let version = ask(&["--version"]);
    let is_new_enough = version.is_some_and(|text| is_new_enough(&text));
    is_new_enough
        && ask(&["--print", "sysroot"]).is_some_and(|root| {
            Path::new(&root)
                .join("lib/rustlib/src/rust/library/core")
                .exists()
        })
}

/// Whether `rustc --version` is at least what the workspace asks for.
pub(crate) fn is_new_enough(version: &str) -> bool {
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    parts(number) >= parts(env!("CARGO_PKG_RUST_VERSION"))
}

fn parts(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn old_compilers_are_no_toolchain() {
        for (version, expected) in [
            (
                "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)",
                true,
            ),
            ("rustc 1.95.0-nightly (59807616e 2026-02-14)", true),
            ("rustc 2.0.0", true),
            ("rustc 1.85.0 (4d91de4e4 2025-02-17)", false),
            ("rustc", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
