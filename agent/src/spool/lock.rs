//! One agent per spool.

use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;

const NAME: &str = "spool.lock";

/// Held for as long as the spool is used; gone with the process, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, and makes the directory where it is not there.
    ///
    /// # Errors
    /// Where another agent has it, or the directory cannot be written.
    pub fn take(directory: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("--spool-dir {} cannot be written", directory.display());
        std::fs::create_dir_all(directory).with_context(cannot)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).write(true).truncate(false);
        let file = options.open(directory.join(NAME)).with_context(cannot)?;
        lock(&file, directory)?;
        Ok(Self { _file: file })
    }
}

/// Whether [`Lock::take`] would succeed; changes nothing.
///
/// # Errors
/// As there.
pub fn check(directory: &Path) -> anyhow::Result<()> {
    if let Ok(file) = File::open(directory.join(NAME)) {
        lock(&file, directory)?;
    }
    let exists = |path: &&Path| path.exists();
    let nearest = directory.ancestors().find(exists).unwrap_or(Path::new("."));
    if !nearest.is_dir() {
        bail!(
            "--spool-dir {} cannot be made: {} is no directory",
            directory.display(),
            nearest.display()
        );
    }
    access(nearest, Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("--spool-dir {} cannot be written", directory.display()))
}

fn lock(file: &File, directory: &Path) -> anyhow::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => bail!(
            "--spool-dir {} is in use by another agent; give each its own",
            directory.display()
        ),
        Err(error) => Err(error)
            .with_context(|| format!("--spool-dir {} cannot be locked", directory.display())),
    }
}
