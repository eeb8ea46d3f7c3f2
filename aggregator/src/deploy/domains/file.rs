//! The file of the domains: where it lies, how it is read, and how it is written.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::{Domains, from_old};

/// Below the user's directory of configurations.
const FILE: &str = "hxmlops/config.yaml";
/// Where the first tool had its own.
const OLD_FILE: &str = "mlopstool/config.yaml";

/// The user's directory of configurations: `$XDG_CONFIG_HOME` where that is absolute, as the specification asks for,
/// else `~/.config`.
///
/// # Errors
/// Where neither is known.
pub fn directory() -> anyhow::Result<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let own = std::env::var_os("XDG_CONFIG_HOME").and_then(absolute);
    let home = || std::env::var_os("HOME").and_then(absolute);
    own.or_else(|| home().map(|home| home.join(".config")))
        .context("no directory for the configuration: set HOME or XDG_CONFIG_HOME")
}

/// The user's domains, in a file.
#[derive(Clone, Debug)]
pub struct DomainsFile {
    path: PathBuf,
    old: PathBuf,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The domains; none where there is no file.
    pub domains: Domains,
    /// The first tool's file, where they were taken from it just now.
    pub migrated: Option<PathBuf>,
}

impl DomainsFile {
    /// In a user's directory of configurations.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
            old: directory.join(OLD_FILE),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it. Where there is none, but one of the first tool, this one is made from that, which is left as it is.
    ///
    /// # Errors
    /// Where one of the files cannot be read, is none, or cannot be written.
    pub fn read(&self) -> anyhow::Result<Read> {
        if let Some(domains) = read(&self.path, Domains::parse)? {
            return Ok(Read {
                domains,
                migrated: None,
            });
        }
        let Some(domains) = read(&self.old, from_old)? else {
            return Ok(Read {
                domains: Domains::default(),
                migrated: None,
            });
        };
        self.write(&domains)?;
        Ok(Read {
            domains,
            migrated: Some(self.old.clone()),
        })
    }

    /// Writes it: wholly or not at all, for its owner's eyes only. A link is followed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, domains: &Domains) -> anyhow::Result<()> {
        let text =
            serde_saphyr::to_string(domains).context("the domains cannot be written as YAML")?;
        self.replace(&text)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn replace(&self, text: &str) -> std::io::Result<()> {
        let path = match fs::canonicalize(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.path.clone(),
            path => path?,
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        // Such a file is made with mode 0600.
        let mut file = NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(directory)?.sync_all()
    }
}

/// A file's content; `None` where there is no file.
fn read(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<Domains, String>,
) -> anyhow::Result<Option<Domains>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let domains = parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(Some(domains))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Domain;
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_its_owner_s_and_nothing_else_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = DomainsFile::new(home.path());
        assert_eq!(file.read().unwrap().domains, Domains::default());
        let mut domains = Domains::default();
        let domain: Domain = serde_saphyr::from_str("context: c").unwrap();
        domains.set("a", domain, true).unwrap();
        for _ in 0..2 {
            file.write(&domains).unwrap();
            assert_eq!(mode(file.path()), 0o600);
        }
        let directory = file.path().parent().unwrap();
        assert_eq!(mode(directory), 0o700);
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
        let read = file.read().unwrap();
        assert_eq!((read.domains, read.migrated), (domains, None));
    }

    #[test]
    fn the_first_tool_s_file_is_taken_over_once_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let old = home.path().join(OLD_FILE);
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::write(
            &old,
            "domains: {swv: {context_name: c}}\ndefault_domain: swv\n",
        )
        .unwrap();
        let file = DomainsFile::new(home.path());
        let read = file.read().unwrap();
        assert_eq!(read.migrated.as_deref(), Some(&*old));
        assert_eq!(read.domains.default_domain.as_deref(), Some("swv"));
        fs::write(&old, "[").unwrap();
        let again = file.read().unwrap();
        assert_eq!((again.domains, again.migrated), (read.domains, None));
    }

    #[test]
    fn what_is_wrong_in_it_is_said_with_its_name() {
        let home = tempfile::tempdir().unwrap();
        let file = DomainsFile::new(home.path());
        fs::create_dir_all(file.path().parent().unwrap()).unwrap();
        fs::write(file.path(), "domains: {a: {}}\n").unwrap();
        let error = format!("{:#}", file.read().unwrap_err());
        assert!(
            error.starts_with(&*file.path().display().to_string()),
            "{error}"
        );
        assert!(
            error.contains("context") && !error.contains('\n'),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(file.path()).unwrap(),
            "domains: {a: {}}\n"
        );
    }
}
