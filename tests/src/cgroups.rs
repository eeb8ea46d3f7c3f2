//! Cgroups that tests and benches make: in every hierarchy that counts CPU time, so that a process in one has an exact
//! count (v1) and an id that eBPF sees (v2).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

/// Where the trees are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trees {
    /// The unified hierarchy.
    pub unified: Option<PathBuf>,
    /// The v1 hierarchy with CPU time.
    pub cpuacct: Option<PathBuf>,
}

impl Trees {
    /// From this process' mounts.
    ///
    /// # Errors
    /// Where there is no tree.
    pub fn find() -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let trees = Self::parse(&mounts);
        ensure!(trees.all().next().is_some(), "no cgroup tree is mounted");
        Ok(trees)
    }

    fn parse(mountinfo: &str) -> Self {
        let find = |kind: &str, option: &str| {
            mountinfo.lines().find_map(|line| {
                let (before, after) = line.split_once(" - ")?;
                let mut after = after.split(' ');
                let is_kind = after.next() == Some(kind);
                let options = after.nth(1)?;
                let has = option.is_empty() || options.split(',').any(|word| word == option);
                (is_kind && has).then(|| before.split(' ').nth(4).map(PathBuf::from))?
            })
        };
        Self {
            unified: find("cgroup2", ""),
            cpuacct: find("cgroup", "cpuacct"),
        }
    }

    /// The roots, the unified one first.
    pub fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.unified, &self.cpuacct].into_iter().flatten()
    }
}

/// One cgroup, in every tree. Its processes are killed and it is removed when it is dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    directories: Vec<PathBuf>,
    /// Parents that were made for it, the outermost first.
    parents: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes it at a path below the roots, with what it lies in.
    ///
    /// # Errors
    /// Where it cannot be made (that takes root), or is there.
    pub fn new(path: &str) -> anyhow::Result<Self> {
        let path = path.trim_matches('/').to_owned();
        let mut cgroup = Self {
            directories: Vec::new(),
            parents: Vec::new(),
            path,
        };
        for root in Trees::find()?.all() {
            let directory = root.join(&cgroup.path);
            // Whoever made a parent may remove it before there is something in it.
            while let Err(error) = cgroup.make(&directory) {
                let is_gone = error.kind() == io::ErrorKind::NotFound && root.exists();
                ensure!(is_gone, "cannot make {}: {error}", directory.display());
            }
            cgroup.directories.push(directory);
        }
        Ok(cgroup)
    }

    fn make(&mut self, directory: &Path) -> io::Result<()> {
        let parents = directory.ancestors().skip(1);
        let mut missing: Vec<&Path> = parents.take_while(|parent| !parent.exists()).collect();
        missing.reverse();
        for parent in missing {
            match fs::create_dir(parent) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.parents.push(parent.to_owned()),
            }
        }
        fs::create_dir(directory)
    }

    /// An exec group's cgroup, named as `hxmlops exec` names it; its id begins with this process' id.
    ///
    /// # Errors
    /// As [`Cgroup::new`].
    pub fn exec(workflow: &str, run: &str, stage: &str) -> anyhow::Result<Self> {
        let id = std::process::id();
        Self::new(&format!("hxmlops.exec/{workflow}:{run}:{stage}:{id}"))
    }

    /// Its path below the roots, without a slash at either end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its directory in each tree.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// What the kernel itself counted since it was made, in nanoseconds; of a v1 tree where there is one.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn cpu_ns(&self) -> anyhow::Result<u64> {
        for directory in &self.directories {
            if let Ok(usage) = fs::read_to_string(directory.join("cpuacct.usage")) {
                return Ok(usage.trim().parse()?);
            }
        }
        let directory = self.directories.first().context("it was made")?;
        let stat = fs::read_to_string(directory.join("cpu.stat"))?;
        let usec = stat.lines().find_map(|l| l.strip_prefix("usage_usec "));
        Ok(usec.context("cpu.stat has usage_usec")?.parse::<u64>()? * 1000)
    }

    /// Moves a process in, with all its threads.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn take(&self, pid: u32) -> io::Result<()> {
        self.directories
            .iter()
            .try_for_each(|directory| fs::write(directory.join("cgroup.procs"), pid.to_string()))
    }

    /// A command that will run here: a shell goes in first, and becomes it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut join = String::new();
        for directory in &self.directories {
            join += &format!("echo 0 > '{}/cgroup.procs' && ", directory.display());
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{join} exec \"$@\""), "sh"])
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// A shell that is in here already and runs `script` once [`Shell::go`] is called.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn shell(&self, script: &str) -> anyhow::Result<Shell> {
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", &format!("echo in; read go; {script}")]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = [0; 3];
        let output = child.stdout.as_mut().context("it is piped")?;
        io::Read::read_exact(output, &mut said).context("the shell did not get in")?;
        Ok(Shell { child })
    }

    /// The processes in it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let read = |directory: &PathBuf| fs::read_to_string(directory.join("cgroup.procs"));
        let lists = self.directories.iter().filter_map(|dir| read(dir).ok());
        let pids = lists.flat_map(|list| {
            let pids = list.lines().filter_map(|pid| pid.parse().ok());
            pids.collect::<Vec<u32>>()
        });
        pids.collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            remove(directory);
        }
        for parent in self.parents.iter().rev() {
            // Somebody else may have made one in it.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// Kills what is in a cgroup and removes it, with those below it.
pub fn remove(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // A process that was killed leaves its cgroup some time after: try until it has.
    while fs::remove_dir(directory).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    {
        let pids = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        std::thread::yield_now();
    }
}

/// A shell in a cgroup. Killed when it is dropped.
#[derive(Debug)]
pub struct Shell {
    child: Child,
}

impl Shell {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it run its script; it goes on meanwhile.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn go(&mut self) -> anyhow::Result<()> {
        let mut input = self.child.stdin.take().context("it was told before")?;
        Ok(input.write_all(b"go\n")?)
    }

    /// Has it run its script to its end.
    ///
    /// # Errors
    /// Where it was told to before, or the script fails.
    pub fn run(mut self) -> anyhow::Result<()> {
        self.go()?;
        self.run_out()
    }

    /// Waits for the end of a script that was begun.
    ///
    /// # Errors
    /// Where the script fails.
    pub fn run_out(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the script ended with {status}");
        Ok(())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Either it has ended, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_found_by_their_kind() {
        let mounts = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 31 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let expected = Trees {
            unified: Some("/sys/fs/cgroup/unified".into()),
            cpuacct: Some("/sys/fs/cgroup/cpu,cpuacct".into()),
        };
        assert_eq!(Trees::parse(mounts), expected);
    }
}
