//! Other kernels, each in a machine of its own under QEMU: Debian's packages, a root made of a few programs,
//! and what the guest reports. Everything is kept below target/guest.

mod image;
mod kernel;
mod machine;
mod programs;
mod report;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub(crate) use self::image::Image;
pub(crate) use self::kernel::{Kernel, Series};
pub(crate) use self::machine::Machine;
pub(crate) use self::programs::{Programs, ServerPrograms};
pub(crate) use self::report::Report;

use crate::{install, workspace};

/// Installs what running a guest needs.
///
/// # Errors
/// Where this is no x86-64 machine, or something is missing and cannot be installed.
pub(crate) fn prerequisites() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the guests are x86-64 and take this machine's programs: run it on x86-64");
    }
    install::debian_program("qemu-system-x86_64", "qemu-system-x86")?;
    install::debian_program("busybox", "busybox-static")?;
    // What unpacks Debian's packages, and the programs that go into the guest beside busybox.
    for (program, package) in [
        ("dpkg-deb", "dpkg"),
        ("setpriv", "util-linux"),
        ("dash", "dash"),
    ] {
        install::debian_program(program, package)?;
    }
    Ok(())
}

/// Where everything of the guests is kept.
pub(crate) fn directory() -> PathBuf {
    workspace::target().join("guest")
}
