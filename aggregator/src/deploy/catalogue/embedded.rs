//! What is inside the program: the charts `module` and `hxmlops`, and the catalogue.

/// (path below `helm/`, text), by path.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/helm.rs"));

/// The files below one of its directories, by their paths from there.
pub fn below(directory: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rest = move |path: &'static str| path.strip_prefix(directory)?.strip_prefix('/');
    FILES
        .iter()
        .filter_map(move |(path, text)| Some((rest(path)?, *text)))
}
