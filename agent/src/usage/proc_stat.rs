//! CPU time as /proc tells it: of the node (`stat`) and of each process (`PID/stat`), in clock ticks.
//! Formats: proc(5).

use std::path::Path;
use std::sync::OnceLock;

use super::UsageError;

/// CPU time of all CPUs together since boot, everything but idle, I/O wait and what a hypervisor took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyTime {
    /// In clock ticks. `user` and `nice` already hold the guests' time.
    ticks: u64,
    /// CPUs that are online.
    pub cpus: u32,
}

impl BusyTime {
    /// Reads `path`, a /proc/stat.
    ///
    /// # Errors
    /// Where it cannot be read or is no such file.
    pub fn read(path: &Path) -> Result<Self, UsageError> {
        let fail = |message: String| UsageError::new("/proc/stat", message);
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(format!("{}: {error}", path.display())))?;
        Self::parse(&text)
            .ok_or_else(|| fail(format!("{} has no line of all CPUs", path.display())))
    }

    /// `None` where the text is no such file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let fields: Vec<u64> = all
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, ..] = fields[..] else {
            return None;
        };
        let is_cpu = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let cpus = text.lines().filter(is_cpu).count() as u32;
        Some(Self {
            ticks: [user, nice, system, irq, softirq]
                .into_iter()
                .fold(0, u64::saturating_add),
            cpus: cpus.max(1),
        })
    }

    /// In seconds of one CPU.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.ns() as f64 / 1e9
    }

    /// In nanoseconds of one CPU.
    #[must_use]
    pub fn ns(self) -> u64 {
        self.ticks.saturating_mul(tick_ns())
    }
}

/// One process, from `PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its name, at most 15 bytes.
    pub comm: String,
    /// CPU time of all its threads, the ended ones too.
    pub cpu_ns: u64,
    /// When it started, in clock ticks since boot: with the pid, its identity.
    pub start_ticks: u64,
}

/// Bytes of a process's name at most, as the kernel keeps it. What /proc tells of a kernel's thread may be
/// longer.
const MAX_COMM_BYTES: usize = 15;

impl ProcessStat {
    /// From `process`/stat; `None` where it cannot be read.
    #[must_use]
    pub fn read(process: &Path) -> Option<Self> {
        let bytes = std::fs::read(process.join("stat")).ok()?;
        // A process may give itself any name.
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            let ascii = error.as_bytes().iter();
            let ascii = ascii.map(|byte| if byte.is_ascii() { *byte } else { b'?' });
            ascii.map(char::from).collect()
        });
        Self::parse(&text)
    }

    /// `None` where the text is no such file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may hold any character, a parenthesis too.
        let (before, after) = text.rsplit_once(')')?;
        let (_, comm) = before.split_once('(')?;
        // After the name: state is field 3 of proc(5), utime 14, stime 15, starttime 22.
        let fields: Vec<&str> = after.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            comm: comm[..comm.floor_char_boundary(MAX_COMM_BYTES)].to_owned(),
            cpu_ns: field(14)?
                .saturating_add(field(15)?)
                .saturating_mul(tick_ns()),
            start_ticks: field(22)?,
        })
    }
}

/// A time since boot, as /proc tells it.
pub(super) fn ticks(boottime_ns: u64) -> u64 {
    boottime_ns / tick_ns()
}

/// Length of a clock tick of /proc, 10 ms on every common system.
fn tick_ns() -> u64 {
    static TICK_NS: OnceLock<u64> = OnceLock::new();
    *TICK_NS.get_or_init(|| 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_all_but_idle_iowait_and_steal() {
        let text = "cpu  100 20 30 4000 500 6 7 800 90 10\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n";
        let busy = BusyTime::parse(text).unwrap();
        assert_eq!((busy.ticks, busy.cpus), (163, 2));
        assert_eq!(BusyTime::parse("intr 5\n"), None);
        assert_eq!(BusyTime::parse("cpu  1 2\n"), None);
        let most = u64::MAX;
        let broken = BusyTime::parse(&format!("cpu  {most} {most} 1 0 0 0 0\n")).unwrap();
        assert_eq!((broken.ns(), broken.cpus), (most, 1));
    }

    #[test]
    fn a_name_may_hold_anything() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 250 50 7 3 20 0 1 0 9999 0 0";
        let stat = ProcessStat::parse(&format!("42 (a) (b\n c) {rest}")).unwrap();
        assert_eq!(stat.comm, "a) (b\n c");
        assert_eq!(stat.cpu_ns, 300 * tick_ns());
        assert_eq!(stat.start_ticks, 9999);
        let long = ProcessStat::parse(&format!("42 (kworker/u8:0-\u{e9}vents) {rest}")).unwrap();
        assert_eq!(long.comm, "kworker/u8:0-\u{e9}");
        assert_eq!(ProcessStat::parse("42 (x) S 1"), None);
        assert_eq!(ProcessStat::parse(""), None);

        let process = tempfile::tempdir().unwrap();
        let latin = [b"42 (caf\xe9) ", rest.as_bytes()].concat();
        std::fs::write(process.path().join("stat"), latin).unwrap();
        assert_eq!(ProcessStat::read(process.path()).unwrap().comm, "caf?");
    }
}
