//! Where the spool's bytes lie: a directory, or memory where there is none. Nothing else of the spool does I/O.
//!
//! A name is relative to the spool, such as `open.log` or `refused/x.batch`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the directory of batches that will not be sent any more.
pub(super) const REFUSED: &str = "refused";

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name within the folder that was listed.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written, milliseconds since 1970.
    pub modified_unix_ms: i64,
}

/// The operations of which the spool is made. Each may fail at any time; what a failed one has done by then is not
/// known, except that no file but the named one has changed.
pub trait Files: Send {
    /// The files of a folder; `""`: the spool itself.
    fn list(&self, folder: &str) -> io::Result<Vec<Found>>;
    /// All of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Makes a file, in place of one that has the name, with content that is durable; its name is so after
    /// [`Files::sync_names`].
    fn write_new(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file after `length` bytes, or leaves it as it is, and appends `bytes`: durable.
    fn append(&mut self, name: &str, length: u64, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name, in place of one that has it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. One that is not there is no error.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes all renames and removals durable.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A directory of a real file system.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// In `root`, which is there; makes the folder for refused batches.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(root.join(REFUSED))?;
        Ok(Self { root })
    }
}

impl Files for Directory {
    fn list(&self, folder: &str) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            // One that went meanwhile is not there.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let name = entry.file_name().into_string();
            if let (true, Ok(name)) = (metadata.is_file(), name) {
                found.push(Found {
                    name,
                    bytes: metadata.len(),
                    modified_unix_ms: unix_ms(metadata.modified()?),
                });
            }
        }
        Ok(found)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(name))
    }

    fn write_new(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.root.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn append(&mut self, name: &str, length: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.root.join(name))?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
        }
        file.write_all_at(bytes, length)?;
        file.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(self.root.join(REFUSED))?.sync_all()?;
        File::open(&self.root)?.sync_all()
    }
}

/// Files that end with the process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: BTreeMap<String, Vec<u8>>,
}

impl Memory {
    fn take(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.files.remove(name).ok_or_else(not_found)
    }
}

impl Files for Memory {
    fn list(&self, folder: &str) -> io::Result<Vec<Found>> {
        let files = self.files.iter().filter_map(|(path, bytes)| {
            let (found_in, name) = path.rsplit_once('/').unwrap_or(("", path));
            (found_in == folder).then(|| Found {
                name: name.to_owned(),
                bytes: bytes.len() as u64,
                modified_unix_ms: 0,
            })
        });
        Ok(files.collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files.get(name).cloned().ok_or_else(not_found)
    }

    fn write_new(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn append(&mut self, name: &str, length: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.get_mut(name).ok_or_else(not_found)?;
        file.truncate(length as usize);
        file.extend_from_slice(bytes);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.take(from)?;
        self.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}
