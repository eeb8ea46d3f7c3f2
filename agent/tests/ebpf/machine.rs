//! What the tests take of the machine, and give back: cgroups, a v1 tree, a CPU.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, process};

use rustix::process::{Pid, Signal, kill_process};

/// A cgroup in the unified hierarchy, removed at the end.
pub(crate) struct Cgroup {
    pub(crate) path: PathBuf,
}

impl Cgroup {
    pub(crate) fn new(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let mount = mount.expect("a cgroup2 mount").split(' ').nth(4).unwrap();
        let name = format!("hxmlops-ebpf-test-{name}-{}", process::id());
        Self::at(Path::new(mount).join(name))
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("root, and a writable cgroup mount");
        Self { path }
    }

    pub(crate) fn id(&self) -> u64 {
        fs::metadata(&self.path).unwrap().ino()
    }

    /// What the kernel itself counted.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let stat = fs::read_to_string(self.path.join("cpu.stat")).unwrap();
        let usage = stat.lines().find_map(|l| l.strip_prefix("usage_usec "));
        usage.unwrap().parse::<u64>().unwrap() * 1000
    }

    /// A shell in this cgroup that runs `script` as soon as it is told to.
    pub(crate) fn shell(&self, script: &str) -> Child {
        let procs = self.path.join("cgroup.procs");
        let script = format!("echo 0 > {}; read go; {script}", procs.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stdin(Stdio::piped());
        let child = shell.spawn().unwrap();
        let pid = child.id().to_string();
        // The shell moves itself, so that nothing of it is counted before.
        while !fs::read_to_string(&procs).unwrap().contains(&pid) {
            std::thread::yield_now();
        }
        child
    }
}

/// Stops a process, so that the kernel notes all that it ran until now and not at its CPU's next tick, which is late on
/// a machine whose host is busy.
pub(crate) fn stop(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::STOP).unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    let is_stopped = || fs::read_to_string(&stat).unwrap().contains(") T ");
    while !is_stopped() {
        std::thread::yield_now();
    }
}

/// What the host has withheld from this machine's CPUs since it started. The kernel counts it as nobody's.
pub(crate) fn stolen_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let all_cpus = stat.lines().next().unwrap();
    let ticks: u64 = all_cpus.split_whitespace().nth(8).unwrap().parse().unwrap();
    ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second()
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What a failed test left behind is killed one by one: a kernel before 5.14 has no `cgroup.kill`. A
        // process that has ended may still be leaving its cgroup.
        while let Err(error) = fs::remove_dir(&self.path) {
            assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
            let procs = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
            let pids = procs
                .lines()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
            for pid in pids {
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::yield_now();
        }
    }
}

/// The v1 hierarchy that accounts CPU time: the machine's, or one that is mounted for as long as this lives.
pub(crate) struct V1 {
    pub(crate) root: PathBuf,
    mounted: Option<tempfile::TempDir>,
}

impl V1 {
    pub(crate) fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_it = |line: &&str| line.contains(" - cgroup ") && line.contains("cpuacct");
        if let Some(line) = mounts.lines().find(is_it) {
            let root = line.split(' ').nth(4).unwrap().into();
            return Self {
                root,
                mounted: None,
            };
        }
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "cgroup", "-o", "cpuacct", "cpuacct"]);
        let status = mount.arg(directory.path()).status().unwrap();
        assert!(status.success(), "root, and a kernel with cpuacct");
        Self {
            root: directory.path().into(),
            mounted: Some(directory),
        }
    }
}

impl Drop for V1 {
    fn drop(&mut self) {
        if self.mounted.is_some() {
            let _ = Command::new("umount").arg(&self.root).status();
        }
    }
}

/// A CPU that can be switched off, and is on again at the end.
pub(crate) struct CpuSwitch {
    pub(crate) cpu: usize,
}

impl CpuSwitch {
    pub(crate) fn of_last() -> Self {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
        let last = online.trim().rsplit([',', '-']).next().unwrap();
        let switch = Self {
            cpu: last.parse().unwrap(),
        };
        assert!(switch.path().exists(), "two CPUs, of which one can go");
        switch
    }

    pub(crate) fn path(&self) -> PathBuf {
        format!("/sys/devices/system/cpu/cpu{}/online", self.cpu).into()
    }

    pub(crate) fn turn(&self, on: bool) {
        fs::write(self.path(), if on { "1" } else { "0" }).unwrap();
    }
}

impl Drop for CpuSwitch {
    fn drop(&mut self) {
        let _ = fs::write(self.path(), "1");
    }
}
