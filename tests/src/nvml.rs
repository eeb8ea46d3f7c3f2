//! A GPU driver that does what a test says: the library `fake-nvml` under the name that NVIDIA's has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Running, program};

/// The library with its script, for programs that are told of it.
#[derive(Debug)]
pub struct FakeNvml {
    directory: TempDir,
    script: Value,
}

/// A GPU that has used no energy yet, and nobody uses.
#[must_use]
pub fn gpu(uuid: &str) -> Value {
    json!({
        "uuid": uuid, "name": "Fake 9000", "energy_mj": 1_000_000, "percent": 50, "samples": [], "processes": [],
    })
}

/// A slice of a GPU in MIG mode; `None`: the driver does not tell who is there.
#[must_use]
pub fn slice(uuid: &str, size: u32, processes: Option<&[u32]>) -> Value {
    json!({ "uuid": uuid, "size": size, "processes": processes })
}

impl FakeNvml {
    /// A driver of these GPUs.
    ///
    /// # Errors
    /// Where the library cannot be put in its place.
    pub fn new(gpus: &[Value]) -> anyhow::Result<Self> {
        Self::of(&program("libfake_nvml.so"), gpus)
    }

    /// The same with the library built there.
    ///
    /// # Errors
    /// As [`FakeNvml::new`].
    pub fn of(library: &Path, gpus: &[Value]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let place = directory.path().join("libnvidia-ml.so.1");
        let copied = fs::copy(library, place);
        copied.with_context(|| format!("cannot copy {}", library.display()))?;
        let script = json!({ "driver": "999.1", "gpus": gpus });
        let fake = Self { directory, script };
        fake.write()?;
        Ok(fake)
    }

    /// Says something else of the driver from now on.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn tell(&mut self, key: &str, value: Value) -> anyhow::Result<()> {
        self.script[key] = value;
        self.write()
    }

    /// Says something else of a GPU from now on.
    ///
    /// # Errors
    /// As [`FakeNvml::tell`].
    pub fn tell_gpu(&mut self, index: usize, key: &str, value: Value) -> anyhow::Result<()> {
        self.script["gpus"][index][key] = value;
        self.write()
    }

    /// A GPU has used so many millijoules more.
    ///
    /// # Errors
    /// As [`FakeNvml::tell`].
    pub fn use_energy(&mut self, index: usize, millijoules: u64) -> anyhow::Result<()> {
        let before = self.script["gpus"][index]["energy_mj"].as_u64();
        let counter = before.context("it counts")? + millijoules;
        self.tell_gpu(index, "energy_mj", counter.into())
    }

    /// One of our programs that finds this driver, and no other.
    #[must_use]
    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command.args(args);
        self.tell_program(&mut command);
        command
    }

    /// Has a program find this driver, and no other.
    pub fn tell_program(&self, command: &mut Command) {
        command
            .env("LD_LIBRARY_PATH", self.directory.path())
            .env("FAKE_NVML", self.path());
    }

    /// An agent that reads it.
    ///
    /// # Errors
    /// As [`Running::spawn`].
    pub fn agent(&self, args: &[&str]) -> anyhow::Result<Running> {
        Running::spawn(self.command("hxmlops-agent", args))
    }

    /// Flags of podman that put it into a container, the library into this directory.
    #[must_use]
    pub fn mounts(&self, directory: &str) -> [String; 3] {
        let here = self.directory.path().display();
        let library = "libnvidia-ml.so.1";
        [
            format!("--volume={here}/{library}:{directory}/{library}:ro"),
            format!("--volume={here}:/fake:ro"),
            "--env=FAKE_NVML=/fake/script.json".to_owned(),
        ]
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("script.json")
    }

    /// Whole or not at all: it may be read at any time.
    fn write(&self) -> anyhow::Result<()> {
        let new = self.path().with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.script)?)?;
        Ok(fs::rename(new, self.path())?)
    }
}
