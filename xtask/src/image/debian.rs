//! What of Debian is in an image: which package a file is of, and in what version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run::output;

/// A package that is installed here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    /// Without its architecture.
    pub(super) name: String,
    /// As Debian writes it.
    pub(super) version: String,
    /// Such as `amd64` or `all`.
    pub(super) architecture: String,
}

impl Package {
    /// The one of that name.
    ///
    /// # Errors
    /// Where it is not installed.
    pub(super) fn named(name: &str) -> Result<Self> {
        let text = output(Command::new("dpkg-query").args([
            "--show",
            "--showformat=${Package} ${Version} ${Architecture}",
            name,
        ]))?;
        parse(&text).with_context(|| format!("dpkg-query says of {name}: {text}"))
    }

    /// The one that a file is of.
    ///
    /// # Errors
    /// Where it is of none: then nobody knows what it is.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let found = names(file).into_iter().find_map(|name| {
            let mut search = Command::new("dpkg-query");
            output(search.arg("--search").arg(name)).ok()
        });
        let found = found.with_context(|| format!("no Debian package has {}", file.display()))?;
        let (package, _) = found
            .split_once(": ")
            .with_context(|| format!("dpkg-query says of {}: {found}", file.display()))?;
        Self::named(package)
    }

    /// Where its licences are.
    pub(super) fn copyright(&self) -> PathBuf {
        Path::new("/usr/share/doc")
            .join(&self.name)
            .join("copyright")
    }
}

fn parse(text: &str) -> Option<Package> {
    let mut words = text.split(' ').map(str::to_owned);
    let mut word = || words.next().filter(|word| !word.is_empty());
    Some(Package {
        name: word()?,
        version: word()?,
        architecture: word()?,
    })
}

/// A file's names: /lib is a link to /usr/lib, and some releases know files by the one name, some by the other.
fn names(file: &Path) -> Vec<PathBuf> {
    let other = file
        .strip_prefix("/usr")
        .map(|rest| Path::new("/").join(rest));
    std::iter::once(file.to_owned()).chain(other).collect()
}

/// Of which packages a static program has code, beside its own.
///
/// # Errors
/// Where the C compiler does not say where they are.
pub(super) fn static_parts() -> Result<Vec<Package>> {
    ["libc.a", "libgcc_eh.a"]
        .into_iter()
        .map(|name| {
            let path = output(Command::new("cc").arg(format!("-print-file-name={name}")))?;
            let path =
                fs::canonicalize(&path).with_context(|| format!("the C compiler has no {name}"))?;
            Package::of(&path)
        })
        .collect()
}

/// The certificates of a directory as one text, in the order of their names.
///
/// # Errors
/// Where there are none.
pub(super) fn authorities(directory: &str) -> Result<String> {
    let read = || -> std::io::Result<String> {
        let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.sort();
        let texts = files.into_iter().map(fs::read_to_string);
        texts
            .map(|text| Ok(text?.trim_end().to_owned() + "\n"))
            .collect()
    };
    let text = read().with_context(|| format!("cannot read the certificates in {directory}"))?;
    ensure!(
        text.contains("-----BEGIN CERTIFICATE-----"),
        "there is no certificate in {directory}"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_says_is_read() {
        let package = parse("libc6 2.36-9+deb12u14 amd64").unwrap();
        assert_eq!(package.name, "libc6");
        assert_eq!(package.version, "2.36-9+deb12u14");
        assert_eq!(package.architecture, "amd64");
        for text in ["", "libc6", "libc6 2.36", "libc6  amd64"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_looked_for_by_both_its_names() {
        let both = ["/usr/lib/a/libc.so.6", "/lib/a/libc.so.6"].map(PathBuf::from);
        assert_eq!(names(&both[0]), both);
        assert_eq!(names(Path::new("/etc/x")), [Path::new("/etc/x")]);
    }
}
