//! Puts the charts and the catalogue of modules into the program, which then needs no source tree to deploy them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Below `helm/`. Of our own chart, what is for its readers and its tests stays outside.
const DIRECTORIES: [&str; 3] = ["module", "catalogue", "hxmlops"];
const LEFT_OUT: [&str; 3] = [
    "hxmlops/examples",
    "hxmlops/rules/tests",
    "hxmlops/README.md",
];

fn main() -> io::Result<()> {
    let helm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm");
    let mut files = Vec::new();
    for directory in DIRECTORIES {
        println!("cargo::rerun-if-changed={}", helm.join(directory).display());
        collect(&helm, Path::new(directory), &mut files)?;
    }
    files.sort();
    let mut code = String::from("&[\n");
    for name in &files {
        let file = helm.join(name).canonicalize()?;
        let _ = writeln!(code, "    ({name:?}, include_str!({file:?})),");
    }
    code.push_str("]\n");
    let out = env::var_os("OUT_DIR").map(PathBuf::from);
    let out = out.ok_or(io::ErrorKind::NotFound)?;
    fs::write(out.join("helm.rs"), code)
}

/// The files below a directory, by their paths from `helm/`.
fn collect(helm: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(helm.join(directory))? {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        if LEFT_OUT.iter().any(|name| path == Path::new(name)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(helm, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
