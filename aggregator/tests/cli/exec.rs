//! `hxmlops exec`, in cgroups and without: this test needs to be root, in a system with cgroups.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Ended, hxmlops, run};

/// How the command's processes are shown to the agent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Cgroup,
    Tree,
}

const BOTH: [Way; 2] = [Way::Cgroup, Way::Tree];

const LABELS: [&str; 8] = [
    "exec",
    "--workflow",
    "w",
    "--run",
    "cli-test",
    "--stage",
    "s",
    "--",
];

/// `exec` of a command. The way `Tree` is that of a user who may make no cgroup.
fn exec(way: Way, command: &[&str]) -> Command {
    match way {
        Way::Cgroup => hxmlops(LABELS.iter().chain(command)),
        Way::Tree => as_nobody("", command),
    }
}

/// `exec` by a user without rights, after what `before` does with them still there. The program is reached
/// through an open file, whatever the directories above the build's own permit that user.
fn as_nobody(before: &str, command: &[&str]) -> Command {
    let drop_rights = "exec setpriv --reuid=65534 --regid=65534 --clear-groups -- /proc/self/fd/3";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{before} {drop_rights} \"$@\" 3<\"$0\"")])
        .arg(env!("CARGO_BIN_EXE_hxmlops"))
        .args(LABELS.iter().chain(command))
        .env("PATH", "/usr/bin:/bin")
        .env_remove("HXMLOPS_SERVER")
        .current_dir("/");
    shell
}

fn end(way: Way, command: &[&str]) -> Ended {
    exec(way, command).output().unwrap().into()
}

#[test]
fn the_exit_code_is_the_command_s() {
    for way in BOTH {
        for (script, code) in [
            ("true", 0),
            ("exit 7", 7),
            ("kill -9 $$", 137),
            ("kill -TERM $$", 143),
        ] {
            let ended = end(way, &["sh", "-c", script]);
            assert_eq!(ended.code, Some(code), "{way:?} {script}: {ended:?}");
        }
        for (command, code) in [("no-such-command", 127), ("/etc/passwd", 126)] {
            let ended = end(way, &[command]);
            assert_eq!(ended.code, Some(code), "{way:?} {command}: {ended:?}");
            assert!(
                ended
                    .stderr
                    .contains(&format!("error: cannot run '{command}': ")),
                "{ended:?}"
            );
        }
    }
}

#[test]
fn the_command_is_born_in_its_cgroups_and_they_are_kept_for_a_while() {
    let ended = end(Way::Cgroup, &["cat", "/proc/self/cgroup"]);
    // It has one name, in each hierarchy that counts.
    let groups: BTreeSet<&str> = ended
        .assert_done()
        .lines()
        .filter(|line| line.starts_with("0::") || line.contains("cpuacct"))
        .filter_map(|line| line.split_once("/hxmlops.exec/").map(|(_, name)| name))
        .collect();
    assert_eq!(groups.len(), 1, "{ended:?}");
    for group in groups {
        assert!(group.starts_with("w:cli-test:s:"), "{group}");
        let kept = directories_of(group);
        assert!(!kept.is_empty(), "an agent may not have come by yet");
        kept.iter().for_each(|directory| age(directory));
        end(Way::Cgroup, &["true"]).assert_done();
        assert_eq!(directories_of(group), Vec::<PathBuf>::new());
    }
    assert_eq!(ended.stderr, "");
}

/// As if the command had ended eleven minutes ago.
fn age(directory: &Path) {
    let ended = std::time::SystemTime::now() - std::time::Duration::from_secs(11 * 60);
    fs::File::open(directory)
        .unwrap()
        .set_modified(ended)
        .unwrap();
}

/// All cgroup directories of a group, wherever hierarchies are mounted.
fn directories_of(group: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|line| line.contains(" - cgroup"));
    points
        .map(|line| {
            Path::new(line.split(' ').nth(4).unwrap())
                .join("hxmlops.exec")
                .join(group)
        })
        .filter(|directory| directory.exists())
        .collect()
}

#[test]
fn where_no_cgroup_may_be_made_the_supervisor_bears_the_group_s_name() {
    let ended = end(
        Way::Tree,
        &["sh", "-c", "tr '\\0' '\\n' < /proc/$PPID/cmdline"],
    );
    let words: Vec<&str> = ended.assert_done().lines().collect();
    assert!(
        words[0].starts_with("hxmlops.exec/w:cli-test:s:"),
        "{words:?}"
    );
    assert_eq!(words[1..3], ["sh", "-c"]);
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("cannot make a cgroup in ") && ended.stderr.contains("process tree")
    );
}

#[test]
fn a_user_s_own_cgroup_will_do() {
    // As systemd delegates them: the user owns the directory and may move processes within.
    let name = format!("hxmlops-cli-test-{}", std::process::id());
    let made: Vec<PathBuf> = counting_hierarchies()
        .iter()
        .map(|root| root.join(&name))
        .collect();
    let mut before = String::new();
    for directory in &made {
        fs::create_dir(directory).unwrap();
        for owned in [directory, &directory.join("cgroup.procs")] {
            std::os::unix::fs::chown(owned, Some(65534), Some(65534)).unwrap();
        }
        before += &format!("echo 0 > '{}/cgroup.procs';", directory.display());
    }
    let ended: Ended = as_nobody(&before, &["cat", "/proc/self/cgroup"])
        .output()
        .unwrap()
        .into();
    for directory in &made {
        let all = directory.join("hxmlops.exec");
        for entry in fs::read_dir(&all).unwrap().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(all);
        fs::remove_dir(directory).unwrap();
    }
    let inside = format!("/{name}/hxmlops.exec/w:cli-test:s:");
    assert_eq!(
        ended.assert_done().matches(&inside).count(),
        made.len(),
        "{ended:?}"
    );
    assert_eq!(ended.stderr, "");
}

/// Where the hierarchies are mounted in which a command gets a cgroup.
fn counting_hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let counts = |line: &&str| line.contains(" - cgroup2 ") || line.contains("cpuacct");
    let points = mounts
        .lines()
        .filter(counts)
        .map(|line| line.split(' ').nth(4).unwrap());
    points.map(PathBuf::from).collect()
}

#[test]
fn orphans_stay_below_the_supervisor() {
    // The inner shell's parent ends at once; it then waits until it was adopted, and tells by whom.
    let orphan = "while [ $(ps -o ppid= -p $$) = $1 ]; do :; done; tr '\\0' ' ' < /proc/$(ps -o ppid= -p $$ | tr -d ' ')/cmdline";
    let script = format!(
        "mkfifo $0; (sh -c 'sh -c \"$1\" orphan $$ > \"$2\" & exit' x \"{}\" $0 &); cat $0; rm $0",
        orphan.replace('$', "\\$").replace('"', "\\\"")
    );
    let fifo = std::env::temp_dir().join(format!("hxmlops-cli-orphan-{}", std::process::id()));
    let ended = end(Way::Tree, &["sh", "-c", &script, fifo.to_str().unwrap()]);
    assert!(
        ended
            .assert_done()
            .starts_with("hxmlops.exec/w:cli-test:s:"),
        "{ended:?}"
    );
}

#[test]
fn standard_input_and_output_are_the_command_s() {
    for way in BOTH {
        let mut child = exec(way, &["cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"through and through")
            .unwrap();
        let ended: Ended = child.wait_with_output().unwrap().into();
        assert_eq!(ended.assert_done(), "through and through", "{way:?}");
    }
}

#[test]
fn signals_reach_the_command() {
    for way in BOTH {
        for (name, signal) in [
            ("TERM", Signal::TERM),
            ("INT", Signal::INT),
            ("HUP", Signal::HUP),
            ("QUIT", Signal::QUIT),
            ("USR1", Signal::USR1),
        ] {
            let script = format!(
                "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do read x; done"
            );
            let (mut child, mut lines) = started(exec(way, &["sh", "-c", &script]));
            kill_process(pid(&child), signal).unwrap();
            let told = lines.next().unwrap().unwrap();
            assert_eq!(told, format!("got {name}"), "{way:?}");
            assert_eq!(child.wait().unwrap().code(), Some(9), "{way:?} {name}");
        }
    }
}

/// Started, and told to be ready. Its standard input is a pipe that stays open and empty.
fn started(mut exec: Command) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
    // Its own process group, so that it is never in the foreground of a terminal that the test runs in.
    let mut child = exec
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    (child, lines)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

#[test]
fn what_the_caller_ignores_stays_ignored() {
    let mut exec = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_hxmlops");
    exec.args(["-c", "trap '' HUP; exec \"$0\" exec --workflow w --run cli-test --stage s -- sh -c 'echo ready; read x; echo alive; grep SigIgn /proc/self/status'", program]);
    let (mut child, mut lines) = started(exec);
    kill_process(pid(&child), Signal::HUP).unwrap();
    child.stdin.take().unwrap().write_all(b"x\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "alive");
    let mask = lines.next().unwrap().unwrap();
    let mask = u64::from_str_radix(mask.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(mask & 1, 1, "the command ignores SIGHUP");
    assert!(child.wait().unwrap().success());
}

#[test]
fn processes_left_behind_keep_their_cgroup_until_they_end() {
    // The one left behind ends when its standard input does.
    let script = "grep -o 'w:cli-test.*' /proc/self/cgroup | head -1; { cat <&3 > /dev/null 2>&1 & } 3<&0; exit 3";
    let mut child = exec(Way::Cgroup, &["sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let group = lines.next().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let kept = directories_of(&group);
    assert!(!kept.is_empty(), "{group}");

    let mut left: Vec<String> = Vec::new();
    for directory in &kept {
        left.push(fs::read_to_string(directory.join("cgroup.procs")).unwrap());
    }
    assert!(left.iter().all(|pids| !pids.trim().is_empty()), "{left:?}");
    drop(stdin);
    // Ended once nobody has it any more.
    for directory in &kept {
        while !fs::read_to_string(directory.join("cgroup.procs"))
            .unwrap_or_default()
            .is_empty()
        {
            std::thread::yield_now();
        }
    }
    // A later exec finds them empty and their supervisor long gone.
    kept.iter().for_each(|directory| age(directory));
    end(Way::Cgroup, &["true"]).assert_done();
    assert_eq!(directories_of(&group), Vec::<PathBuf>::new());
}

#[test]
fn labels_are_label_values() {
    for (flag, bad) in [("--workflow", "a/b"), ("--run", ".."), ("--stage", "")] {
        let mut args = vec!["exec"];
        for name in ["--workflow", "--run", "--stage"] {
            args.extend([name, if name == flag { bad } else { "x" }]);
        }
        args.extend(["--", "true"]);
        run(args).assert_usage("is not a label value");
    }
    run(["exec", "--workflow", "w", "--run", "r", "--stage", "s"]).assert_usage("CMD");
}
