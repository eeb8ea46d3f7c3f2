//! Which cgroup hierarchies count CPU time here, and where this process is in each. Pure.

use std::path::PathBuf;

/// One hierarchy in which a command gets a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where its root, or the part of it that is visible, is mounted.
    pub root: PathBuf,
    /// The directory of the cgroup that this process is in.
    pub own: PathBuf,
}

/// The unified hierarchy, and cpuacct's where cgroup v1 has one, from the texts of `/proc/self/mountinfo`
/// and `/proc/self/cgroup`. Of several mounts of one hierarchy, the first.
#[must_use]
pub fn hierarchies(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    [Kind::Unified, Kind::Cpuacct]
        .into_iter()
        .filter_map(|kind| {
            let mount = mountinfo
                .lines()
                .filter_map(Mount::parse)
                .find(|mount| kind.is(mount))?;
            let path = cgroup.lines().find_map(|line| kind.own_path(line))?;
            let own = mount.directory_of(path);
            Some(Hierarchy {
                root: mount.point,
                own,
            })
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Unified,
    Cpuacct,
}

impl Kind {
    fn is(self, mount: &Mount<'_>) -> bool {
        match self {
            Self::Unified => mount.fs_type == "cgroup2",
            Self::Cpuacct => {
                mount.fs_type == "cgroup" && mount.options.split(',').any(|o| o == "cpuacct")
            }
        }
    }

    /// The path in a line `ID:CONTROLLERS:PATH` of `/proc/self/cgroup`, if it is this hierarchy's.
    fn own_path(self, line: &str) -> Option<&str> {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_own = match self {
            Self::Unified => id == "0" && controllers.is_empty(),
            Self::Cpuacct => controllers.split(',').any(|name| name == "cpuacct"),
        };
        is_own.then_some(path)
    }
}

/// A line of mountinfo (proc_pid_mountinfo(5)): ID PARENT DEVICE ROOT POINT OPTIONS [TAGS] - TYPE SOURCE
/// SUPER_OPTIONS.
struct Mount<'a> {
    /// The directory of the file system that is mounted.
    root: String,
    point: PathBuf,
    fs_type: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        let fs_type = file_system.next()?;
        let options = file_system.nth(1)?;
        Some(Self {
            root: unescape(root),
            point: PathBuf::from(unescape(point)),
            fs_type,
            options,
        })
    }

    /// The directory of a cgroup; the mount's own root where the cgroup lies outside of what is mounted.
    fn directory_of(&self, path: &str) -> PathBuf {
        let below = match self.root.as_str() {
            "/" => Some(path),
            root => path.strip_prefix(root),
        };
        match below {
            Some(below) if !below.split('/').any(|part| part == "..") => {
                let parts = below.split('/').filter(|part| !part.is_empty());
                parts.fold(self.point.clone(), |directory, part| directory.join(part))
            }
            _ => self.point.clone(),
        }
    }
}

/// Spaces and the like are written as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (code, char)| {
        text.replace(code, char)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(mountinfo: &str, cgroup: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(root, own)| Hierarchy {
                root: PathBuf::from(root),
                own: PathBuf::from(own),
            })
            .collect();
        assert_eq!(hierarchies(mountinfo, cgroup), expected);
    }

    #[test]
    fn unified_alone() {
        check(
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/user.slice/user-1000.slice/session-2.scope\n",
            &[(
                "/sys/fs/cgroup",
                "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope",
            )],
        );
    }

    #[test]
    fn hybrid_with_cpuacct_beside_cpu() {
        check(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "4:memory:/other\n2:cpu,cpuacct:/a\n0::/b\n",
            &[
                ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/b"),
                ("/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a"),
            ],
        );
    }

    #[test]
    fn a_container_sees_a_part_of_the_hierarchy() {
        let mountinfo = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        check(
            mountinfo,
            "0::/docker/abc/x\n",
            &[("/sys/fs/cgroup", "/sys/fs/cgroup/x")],
        );
        check(
            mountinfo,
            "0::/../other\n",
            &[("/sys/fs/cgroup", "/sys/fs/cgroup")],
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(mountinfo in "(?s).{0,200}", cgroup in "(?s).{0,100}") {
            let _ = hierarchies(&mountinfo, &cgroup);
            let _ = hierarchies(&format!("1 2 0:3 / /a rw - cgroup2 {mountinfo} rw"), &cgroup);
        }
    }

    #[test]
    fn none_at_all_and_garbage() {
        check("", "", &[]);
        check("x\n31 - cgroup2\n\u{0} - \n", "0::/\nfoo\n", &[]);
        check(
            "1 2 0:3 / /a\\040b rw - cgroup2 cgroup2 rw\n",
            "0::/c\n",
            &[("/a b", "/a b/c")],
        );
    }
}
