//! Where the running kernel keeps a task's cgroups, read from the kernel's own description of its types
//! (BTF, the kernel's Documentation/bpf/btf.rst). Aya resolves such offsets only for programs built with
//! relocations, which rustc does not write.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use agent_ebpf::{UNIFIED_STEPS, V1_STEPS};

/// Below sysfs.
const VMLINUX: &str = "kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// A task's set of cgroups.
const SET: Member = ("task_struct", "cgroups");
/// Members on the way from a set to the id of its cgroup in the unified hierarchy.
const UNIFIED: [Member; UNIFIED_STEPS] = [
    ("css_set", "dfl_cgrp"),
    ("cgroup", "kn"),
    ("kernfs_node", "id"),
];
/// The same in a v1 hierarchy.
const V1: [Member; V1_STEPS] = [
    ("css_set", "subsys"),
    ("cgroup_subsys_state", "cgroup"),
    ("cgroup", "kn"),
    ("kernfs_node", "id"),
];
/// The enum that numbers the controllers, and the one that accounts CPU time.
const CONTROLLERS: &str = "cgroup_subsys_id";
const CPUACCT: &str = "cpuacct_cgrp_id";
/// The type of the arguments of the tracepoint `sched_switch`.
const SWITCH: &str = "btf_trace_sched_switch";

/// A structure and its member.
type Member = (&'static str, &'static str);

/// What the programs need to know: offsets for [`agent_ebpf::Settings`], and a type's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Of a task's set of cgroups.
    pub set: u32,
    /// From a set to the id of its cgroup in the unified hierarchy.
    pub unified_path: [u32; UNIFIED_STEPS],
    /// From a set to the id of its cgroup in the v1 hierarchy that accounts CPU time, or why there is no way.
    pub v1_path: Result<[u32; V1_STEPS], String>,
    /// Number of the type of the arguments of the tracepoint `sched_switch`.
    pub switch: Option<u32>,
}

/// Those of the running kernel.
///
/// # Errors
/// What is missing: the description itself, or a member.
pub(super) fn offsets(sys_root: &Path) -> Result<Offsets, String> {
    let path = sys_root.join(VMLINUX);
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    offsets_in(&bytes)
}

/// The same of the content of the kernel's description.
///
/// # Errors
/// What is missing.
pub fn offsets_in(bytes: &[u8]) -> Result<Offsets, String> {
    let btf = Btf::parse(bytes).ok_or("the kernel's BTF cannot be parsed")?;
    let wanted = || [SET].into_iter().chain(UNIFIED).chain(V1);
    let mut found: HashMap<Member, u32> = HashMap::new();
    let (mut controller, mut switch) = (None, None);
    btf.each(|kind| match kind {
        Kind::Member { of, name, offset } => {
            if let Some(member) = wanted().find(|member| *member == (of, name)) {
                found.entry(member).or_insert(offset);
            }
        }
        Kind::Value { of, name, value } if (of, name) == (CONTROLLERS, CPUACCT) => {
            controller = Some(value);
        }
        Kind::Typedef { name: SWITCH, id } => switch = Some(id),
        Kind::Value { .. } | Kind::Typedef { .. } => {}
    })
    .ok_or("the kernel's BTF ends in the middle of a type")?;
    let offset = |member: Member| {
        let missing = || format!("the kernel's BTF has no {}.{}", member.0, member.1);
        found.get(&member).copied().ok_or_else(missing)
    };
    Ok(Offsets {
        set: offset(SET)?,
        unified_path: all(UNIFIED, offset)?,
        v1_path: v1_path(all(V1, offset)?, controller),
        switch,
    })
}

/// A description in which nothing but the arguments of `sched_switch` has a name, at the number that the kernel's own
/// gives it: all that aya looks up. Of the kernel's own, aya would make a copy type by type, and refuse kinds that it does not
/// know.
pub(super) fn with_switch_alone(id: u32) -> Vec<u8> {
    const HEADER_BYTES: u32 = 24;
    const RECORD_BYTES: u32 = 12;
    const FORWARD: u32 = 7 << 24;
    const TYPEDEF: u32 = 8 << 24;
    let strings = format!("\0{SWITCH}\0");
    let types_bytes = id * RECORD_BYTES;
    let mut words = vec![
        // Version 1, no flags.
        u32::from(MAGIC) | 1 << 16,
        HEADER_BYTES,
        0,
        types_bytes,
        types_bytes,
        strings.len() as u32,
    ];
    words.extend((1..id).flat_map(|_| [0, FORWARD, 0]));
    words.extend([1, TYPEDEF, 0]);
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.extend(strings.bytes());
    bytes
}

fn all<const N: usize>(
    path: [Member; N],
    offset: impl Fn(Member) -> Result<u32, String>,
) -> Result<[u32; N], String> {
    let mut offsets = [0; N];
    for (place, member) in offsets.iter_mut().zip(path) {
        *place = offset(member)?;
    }
    Ok(offsets)
}

/// `css_set.subsys` is an array of pointers, one per controller.
fn v1_path(
    mut offsets: [u32; V1_STEPS],
    controller: Option<u32>,
) -> Result<[u32; V1_STEPS], String> {
    let controller = controller.ok_or("the kernel has no cgroup controller cpuacct")?;
    offsets[0] = controller
        .checked_mul(size_of::<u64>() as u32)
        .and_then(|place| offsets[0].checked_add(place))
        .ok_or("the kernel's BTF gives the controller cpuacct an impossible number")?;
    Ok(offsets)
}

/// What is looked for.
enum Kind<'a> {
    Member {
        of: &'a str,
        name: &'a str,
        offset: u32,
    },
    Value {
        of: &'a str,
        name: &'a str,
        value: u32,
    },
    Typedef {
        name: &'a str,
        id: u32,
    },
}

struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Btf<'a> {
    /// Header: magic (2 bytes), version, flags, length; then offset and length of types and of strings, from
    /// the header's end on.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let magic = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        let body = bytes.get(word(bytes, 4)? as usize..)?;
        let part = |at: usize| {
            let (begin, length) = (word(bytes, at)? as usize, word(bytes, at + 4)? as usize);
            body.get(begin..begin.checked_add(length)?)
        };
        (magic == MAGIC).then_some(Self {
            types: part(8)?,
            strings: part(16)?,
        })
    }

    /// Walks all types. `None` where they cannot be walked to their end.
    fn each(&self, mut visit: impl FnMut(Kind<'a>)) -> Option<()> {
        let mut at = 0;
        // Number 0 is that of no type.
        let mut id = 0;
        while at < self.types.len() {
            id += 1;
            let (name, info) = (word(self.types, at)?, word(self.types, at + 4)?);
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let has_bit_fields = info >> 31 == 1;
            let of = self.string(name)?;
            at += 12;
            if kind == 8 {
                visit(Kind::Typedef { name: of, id });
            }
            let item_bytes = match kind {
                // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
                2 | 7..=12 | 16 | 18 => 0,
                // Integer, variable, declaration tag: one record, whatever the count.
                1 | 14 | 17 => {
                    at += 4;
                    0
                }
                // Array.
                3 => {
                    at += 12;
                    0
                }
                // Structure, union, data section, 64-bit enum.
                4 | 5 | 15 | 19 => 12,
                // Enum, function prototype.
                6 | 13 => 8,
                _ => return None,
            };
            for item in 0..count {
                let item = at + item * item_bytes;
                if kind == 4 {
                    let bits = word(self.types, item + 8)?;
                    let bits = if has_bit_fields {
                        bits & 0xff_ffff
                    } else {
                        bits
                    };
                    let name = self.string(word(self.types, item)?)?;
                    let offset = bits / 8;
                    visit(Kind::Member { of, name, offset });
                } else if kind == 6 {
                    let name = self.string(word(self.types, item)?)?;
                    let value = word(self.types, item + 4)?;
                    visit(Kind::Value { of, name, value });
                }
            }
            if item_bytes > 0 {
                at += count * item_bytes;
            }
        }
        Some(())
    }

    fn string(&self, at: u32) -> Option<&'a str> {
        let rest = self.strings.get(at as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        // Names are identifiers.
        Some(str::from_utf8(&rest[..end]).unwrap_or_default())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_says_where_a_task_s_cgroup_is() {
        let offsets = offsets(Path::new("/sys")).unwrap();
        // A task structure is large, and a cgroup's state begins with its cgroup.
        let v1_path = offsets.v1_path.clone().unwrap();
        assert!(offsets.set > 64 && v1_path[1] < 64, "{offsets:?}");
        assert_eq!(offsets.unified_path[1..], v1_path[2..]);
    }

    #[test]
    fn the_one_type_with_a_name_is_where_the_kernel_has_it() {
        let id = offsets(Path::new("/sys")).unwrap().switch.unwrap();
        let alone = with_switch_alone(id);
        let mut found = Vec::new();
        let walked = Btf::parse(&alone).unwrap().each(|kind| {
            if let Kind::Typedef { name, id } = kind {
                found.push((name.to_owned(), id));
            }
        });
        assert_eq!((walked, found), (Some(()), vec![(SWITCH.to_owned(), id)]));
    }

    #[test]
    fn what_is_no_description_is_refused_in_words() {
        let vmlinux = fs::read("/sys/kernel/btf/vmlinux").unwrap();
        for (bytes, expected) in [
            (&b""[..], "cannot be parsed"),
            (&[0; 64], "cannot be parsed"),
            (&vmlinux[..1000], "cannot be parsed"),
        ] {
            let error = offsets_in(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let seed = "../fuzz/corpus/btf/controller-past-all-offsets";
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join(seed);
        assert!(offsets_in(&fs::read(seed).unwrap()).is_err());
        for (controller, expected) in [
            (None, "no cgroup controller"),
            (Some(u32::MAX), "impossible number"),
        ] {
            let error = v1_path([8; V1_STEPS], controller).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = offsets(Path::new("/nowhere")).unwrap_err();
        assert!(error.contains("/nowhere/kernel/btf/vmlinux"), "{error}");
    }
}
