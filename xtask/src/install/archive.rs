//! Debian's archive for a release that need not be this machine's: apt with a configuration of its own,
//! which verifies the archive's signatures and leaves the machine's own sources and lists alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::output;

const MIRROR: &str = "http://deb.debian.org";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What of the archive is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Packages.
    Binary,
    /// Packages, and what they are built from.
    BinaryAndSource,
}

/// One release's packages, as the archive has them today.
pub(crate) struct Archive {
    configuration: PathBuf,
}

impl Archive {
    /// Downloads the lists of `release` (bookworm, ...) and keeps them below `directory`.
    ///
    /// # Errors
    /// Where the archive cannot be reached or its signature does not hold; the error names the URL.
    pub(crate) fn open(release: &str, lists: Lists, directory: &Path) -> Result<Self> {
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} is missing: install debian-archive-keyring");
        }
        let configuration = directory.join("apt.conf");
        write_configuration(release, lists, directory, &configuration)
            .with_context(|| format!("cannot write {}", directory.display()))?;
        let archive = Self { configuration };
        println!("downloading the package lists of Debian's {release} from {MIRROR}");
        let update = output(
            archive
                .apt("apt-get")
                .args(["--quiet=2", "--error-on=any", "update"]),
        );
        update.with_context(|| {
            format!("cannot download the package lists below {MIRROR}/debian/dists/{release}")
        })?;
        Ok(archive)
    }

    /// Whether a package is there.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.show(package).is_ok()
    }

    /// The first package that the newest version of `package` depends on: an ABI's package, where this is
    /// the one that always stands for the newest ABI.
    ///
    /// # Errors
    /// Where the archive has no such package, or it depends on nothing.
    pub(crate) fn depends(&self, package: &str) -> Result<String> {
        let fields = self.show(package)?;
        first_dependency(&fields)
            .map(str::to_owned)
            .with_context(|| format!("Debian's package {package} depends on nothing"))
    }

    /// Downloads a package into `directory` and unpacks it there.
    ///
    /// # Errors
    /// As [`Archive::open`], and where it cannot be unpacked.
    pub(crate) fn unpack(&self, package: &str, directory: &Path) -> Result<()> {
        let mut ask = self.apt("apt-get");
        let uris = output(ask.args(["--quiet=2", "--print-uris", "download", package]))?;
        let (url, name, bytes) =
            download(&uris).with_context(|| format!("apt names no URL for {package}: {uris}"))?;
        println!("downloading {url} ({:.1} MB)", bytes as f64 / 1e6);
        let mut apt = self.apt("apt-get");
        apt.args(["--quiet=2", "download", package])
            .current_dir(directory);
        output(&mut apt).with_context(|| format!("cannot download {url}"))?;
        let file = directory.join(name);
        output(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&file)
                .arg(directory),
        )?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Downloads what a package is built from into `directory` and unpacks it there, with Debian's changes.
    ///
    /// # Errors
    /// As [`Archive::unpack`].
    pub(crate) fn unpack_source(&self, package: &str, directory: &Path) -> Result<()> {
        println!("downloading what Debian's {package} is built from, from {MIRROR}");
        let mut apt = self.apt("apt-get");
        apt.args(["--quiet=2", "source", package])
            .current_dir(directory);
        output(&mut apt).with_context(|| format!("cannot download the source of {package}"))?;
        Ok(())
    }

    fn show(&self, package: &str) -> Result<String> {
        let mut apt = self.apt("apt-cache");
        output(apt.args(["--no-all-versions", "show", package]))
            .with_context(|| format!("Debian's archive has no package {package}"))
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        apt.env("APT_CONFIG", &self.configuration)
            .env("LC_ALL", "C");
        apt
    }
}

fn write_configuration(
    release: &str,
    lists: Lists,
    directory: &Path,
    configuration: &Path,
) -> std::io::Result<()> {
    fs::create_dir_all(directory.join("lists/partial"))?;
    fs::create_dir_all(directory.join("cache/archives/partial"))?;
    fs::write(directory.join("sources.list"), sources(release, lists))?;
    // Nothing is installed as far as this apt knows, whatever the machine has.
    fs::write(directory.join("status"), "")?;
    let at = directory.display();
    fs::write(
        configuration,
        format!(
            "Dir::Etc \"{at}/\";\n\
             Dir::Etc::sourcelist \"{at}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::State \"{at}/\";\n\
             Dir::State::status \"{at}/status\";\n\
             Dir::Cache \"{at}/cache/\";\n\
             APT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n"
        ),
    )
}

/// apt's list of where packages come from.
fn sources(release: &str, lists: Lists) -> String {
    let security = format!("{release}-security");
    let kinds: &[&str] = match lists {
        Lists::Binary => &["deb [arch=amd64"],
        Lists::BinaryAndSource => &["deb [arch=amd64", "deb-src ["],
    };
    let mut text = String::new();
    for kind in kinds {
        for (archive, suite) in [("debian", release), ("debian-security", &security)] {
            text += &format!("{kind} signed-by={KEYRING}] {MIRROR}/{archive} {suite} main\n");
        }
    }
    text
}

/// The first package of a `Depends:` field.
fn first_dependency(fields: &str) -> Option<&str> {
    let depends = fields
        .lines()
        .find_map(|line| line.strip_prefix("Depends:"))?;
    depends
        .split([',', '|', '('])
        .next()?
        .split_whitespace()
        .next()
}

/// URL, file name and bytes of the last line that `apt-get --print-uris` prints:
/// `'http://...deb' NAME BYTES HASH`.
fn download(uris: &str) -> Option<(&str, &str, u64)> {
    let mut fields = uris.lines().last()?.split_whitespace();
    let url = fields.next()?.trim_matches('\'');
    Some((url, fields.next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_prints() {
        let fields = "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2), x\n";
        assert_eq!(
            first_dependency(fields),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(first_dependency("Package: x\nDepends:\n"), None);
        assert_eq!(first_dependency("Package: x\n"), None);

        let uris = "'http://deb.debian.org/debian/pool/main/l/linux/l_6.1%2b1_amd64.deb' l_6.1+1_amd64.deb 26713492 SHA256:00\n";
        assert_eq!(
            download(uris),
            Some((
                "http://deb.debian.org/debian/pool/main/l/linux/l_6.1%2b1_amd64.deb",
                "l_6.1+1_amd64.deb",
                26_713_492
            ))
        );
        assert_eq!(download("W: nothing"), None);
    }

    #[test]
    fn sources_are_listed_where_they_are_asked_for() {
        let count = |lists, kind: &str| {
            let text = sources("bookworm", lists);
            text.lines().filter(|line| line.starts_with(kind)).count()
        };
        assert_eq!(count(Lists::Binary, "deb ["), 2);
        assert_eq!(count(Lists::Binary, "deb-src ["), 0);
        assert_eq!(count(Lists::BinaryAndSource, "deb ["), 2);
        assert_eq!(count(Lists::BinaryAndSource, "deb-src ["), 2);
    }
}
