//! Where the running kernel keeps a task's v1 cgroup, read from the kernel's own description of its types
//! (BTF, the kernel's Documentation/bpf/btf.rst). Aya resolves such offsets only for programs built with
//! relocations, which rustc does not write.

use std::fs;
use std::path::Path;

use agent_ebpf::V1_STEPS;

/// Below sysfs.
const VMLINUX: &str = "kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// Members on the way from a task to the id of its cgroup.
const PATH: [(&str, &str); V1_STEPS] = [
    ("task_struct", "cgroups"),
    ("css_set", "subsys"),
    ("cgroup_subsys_state", "cgroup"),
    ("cgroup", "kn"),
    ("kernfs_node", "id"),
];
/// The enum that numbers the controllers, and the one that accounts CPU time.
const CONTROLLERS: &str = "cgroup_subsys_id";
const CPUACCT: &str = "cpuacct_cgrp_id";

/// Offsets for [`agent_ebpf::Settings::v1_path`].
///
/// # Errors
/// What is missing: the description itself, or a member.
pub(super) fn v1_path(sys_root: &Path) -> Result<[u32; V1_STEPS], String> {
    let path = sys_root.join(VMLINUX);
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    path_in(&bytes)
}

/// The same of the content of the kernel's description.
///
/// # Errors
/// What is missing.
pub fn path_in(bytes: &[u8]) -> Result<[u32; V1_STEPS], String> {
    let btf = Btf::parse(bytes).ok_or("the kernel's BTF cannot be parsed")?;
    let (mut path, mut controller) = ([None; V1_STEPS], None);
    btf.each(|kind| match kind {
        Kind::Member { of, name, offset } => {
            if let Some(step) = PATH.iter().position(|step| *step == (of, name)) {
                path[step].get_or_insert(offset);
            }
        }
        Kind::Value { of, name, value } if (of, name) == (CONTROLLERS, CPUACCT) => {
            controller = Some(value);
        }
        Kind::Value { .. } => {}
    })
    .ok_or("the kernel's BTF ends in the middle of a type")?;
    let controller = controller.ok_or("the kernel has no cgroup controller cpuacct")?;
    let mut offsets = [0; V1_STEPS];
    for ((offset, found), (of, name)) in offsets.iter_mut().zip(path).zip(PATH) {
        *offset = found.ok_or_else(|| format!("the kernel's BTF has no {of}.{name}"))?;
    }
    // An array of pointers, one per controller.
    offsets[1] = controller
        .checked_mul(size_of::<u64>() as u32)
        .and_then(|place| offsets[1].checked_add(place))
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
        while at < self.types.len() {
            let (name, info) = (word(self.types, at)?, word(self.types, at + 4)?);
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let has_bit_fields = info >> 31 == 1;
            let of = self.string(name)?;
            at += 12;
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
        let path = v1_path(Path::new("/sys")).unwrap();
        // A task structure is large, and a cgroup's state begins with its cgroup.
        assert!(path[0] > 0 && path[2] < 64, "{path:?}");
    }

    #[test]
    fn what_is_no_description_is_refused_in_words() {
        let vmlinux = fs::read("/sys/kernel/btf/vmlinux").unwrap();
        for (bytes, expected) in [
            (&b""[..], "cannot be parsed"),
            (&[0; 64], "cannot be parsed"),
            (&vmlinux[..1000], "cannot be parsed"),
        ] {
            let error = path_in(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let seed = "../fuzz/corpus/btf/controller-past-all-offsets";
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join(seed);
        let error = path_in(&fs::read(seed).unwrap()).unwrap_err();
        assert!(error.contains("impossible number"), "{error}");
        let error = v1_path(Path::new("/nowhere")).unwrap_err();
        assert!(error.contains("/nowhere/kernel/btf/vmlinux"), "{error}");
    }
}
