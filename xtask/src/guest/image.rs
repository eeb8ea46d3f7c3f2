//! The guest's root: an archive in the kernel's own format ("newc", Documentation/driver-api/early-userspace)
//! that it unpacks into memory.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::run::answer;

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive that grows.
#[derive(Default)]
pub(crate) struct Image {
    bytes: Vec<u8>,
    /// Every path that is in it.
    paths: HashSet<String>,
}

impl Image {
    /// With the console that the first process writes to.
    pub(crate) fn new() -> Self {
        let mut image = Self::default();
        image.parents("dev/console");
        image.entry("dev/console", CHARACTER_DEVICE, (5, 1), &[]);
        image
    }

    /// A file of this machine, with its permissions. Paths in the image have no leading slash.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn file(&mut self, path: &str, from: &Path) -> Result<()> {
        let what = || format!("cannot read {}", from.display());
        let content = fs::read(from).with_context(what)?;
        let mode = fs::metadata(from).with_context(what)?.permissions().mode();
        self.parents(path);
        self.entry(path, REGULAR | (mode & 0o777), (0, 0), &content);
        Ok(())
    }

    /// A program of this machine, with the libraries that it is linked with.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub(crate) fn program(&mut self, path: &str, from: &Path) -> Result<()> {
        self.file(path, from)?;
        // ldd fails where a program needs none.
        let ldd = answer("ldd", &[&from.to_string_lossy()]).unwrap_or_default();
        for library in libraries(&ldd) {
            let path = library.trim_start_matches('/');
            if !self.paths.contains(path) {
                self.file(path, Path::new(library))?;
            }
        }
        Ok(())
    }

    /// Ends the archive and writes it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn write(mut self, to: &Path) -> Result<()> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        fs::write(to, &self.bytes).with_context(|| format!("cannot write {}", to.display()))
    }

    /// The directories that a path lies in.
    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if !self.paths.contains(parent) {
                self.entry(parent, DIRECTORY, (0, 0), &[]);
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.paths.insert(path.to_owned());
        let inode = self.paths.len() as u32;
        let name_size = path.len() as u32 + 1;
        // Magic; inode, mode, uid, gid, links, mtime, size, device of the file, device that it is, name, checksum.
        self.bytes.extend_from_slice(b"070701");
        for field in [
            inode,
            mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            device.0,
            device.1,
            name_size,
            0,
        ] {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Names and contents end at multiples of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Paths in what `ldd` prints: `libc.so.6 => /lib/libc.so.6 (0x7f)` and `/lib64/ld.so (0x7f)`.
fn libraries(ldd: &str) -> impl Iterator<Item = &str> {
    let words = ldd.lines().map(str::split_whitespace);
    words.filter_map(|mut words| words.find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_kernel_s_format() {
        let mut image = Image::default();
        image.parents("bin/sh");
        image.entry("bin/sh", REGULAR | 0o755, (0, 0), b"dash");
        let text = String::from_utf8(image.bytes).unwrap();
        let directory = "070701".to_owned()
            + "00000001000041ed00000000000000000000000100000000"
            + "0000000000000000000000000000000000000000"
            + "0000000400000000bin\0\0\0";
        let file = "070701".to_owned()
            + "00000002000081ed00000000000000000000000100000000"
            + "0000000400000000000000000000000000000000"
            + "0000000700000000bin/sh\0\0\0\0dash";
        assert_eq!(text, directory + &file);
    }

    #[test]
    fn libraries_are_found_in_what_ldd_prints() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<&str> = libraries(ldd).collect();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert_eq!(libraries("\tstatically linked\n").count(), 0);
    }
}
