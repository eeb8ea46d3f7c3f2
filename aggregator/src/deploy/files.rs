//! A chart as files, for helm: written from what is inside the program to a directory that is removed afterwards.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::catalogue::embedded;
use super::needs::Planned;
use super::values;

/// The values that a user gives, as helm's own arguments.
#[derive(Clone, Debug, Default)]
pub struct UserValues {
    /// Files, in order.
    pub files: Vec<PathBuf>,
    /// Values that are in no file of their own, after the files.
    pub inline: Option<Map<String, Value>>,
    /// Settings such as `a.b=c`, in order, after all others.
    pub set: Vec<String>,
}

impl UserValues {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.inline.is_none() && self.set.is_empty()
    }

    /// Whether its files are there.
    ///
    /// # Errors
    /// Where one is not.
    pub fn check_files(&self) -> anyhow::Result<()> {
        match self.files.iter().find(|file| !file.is_file()) {
            Some(file) => anyhow::bail!("{}: there is no such file", file.display()),
            None => Ok(()),
        }
    }

    /// The paths of these that the user sets.
    ///
    /// # Errors
    /// Where a file cannot be read or is no YAML.
    pub fn paths<'p>(
        &self,
        candidates: impl Iterator<Item = &'p String>,
    ) -> anyhow::Result<Vec<String>> {
        let mut read = Vec::new();
        for file in &self.files {
            let name = || file.display().to_string();
            let text = fs::read_to_string(file).with_context(name)?;
            let values: Value = super::yaml::parse(&text)
                .map_err(anyhow::Error::msg)
                .with_context(name)?;
            read.push(values);
        }
        read.extend(self.inline.clone().map(Value::Object));
        let is_set = |path: &&String| {
            let mut arguments = self.set.iter();
            arguments.any(|argument| values::paths_of_set(argument).any(|set| set == *path))
                || read.iter().any(|file| values::has(file, path))
        };
        Ok(candidates.filter(is_set).cloned().collect())
    }
}

/// The module's values.
const VALUES: &str = "values.json";
/// Those that the user has in no file.
const INLINE: &str = "inline.json";

/// A chart and the values of a module in a directory of their own.
pub struct ChartFiles {
    directory: TempDir,
    chart: &'static str,
    user: UserValues,
}

impl ChartFiles {
    /// Writes them; `None` for a module of steps.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write(
        planned: &Planned<'_>,
        site: Option<&str>,
        user: &UserValues,
    ) -> anyhow::Result<Option<Self>> {
        let Some(values) = values::of(planned, site) else {
            return Ok(None);
        };
        let chart = match planned.module.file.own {
            Some(_) => "hxmlops",
            None => "module",
        };
        let directory = tempfile::tempdir().context("cannot make a directory for the chart")?;
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap_or(directory.path()))?;
            fs::write(path, text)
        };
        for (path, text) in embedded::below(chart) {
            write(&format!("{chart}/{path}"), text).context("cannot write the chart")?;
        }
        // JSON is YAML, and leaves no text to be taken for something else.
        write(VALUES, &values.to_string()).context("cannot write the values")?;
        if let Some(inline) = &user.inline {
            let inline = Value::Object(inline.clone());
            write(INLINE, &inline.to_string()).context("cannot write the values")?;
        }
        Ok(Some(Self {
            directory,
            chart,
            user: user.clone(),
        }))
    }

    /// Where the chart is.
    #[must_use]
    pub fn chart(&self) -> PathBuf {
        self.directory.path().join(self.chart)
    }

    /// helm's arguments for the values: the module's, then the user's files and other values, then what the user sets.
    #[must_use]
    pub fn values(&self) -> Vec<OsString> {
        let own = self.directory.path().join(VALUES);
        let inline = self.directory.path().join(INLINE);
        let inline = self.user.inline.is_some().then_some(&inline);
        let files = std::iter::once(&own).chain(&self.user.files).chain(inline);
        let files = files.flat_map(|file| ["--values".into(), file.clone().into()]);
        let set = self.user.set.iter();
        let set = set.flat_map(|setting| ["--set".into(), setting.into()]);
        files.chain(set).collect()
    }
}
