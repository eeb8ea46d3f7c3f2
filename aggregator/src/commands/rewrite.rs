//! Changing a text file of the user's: wholly or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use tempfile::NamedTempFile;

/// Replaces a file's text by what `change` makes of it. Another file takes its place, with its permissions, when all of
/// it is on disk: who reads it meanwhile, or after a crash, finds the old text or the new one. A link is followed.
///
/// # Errors
/// Where the file cannot be read or replaced, is not UTF-8, or `change` refuses; then it is as it was.
pub(super) fn rewrite(
    path: &Path,
    change: impl FnOnce(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let name = path.display();
    let read = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let text = change(&read).with_context(|| format!("{name} is left as it is"))?;
    if text != read {
        replace(path, &text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_keeps_its_permissions_and_its_links() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("README.md"), dir.path().join("link.md"));
        fs::write(&file, "a").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("README.md", &link).unwrap();
        rewrite(&link, |text| Ok(text.to_owned() + "b")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "ab");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing else stays there"
        );
    }

    #[test]
    fn a_file_that_is_refused_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("README.md");
        fs::write(&file, "a").unwrap();
        let refused = rewrite(&file, |_| anyhow::bail!("no"));
        assert!(format!("{:#}", refused.unwrap_err()).ends_with("README.md is left as it is: no"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "a");
        let missing = rewrite(&dir.path().join("x"), |_| {
            panic!("there is nothing to change")
        });
        assert!(missing.is_err());
    }
}
