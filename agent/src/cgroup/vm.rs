//! Virtual machines by their cgroups, and by QEMU's command line where they have none of their own. Pure.
//!
//! Forms: libvirt's `machine-qemu\x2dN\x2dNAME.scope` with systemd (machined's name, escaped as systemd.unit(5) has it),
//! its `[qemu-N-]NAME.libvirt-qemu` without, and `qemu.slice/VMID.scope` of Proxmox.

/// The name of the virtual machine whose cgroup this part of a path is; `around`: the part before it.
#[must_use]
pub fn name_in_path(around: &str, part: &str) -> Option<String> {
    name_of(around, part).filter(|name| !name.is_empty() && wire::is_name(name))
}

fn name_of(around: &str, part: &str) -> Option<String> {
    let scope = part.strip_suffix(".scope");
    // Elsewhere anybody may give a cgroup this name.
    let is_machined = around == "machine.slice";
    let machined = scope
        .filter(|_| is_machined)
        .and_then(|scope| scope.strip_prefix("machine-"));
    if let Some(name) = machined.and_then(unescape) {
        return name
            .strip_prefix("qemu-")
            .map(|name| without_number(name).to_owned());
    }
    if let Some(name) = part.strip_suffix(".libvirt-qemu") {
        return Some(
            name.strip_prefix("qemu-")
                .map_or(name, without_number)
                .to_owned(),
        );
    }
    scope
        .filter(|id| around == "qemu.slice" && id.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
}

/// `3-web-1` without libvirt's running number: `web-1`.
fn without_number(name: &str) -> &str {
    match name.split_once('-') {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => name,
    }
}

/// What systemd writes as `\xHH`; `None` of what it does not write.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The name in the content of a QEMU's `/proc/PID/cmdline`: that of `-name [guest=]NAME[,...]`, else of `-uuid`.
#[must_use]
pub fn name_in_command(cmdline: &[u8]) -> Option<String> {
    let arguments: Vec<&str> = cmdline
        .split(|&byte| byte == 0)
        .map_while(|argument| str::from_utf8(argument).ok())
        .collect();
    let program = arguments.first()?.rsplit('/').next()?;
    if !(program.starts_with("qemu-") || program == "kvm") {
        return None;
    }
    let value = |flag: &str| {
        let mut pairs = arguments.windows(2);
        pairs.find_map(|pair| (pair[0].trim_start_matches('-') == flag).then_some(pair[1]))
    };
    let guest = value("name").and_then(|name| {
        let mut options = name.split(',');
        options
            .clone()
            .find_map(|option| option.strip_prefix("guest="))
            .or_else(|| options.next())
    });
    let name = guest.or_else(|| value("uuid"))?;
    (!name.is_empty() && wire::is_name(name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths() {
        let check = |around: &str, part: &str, expected: Option<&str>| {
            assert_eq!(
                name_in_path(around, part).as_deref(),
                expected,
                "{around}/{part}"
            );
        };
        check(
            "machine.slice",
            "machine-qemu\\x2d3\\x2dweb\\x2d1.scope",
            Some("web-1"),
        );
        check(
            "machine.slice",
            "machine-qemu\\x2d12\\x2ddb.scope",
            Some("db"),
        );
        check("machine.slice", "machine-lxc\\x2d1\\x2dbox.scope", None);
        check("machine.slice", "machine-qemu\\xzz.scope", None);
        check("machine", "vm1.libvirt-qemu", Some("vm1"));
        check("machine", "qemu-1-vm1.libvirt-qemu", Some("vm1"));
        check("qemu.slice", "100.scope", Some("100"));
        check("system.slice", "100.scope", None);
        check("machine.slice", "libpod-1.scope", None);
        check(
            "machine.slice",
            "machine-qemu\\x2d1\\x2da\\x0ab.scope",
            None,
        );
        check("machine.slice", "machine-qemu\\x2d1\\x2d.scope", None);
        check("app.slice", "machine-qemu\\x2d3\\x2dweb.scope", None);
    }

    #[test]
    fn names_in_commands() {
        let check = |arguments: &[&str], expected: Option<&str>| {
            let cmdline = arguments.join("\0");
            assert_eq!(
                name_in_command(cmdline.as_bytes()).as_deref(),
                expected,
                "{arguments:?}"
            );
        };
        let program = "/usr/bin/qemu-system-x86_64";
        check(
            &[program, "-name", "guest=vm1,debug-threads=on", "-m", "1"],
            Some("vm1"),
        );
        check(&[program, "-m", "1", "-name", "vm1"], Some("vm1"));
        check(&[program, "--name", "debug-threads=on,guest=a"], Some("a"));
        check(&["kvm", "-uuid", "0b1d"], Some("0b1d"));
        check(&[program, "-name"], None);
        check(&[program, "-m", "1"], None);
        check(&["/bin/sh", "-name", "vm1"], None);
        check(&[""], None);
    }
}
