//! Where things lie in the source tree.

use std::env;
use std::path::{Path, PathBuf};

/// Root of the source tree.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace")
}

/// Cargo's directory for what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Root of the programs that the project installs for itself alone.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// A program: the project's own, else the one in PATH.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let own = tools().join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(own).chain(env::split_paths(&path));
    directories
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// PATH with the project's own programs first.
pub(crate) fn path_with_tools() -> std::ffi::OsString {
    path_with(&tools().join("bin"))
}

/// PATH with one more directory in front.
pub(crate) fn path_with(first: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_owned()).chain(env::split_paths(&path));
    env::join_paths(all).unwrap_or(path)
}
