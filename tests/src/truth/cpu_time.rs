//! CPU time as the kernel counts it, by package: of cgroups (v1 `cpuacct.usage_percpu`, else v2 `cpu.stat`) and of the
//! node (the v1 root, else `/proc/schedstat`: field 7 of a `cpu` line is the time that its tasks ran, in ns).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::cgroups::Trees;

/// The package of each CPU; 0 for those not in the list.
#[derive(Clone, Debug, Default)]
pub struct Topology(Vec<usize>);

impl Topology {
    /// Puts a CPU into a package.
    pub fn put(&mut self, cpu: usize, package: usize) {
        if self.0.len() <= cpu {
            self.0.resize(cpu + 1, 0);
        }
        self.0[cpu] = package;
    }

    /// The CPUs that were put somewhere, with their packages.
    pub fn cpus(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().copied().enumerate()
    }

    fn packages(&self) -> usize {
        self.0.iter().max().map_or(1, |last| last + 1)
    }

    /// Sums of figures by CPU.
    fn by_package(&self, figures: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut sums = vec![0; self.packages()];
        for (cpu, figure) in figures.enumerate() {
            sums[self.0.get(cpu).copied().unwrap_or(0)] += figure;
        }
        sums
    }
}

/// A counter of CPU time that is kept open: to read it must cost little.
#[derive(Debug)]
pub struct Reader {
    file: File,
    parse: fn(&str, &Topology) -> Option<Vec<u64>>,
    base: Vec<u64>,
    last: Vec<u64>,
}

impl Reader {
    /// A cgroup's, counted from now on.
    ///
    /// # Errors
    /// Where there is no such cgroup, or none that tells packages apart where there are several.
    pub fn of_group(trees: &Trees, path: &str, topology: &Topology) -> anyhow::Result<Self> {
        let open = |root: &Path, file: &str| File::open(root.join(path).join(file)).ok();
        if let Some(root) = &trees.cpuacct
            && let Some(file) = open(root, "cpuacct.usage_percpu")
        {
            return Self::new(file, per_cpu, topology);
        }
        let root = trees.unified.as_deref();
        let file = root.and_then(|root| open(root, "cpu.stat"));
        let file = file.with_context(|| format!("no cgroup {path} in any tree"))?;
        ensure!(
            topology.packages() == 1,
            "{path} is in no v1 tree: nothing tells its time on each package"
        );
        Self::new(file, cpu_stat, topology)
    }

    /// The node's busy time, counted from now on.
    ///
    /// # Errors
    /// Where the kernel does not tell it.
    pub fn of_node(trees: &Trees, topology: &Topology) -> anyhow::Result<Self> {
        if let Some(root) = &trees.cpuacct
            && let Ok(file) = File::open(root.join("cpuacct.usage_percpu"))
        {
            return Self::new(file, per_cpu, topology);
        }
        let file = File::open("/proc/schedstat");
        let file = file.context("neither a v1 cpuacct tree nor /proc/schedstat")?;
        Self::new(file, schedstat, topology)
    }

    fn new(
        file: File,
        parse: fn(&str, &Topology) -> Option<Vec<u64>>,
        topology: &Topology,
    ) -> anyhow::Result<Self> {
        let zero = vec![0; topology.packages()];
        let mut reader = Self {
            file,
            parse,
            base: zero.clone(),
            last: zero,
        };
        reader.base = reader.value(topology).context("no CPU time in it")?;
        Ok(reader)
    }

    /// Nanoseconds by package since it was made. A cgroup that is gone keeps what it had.
    pub fn read(&mut self, topology: &Topology) -> &[u64] {
        if let Some(now) = self.value(topology) {
            for (last, (now, base)) in self.last.iter_mut().zip(now.iter().zip(&self.base)) {
                *last = now.saturating_sub(*base).max(*last);
            }
        }
        &self.last
    }

    fn value(&self, topology: &Topology) -> Option<Vec<u64>> {
        let mut buffer = [0; 16 * 1024];
        let mut length = 0;
        // A file of the kernel's may come in several pieces.
        loop {
            let read = self
                .file
                .read_at(&mut buffer[length..], length as u64)
                .ok()?;
            if read == 0 {
                break;
            }
            length += read;
        }
        (self.parse)(str::from_utf8(&buffer[..length]).ok()?, topology)
    }
}

fn per_cpu(text: &str, topology: &Topology) -> Option<Vec<u64>> {
    let figures: Vec<u64> = numbers(text)?;
    Some(topology.by_package(figures.into_iter()))
}

fn cpu_stat(text: &str, _: &Topology) -> Option<Vec<u64>> {
    let mut lines = text.lines();
    let usec = lines.find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(vec![usec.parse::<u64>().ok()? * 1000])
}

fn schedstat(text: &str, topology: &Topology) -> Option<Vec<u64>> {
    let mut figures = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("cpu")) {
        let (cpu, fields) = line.split_once(' ')?;
        let cpu: usize = cpu.parse().ok()?;
        figures.resize(figures.len().max(cpu + 1), 0);
        figures[cpu] = *numbers(fields)?.get(6)?;
    }
    (!figures.is_empty()).then(|| topology.by_package(figures.into_iter()))
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_summed_by_package() {
        let mut topology = Topology::default();
        assert_eq!(per_cpu("5 7 \n", &topology), Some(vec![12]));
        assert_eq!(
            cpu_stat("usage_usec 12\nuser_usec 9\n", &topology),
            Some(vec![12_000])
        );
        for (cpu, package) in [(0, 0), (1, 1), (2, 1)] {
            topology.put(cpu, package);
        }
        assert_eq!(per_cpu("5 7 11", &topology), Some(vec![5, 18]));
        let text = "version 15\ntimestamp 4\ncpu0 1 2 3 4 5 6 700 8 9\ndomain0 3 1\ncpu2 0 0 0 0 0 0 90 0 0\n";
        assert_eq!(schedstat(text, &topology), Some(vec![700, 90]));
        assert_eq!(schedstat("version 15\n", &topology), None);
        assert_eq!(per_cpu("x", &topology), None);
    }
}
