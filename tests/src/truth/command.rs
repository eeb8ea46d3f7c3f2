//! What a power truth is told, one line each.

use std::str::FromStr;

use anyhow::{Context, bail, ensure};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `cpu N PACKAGE`: puts a CPU into a package (0 without it). Before `start`.
    Cpu(usize, usize),
    /// `zone DIRECTORY NAME IDLE_WATTS REST_WATTS [RANGE_UJ]`. Before `start`.
    Zone(ZoneLine),
    /// `every MS`: how often the files are written.
    Every(u64),
    /// `start`: the tree is there from now on, and time counts.
    Start,
    /// `group PATH WATTS [DRAM_WATTS]`: a cgroup, by its path below the roots of the trees, and its watts per CPU second.
    Group(GroupLine),
    /// `end PATH`: reads a group for the last time, since it is about to be removed.
    End(String),
    /// `fault ...`, without that word: something happens to a zone's files.
    Fault(String, Fault),
    /// `sync`: writes now, and answers with the truth.
    Sync,
    /// `quit`, as the end of the input.
    Quit,
}

/// A zone as its line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneLine {
    /// Such as `intel-rapl:0:1`.
    pub directory: String,
    /// Such as `package-0` or `dram`.
    pub name: String,
    /// Idle power in milliwatts.
    pub idle_mw: u64,
    /// Milliwatts per CPU second of what is in no group.
    pub rest_mw: u64,
    /// Where the counter turns, in microjoules.
    pub range_uj: u64,
}

/// A group as its line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLine {
    /// Without a slash at either end.
    pub path: String,
    /// Milliwatts per CPU second, in package zones.
    pub package_mw: u64,
    /// The same in memory zones.
    pub dram_mw: u64,
}

/// What may happen to a zone's files. Its energy goes on all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `range ZONE UJ`: the counter turns at UJ from now on, and the file says so.
    Range(u64),
    /// `wrong-range ZONE UJ`: the file says UJ and the counter turns where it did.
    WrongRange(u64),
    /// `jump ZONE [UJ]`: the counter stands at UJ (0) and counts on from there.
    Jump(u64),
    /// `vanish ZONE`: its directory is gone.
    Vanish,
    /// `unreadable ZONE`: a directory stands in the counter's place, since root can read any file.
    Unreadable,
    /// `return ZONE`: undoes both.
    Return,
    /// `stop ZONE`: the counter stands still.
    Stop,
    /// `continue ZONE`: it shows again what has been used, the time meanwhile included.
    Continue,
}

/// The kernel's own range on many servers.
pub const RANGE_UJ: u64 = 262_143_328_850;

impl FromStr for Command {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let command = match words[..] {
            ["cpu", cpu, package] => Self::Cpu(number(cpu)? as usize, number(package)? as usize),
            ["zone", directory, name, idle, rest, ref range @ ..] => Self::Zone(ZoneLine {
                directory: directory.to_owned(),
                name: name.to_owned(),
                idle_mw: milliwatts(idle)?,
                rest_mw: milliwatts(rest)?,
                range_uj: range_of(optional(range)?.unwrap_or(RANGE_UJ))?,
            }),
            ["every", ms] => Self::Every(number(ms)?.max(1)),
            ["start"] => Self::Start,
            ["group", path, package, ref dram @ ..] => Self::Group(GroupLine {
                path: path.trim_matches('/').to_owned(),
                package_mw: milliwatts(package)?,
                dram_mw: dram.first().map_or(Ok(0), |watts| milliwatts(watts))?,
            }),
            ["end", path] => Self::End(path.trim_matches('/').to_owned()),
            ["sync"] => Self::Sync,
            ["quit"] => Self::Quit,
            [name, zone, ref rest @ ..] => Self::Fault(zone.to_owned(), fault(name, rest)?),
            _ => bail!("no such command: {line}"),
        };
        Ok(command)
    }
}

fn fault(name: &str, rest: &[&str]) -> anyhow::Result<Fault> {
    Ok(match (name, optional(rest)?) {
        ("range", Some(uj)) => Fault::Range(range_of(uj)?),
        ("wrong-range", Some(uj)) => Fault::WrongRange(uj),
        ("jump", uj) => Fault::Jump(uj.unwrap_or(0)),
        ("vanish", None) => Fault::Vanish,
        ("unreadable", None) => Fault::Unreadable,
        ("return", None) => Fault::Return,
        ("stop", None) => Fault::Stop,
        ("continue", None) => Fault::Continue,
        _ => bail!("no such command: {name} ZONE {}", rest.join(" ")),
    })
}

fn optional(words: &[&str]) -> anyhow::Result<Option<u64>> {
    ensure!(words.len() <= 1, "too many words: {}", words.join(" "));
    words.first().map(|word| number(word)).transpose()
}

fn number(word: &str) -> anyhow::Result<u64> {
    word.parse()
        .with_context(|| format!("'{word}' is no whole number"))
}

fn range_of(uj: u64) -> anyhow::Result<u64> {
    ensure!(uj > 0, "a range is above 0");
    Ok(uj)
}

/// Watts with at most three decimals, exactly.
fn milliwatts(word: &str) -> anyhow::Result<u64> {
    let (whole, decimals) = word.split_once('.').unwrap_or((word, ""));
    ensure!(decimals.len() <= 3, "'{word}' has more than three decimals");
    number(&format!("{whole}{decimals:0<3}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_commands() {
        let fault = |fault| Command::Fault("intel-rapl:0".into(), fault);
        for (line, expected) in [
            ("cpu 1 0", Command::Cpu(1, 0)),
            ("every 5", Command::Every(5)),
            (" sync ", Command::Sync),
            ("end /a/b", Command::End("a/b".into())),
            ("range intel-rapl:0 7", fault(Fault::Range(7))),
            ("wrong-range intel-rapl:0 7", fault(Fault::WrongRange(7))),
            ("jump intel-rapl:0", fault(Fault::Jump(0))),
            ("jump intel-rapl:0 9", fault(Fault::Jump(9))),
            ("vanish intel-rapl:0", fault(Fault::Vanish)),
        ] {
            assert_eq!(line.parse::<Command>().unwrap(), expected);
        }
        let zone = ZoneLine {
            directory: "intel-rapl:0:1".into(),
            name: "dram".into(),
            idle_mw: 2_500,
            rest_mw: 3,
            range_uj: RANGE_UJ,
        };
        let line = "zone intel-rapl:0:1 dram 2.5 0.003";
        assert_eq!(line.parse::<Command>().unwrap(), Command::Zone(zone));
        let group = GroupLine {
            path: "a/b".into(),
            package_mw: 10_000,
            dram_mw: 1_250,
        };
        let line = "group /a/b 10 1.25";
        assert_eq!(line.parse::<Command>().unwrap(), Command::Group(group));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in [
            "",
            "hello",
            "zone a b 1",
            "group a x",
            "group a 1.2345",
            "range z",
            "range z 0",
            "vanish z 3",
            "jump z 1 2",
        ] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}
