//! Images built for these tests, and containers of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use e2e::{Running, text};

/// Of the images that tests build, of the programs as tests have them.
pub(crate) const TAG: &str = "test";

/// Builds the image of a program, and returns what `cargo xtask image` printed. What did not change is not built again.
pub(crate) fn build(program: &str) -> anyhow::Result<String> {
    let mut xtask = e2e::cargo();
    xtask
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["run", "--quiet", "--locked", "--package", "xtask", "--"])
        .args(["image", "--profile", "dev", "--tag", TAG, program])
        .env("CONTAINERS_STORAGE_CONF", store()?);
    said(&mut xtask)
}

/// The directory in which `cargo xtask image` works.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3);
    Ok(target
        .context("a test lies in PROFILE/deps")?
        .join("images"))
}

/// A store of images of the tests' own: this user's images stay as they are.
fn store() -> anyhow::Result<PathBuf> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    let store = directory.join("storage.conf");
    // vfs copies, and so works on every file system; the images are small.
    let settings = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/store\"\nrunroot = \"{0}/run\"\n",
        text(&directory)
    );
    let new = directory.join(format!("storage.{}", std::process::id()));
    fs::write(&new, settings)?;
    fs::rename(new, &store)?;
    Ok(store)
}

/// podman with the settings that do not need systemd, nor a runtime that makes devices.
pub(crate) fn podman() -> anyhow::Result<Command> {
    let mut podman = Command::new("podman");
    podman
        .env("CONTAINERS_STORAGE_CONF", store()?)
        .args(["--cgroup-manager=cgroupfs", "--runtime=runc"])
        .stdin(Stdio::null());
    Ok(podman)
}

/// Runs it to its end, which must be a good one; returns what it printed.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}: {stderr}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A container that runs. Removed when it is dropped.
pub(crate) struct Container {
    name: String,
    running: Option<Running>,
}

impl Container {
    /// Starts one of a program that says where it listens.
    ///
    /// # Errors
    /// Where it ends or says nothing.
    pub(crate) fn start(flags: &[String], image: &str, args: &[String]) -> anyhow::Result<Self> {
        let name = name();
        let mut container = Self {
            running: None,
            name: name.clone(),
        };
        container.running = Some(Running::spawn(run(&name, flags, image, args)?)?);
        Ok(container)
    }

    /// Runs one to its end.
    ///
    /// # Errors
    /// Where podman cannot be run.
    pub(crate) fn output(flags: &[String], image: &str, args: &[String]) -> anyhow::Result<Output> {
        Ok(run(&name(), flags, image, args)?.output()?)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        self.running.as_ref().expect("it was started").url()
    }

    /// Its first process, as the host knows it.
    ///
    /// # Errors
    /// Where it is gone.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        let format = ["inspect", "--format", "{{.State.Pid}}", &self.name];
        Ok(said(podman()?.args(format))?.parse()?)
    }

    /// What /proc has about that process.
    ///
    /// # Errors
    /// Where it is gone.
    pub(crate) fn proc_file(&self, name: &str) -> anyhow::Result<String> {
        let file = Path::new("/proc").join(self.pid()?.to_string()).join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Tells its program to stop, as the kubelet does: it must end well.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.running.take().expect("it was started").stop()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Whoever ends podman leaves the container behind.
        if let Ok(mut podman) = podman() {
            let args = ["rm", "--force", "--ignore", "--time=0", &self.name];
            let _ = podman.args(args).output();
        }
    }
}

fn name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("hxmlops-test-{}-{number}", std::process::id())
}

/// In the host's network, since not every machine that tests can have another; with limits that it can give, and not
/// for longer than a test.
fn run(name: &str, flags: &[String], image: &str, args: &[String]) -> anyhow::Result<Command> {
    let mut run = podman()?;
    run.args([
        "run",
        "--rm",
        "--name",
        name,
        "--network=host",
        "--timeout=170",
    ])
    .args(["--ulimit=nofile=20000:20000", "--ulimit=nproc=1000:1000"])
    .args(["--pull=never", "--no-hosts"])
    .args(flags)
    .arg(image)
    .args(args);
    Ok(run)
}
