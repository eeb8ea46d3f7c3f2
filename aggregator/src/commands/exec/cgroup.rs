//! The cgroups of one command: one per hierarchy that counts CPU time, all or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wire::exec_group::{DIRECTORY, ExecGroup};

use super::mounts::{Hierarchy, hierarchies};

/// How long the cgroup of a command that ended stays: two of an agent's longest intervals, so that even a
/// command of a millisecond is still there to be named and counted.
const KEEP: Duration = Duration::from_secs(10 * 60);

/// The cgroups of one command. They outlive it by [`KEEP`], and the processes that it left behind; a later
/// `exec` removes them then.
#[derive(Debug)]
pub(super) struct Cgroups(Vec<Cgroup>);

#[derive(Debug)]
struct Cgroup {
    directory: PathBuf,
    /// The cgroup that the supervisor itself belongs in.
    own: PathBuf,
}

/// Why a command gets no cgroups.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCgroup {
    #[error("cannot read {0}: {1}")]
    Unreadable(&'static str, io::Error),
    #[error("no cgroup hierarchy is mounted")]
    NoHierarchy,
    #[error("cannot make a cgroup in {0}: {1}")]
    Refused(PathBuf, io::Error),
}

impl Cgroups {
    /// Makes the group's cgroups: in each hierarchy below the cgroup of this process, whose limits hold for the
    /// command too, or else at the root.
    pub(super) fn make(group: &ExecGroup) -> Result<Self, NoCgroup> {
        let hierarchies = hierarchies(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        if hierarchies.is_empty() {
            return Err(NoCgroup::NoHierarchy);
        }
        let mut made = Self(Vec::new());
        for hierarchy in hierarchies {
            match make_in(&hierarchy, group) {
                Ok(cgroup) => made.0.push(cgroup),
                Err(refused) => {
                    made.remove();
                    return Err(refused);
                }
            }
        }
        Ok(made)
    }

    /// Does something with this process inside the cgroups, then leaves them.
    ///
    /// A child that is spawned meanwhile begins its life inside: no process of the command is ever outside,
    /// and no code need run between its fork and its exec. The supervisor's own CPU time stays outside.
    pub(super) fn inside<T>(&self, action: impl FnOnce() -> T) -> io::Result<T> {
        for cgroup in &self.0 {
            if let Err(error) = join(&cgroup.directory) {
                self.leave();
                return Err(error);
            }
        }
        let result = action();
        self.leave();
        Ok(result)
    }

    /// A supervisor that may not go back stays inside: its own time then counts with the command's.
    fn leave(&self) {
        for cgroup in &self.0 {
            let _ = join(&cgroup.own);
        }
    }
}

impl Cgroups {
    fn remove(&self) {
        for cgroup in &self.0 {
            let _ = fs::remove_dir(&cgroup.directory);
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for cgroup in &self.0 {
            // From now on. Where the time cannot be set, it counts from the command's start.
            let _ = File::open(&cgroup.directory)
                .and_then(|directory| directory.set_modified(SystemTime::now()));
        }
    }
}

fn read(path: &'static str) -> Result<String, NoCgroup> {
    fs::read_to_string(path).map_err(|error| NoCgroup::Unreadable(path, error))
}

fn make_in(hierarchy: &Hierarchy, group: &ExecGroup) -> Result<Cgroup, NoCgroup> {
    let parents = [&hierarchy.own, &hierarchy.root];
    let mut refused = None;
    for parent in parents {
        match make_below(parent, &hierarchy.own, group) {
            Ok(cgroup) => return Ok(cgroup),
            Err(error) => refused = Some(NoCgroup::Refused(parent.clone(), error)),
        }
    }
    Err(refused.unwrap_or(NoCgroup::NoHierarchy))
}

/// Makes the cgroup, and goes in and out once: to be allowed to make it is not to be allowed to use it.
fn make_below(parent: &Path, own: &Path, group: &ExecGroup) -> io::Result<Cgroup> {
    let all = parent.join(DIRECTORY);
    match fs::create_dir(&all) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => remove_left_behind(&all),
    }
    let cgroup = Cgroup {
        directory: all.join(group.to_string()),
        own: own.to_owned(),
    };
    fs::create_dir(&cgroup.directory)?;
    if let Err(error) = join(&cgroup.directory) {
        let _ = fs::remove_dir(&cgroup.directory);
        return Err(error);
    }
    let _ = join(&cgroup.own);
    Ok(cgroup)
}

/// Removes cgroups whose supervisor is gone, that were kept for long enough, and that have no processes left:
/// the kernel refuses to remove any other.
fn remove_left_behind(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let group = name
            .to_str()
            .and_then(|name| name.parse::<ExecGroup>().ok());
        let pid = group
            .as_ref()
            .and_then(|group| group.id().split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) && was_kept(&entry) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn was_kept(cgroup: &fs::DirEntry) -> bool {
    let ended = cgroup.metadata().and_then(|metadata| metadata.modified());
    ended.is_ok_and(|ended| ended.elapsed().is_ok_and(|age| age >= KEEP))
}

/// Moves this process, with all its threads.
fn join(cgroup: &Path) -> io::Result<()> {
    let mut procs = OpenOptions::new()
        .write(true)
        .open(cgroup.join("cgroup.procs"))?;
    procs.write_all(b"0")
}
