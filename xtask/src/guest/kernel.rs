//! One of Debian's kernels, unpacked: its image, its modules and, where they are needed, its headers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::directory;
use crate::install::{Archive, Lists};

/// What always depends on the newest ABI's package.
const NEWEST: &str = "linux-image-cloud-amd64";
const IMAGE: &str = "linux-image-";

/// A series of kernels that one release of Debian has.
pub(crate) struct Series {
    /// The release of Debian: bullseye, bookworm, trixie.
    pub(crate) debian: &'static str,
    /// The kernel's release that was last seen to work. Once the archive has it no more, the newest is
    /// taken instead.
    pub(crate) pinned: &'static str,
    /// Its headers are needed too: a module is built against them.
    pub(crate) with_headers: bool,
}

/// An unpacked kernel.
pub(crate) struct Kernel {
    /// As its `uname -r` says.
    pub(crate) release: String,
    directory: PathBuf,
}

impl Series {
    /// Its kernel, downloaded where it is not there yet.
    ///
    /// # Errors
    /// Where the download fails; the error names the URL.
    pub(crate) fn kernel(&self) -> Result<Kernel> {
        let pinned = kernel_at(self.pinned);
        if pinned.directory.is_dir() {
            return Ok(pinned);
        }
        let lists = directory().join("apt").join(self.debian);
        let archive = Archive::open(self.debian, Lists::Binary, &lists)?;
        let mut release = self.pinned.to_owned();
        if !packages(&release, self.with_headers)
            .iter()
            .all(|package| archive.has(package))
        {
            let newest = archive.depends(NEWEST)?;
            println!("{IMAGE}{release} is gone from the archive: taking {newest}");
            let of_image = newest.strip_prefix(IMAGE);
            release = of_image.context("it is no kernel's image")?.to_owned();
        }
        let kernel = kernel_at(&release);
        if !kernel.directory.is_dir() {
            unpack(&archive, &release, self.with_headers, &kernel.directory)?;
        }
        // A hundred megabytes of which a few lines were needed.
        fs::remove_dir_all(&lists).with_context(|| format!("cannot remove {}", lists.display()))?;
        Ok(kernel)
    }
}

impl Kernel {
    /// What QEMU boots.
    pub(crate) fn image(&self) -> PathBuf {
        self.directory
            .join("boot/vmlinuz-".to_owned() + &self.release)
    }

    /// A module that came with it, by its path below `kernel/`, such as `drivers/powercap/intel_rapl_common.ko`.
    pub(crate) fn module(&self, path: &str) -> PathBuf {
        let modules = self.directory.join("lib/modules").join(&self.release);
        modules.join("kernel").join(path)
    }

    /// Where `make -C` builds modules for it; made to work where the headers were unpacked.
    ///
    /// # Errors
    /// Where the headers are not there or cannot be written to.
    pub(crate) fn headers(&self) -> Result<PathBuf> {
        let sources = self.directory.join("usr/src");
        let headers = sources.join(format!("linux-headers-{}", self.release));
        let common = sources.join(common_headers(&self.release)).join("Makefile");
        ensure!(common.is_file(), "{} is missing", common.display());
        // The package's own names the place where the package manager would put it.
        let makefile = headers.join("Makefile");
        fs::write(&makefile, format!("include {}\n", common.display()))
            .with_context(|| format!("cannot write {}", makefile.display()))?;
        Ok(headers)
    }
}

fn kernel_at(release: &str) -> Kernel {
    Kernel {
        release: release.to_owned(),
        directory: directory().join(format!("kernels/{release}")),
    }
}

/// Into a directory that gets its name when it is whole.
fn unpack(archive: &Archive, release: &str, with_headers: bool, into: &Path) -> Result<()> {
    let unfinished = into.with_file_name("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)?;
    for package in packages(release, with_headers) {
        archive.unpack(&package, &unfinished)?;
    }
    fs::rename(&unfinished, into).with_context(|| format!("cannot make {}", into.display()))
}

fn packages(release: &str, with_headers: bool) -> Vec<String> {
    let mut packages = vec![format!("{IMAGE}{release}")];
    if with_headers {
        packages.push(format!("linux-headers-{release}"));
        packages.push(common_headers(release));
        packages.push(format!("linux-kbuild-{}", series(release)));
    }
    packages
}

/// `linux-headers-6.1.0-56-common` of `6.1.0-56-cloud-amd64`.
fn common_headers(release: &str) -> String {
    let abi = release.trim_end_matches("-cloud-amd64");
    format!("linux-headers-{abi}-common")
}

/// `6.1` of `6.1.0-56-cloud-amd64`.
fn series(release: &str) -> &str {
    let end = release.match_indices('.').nth(1);
    end.map_or(release, |(end, _)| &release[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_after_the_release() {
        assert_eq!(
            packages("6.1.0-56-cloud-amd64", true),
            [
                "linux-image-6.1.0-56-cloud-amd64",
                "linux-headers-6.1.0-56-cloud-amd64",
                "linux-headers-6.1.0-56-common",
                "linux-kbuild-6.1",
            ]
        );
        assert_eq!(
            packages("6.12.117+deb13-cloud-amd64", false),
            ["linux-image-6.12.117+deb13-cloud-amd64"]
        );
    }
}
