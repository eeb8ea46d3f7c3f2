//! The files of an image, laid out in a directory.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::debian::Package;

/// A directory that is an image's root.
pub(super) struct Tree {
    root: PathBuf,
    packages: BTreeSet<Package>,
}

impl Tree {
    /// An empty one, in place of what was there.
    ///
    /// # Errors
    /// Where the directory cannot be emptied.
    pub(super) fn new(root: &Path) -> Result<Self> {
        let empty = || {
            match fs::remove_dir_all(root) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::create_dir_all(root)?,
            }
            fs::set_permissions(root, Permissions::from_mode(0o755))
        };
        empty().with_context(|| format!("cannot empty {}", root.display()))?;
        Ok(Self {
            root: root.to_owned(),
            packages: BTreeSet::new(),
        })
    }

    /// Copies a file to a place in the image.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub(super) fn put(&mut self, file: &Path, place: &str, mode: u32) -> Result<()> {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.write(place, &content, mode)
    }

    /// Writes a file that everybody may read.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn put_text(&mut self, text: &str, place: &str) -> Result<()> {
        self.write(place, text.as_bytes(), 0o644)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// Where something is there.
    pub(super) fn link(&mut self, place: &str, to: &str) -> Result<()> {
        let link = self.path(place);
        symlink(to, &link).with_context(|| format!("cannot make {}", link.display()))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn directory(&mut self, place: &str, mode: u32) -> Result<()> {
        let directory = self.path(place);
        make_directory(&directory)
            .and_then(|()| fs::set_permissions(&directory, Permissions::from_mode(mode)))
            .with_context(|| format!("cannot make {}", directory.display()))
    }

    /// Notes of which packages something is in the image, and puts their licences into it.
    ///
    /// # Errors
    /// Where one has none.
    pub(super) fn credit(&mut self, packages: Vec<Package>) -> Result<()> {
        for package in packages {
            let copyright = package.copyright();
            let place = copyright.to_string_lossy().into_owned();
            self.put(&copyright, &place, 0o644)?;
            self.packages.insert(package);
        }
        Ok(())
    }

    /// Of which packages something is in it, by name.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter()
    }

    /// How long all its files are.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn bytes(&self) -> Result<u64> {
        bytes(&self.root).with_context(|| format!("cannot read {}", self.root.display()))
    }

    fn write(&self, place: &str, content: &[u8], mode: u32) -> Result<()> {
        let path = self.path(place);
        let parent = path.parent().expect("a place lies in a directory");
        make_directory(parent)
            .and_then(|()| fs::write(&path, content))
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn path(&self, place: &str) -> PathBuf {
        self.root.join(place.trim_start_matches('/'))
    }
}

/// With what it lies in, all of them for everybody whatever the umask.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make_directory(parent)?;
    }
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

fn bytes(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        sum += match entry.metadata()? {
            metadata if metadata.is_dir() => bytes(&entry.path())?,
            metadata if metadata.is_file() => metadata.len(),
            _ => 0,
        };
    }
    Ok(sum)
}
