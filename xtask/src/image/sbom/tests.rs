use std::collections::BTreeSet;

use super::super::program::PROGRAMS;
use super::*;

const TREE: &str = "\
0|agent v0.1.0 (/src/agent)|Apache-2.0
1|bytes v1.12.2|MIT
1|wire v0.1.0 (/src/wire)|Apache-2.0
2|bytes v1.12.2|MIT
2|zstd-sys v2.0.16+zstd.1.5.7|MIT/Apache-2.0
1|zstd-sys v2.0.16+zstd.1.5.7|MIT/Apache-2.0 (*)
1|nameless v1.0.0|
";
const LOCK: &str = r#"
version = 4

[[package]]
name = "bytes"
version = "1.12.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0ld"

[[package]]
name = "bytes"
version = "1.12.2"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "abc"

[[package]]
name = "agent"
version = "0.1.0"
dependencies = [
 "bytes",
]
"#;

fn package() -> Package {
    Package {
        name: "libc6".into(),
        version: "1:2.36-9+deb12u14".into(),
        architecture: "amd64".into(),
    }
}

fn crates() -> Vec<Crate> {
    crates::parse(TREE, &crates::checksums(LOCK)).unwrap()
}

#[test]
fn crates_have_their_licences_checksums_and_needs() {
    let crates = crates();
    let names: Vec<&str> = crates.iter().map(|one| &one.name[..]).collect();
    assert_eq!(names, ["agent", "bytes", "nameless", "wire", "zstd-sys"]);
    let zstd = "pkg:cargo/zstd-sys@2.0.16%2Bzstd.1.5.7";
    let [agent, bytes, nameless, wire, zstd_sys] = &crates[..] else {
        panic!("{crates:?}");
    };
    let needs = |one: &Crate| one.needs.iter().cloned().collect::<Vec<_>>();
    let all = [bytes, nameless, wire, zstd_sys].map(Crate::reference);
    assert_eq!(needs(agent), all);
    assert_eq!(needs(wire), ["pkg:cargo/bytes@1.12.2", zstd]);
    assert_eq!(bytes.checksum.as_deref(), Some("abc"));
    assert_eq!(agent.checksum, None);
    assert_eq!(nameless.license, None);
    assert_eq!(zstd_sys.license.as_deref(), Some("MIT OR Apache-2.0"));
    assert!(needs(zstd_sys).is_empty() && needs(bytes).is_empty());
}

#[test]
fn what_is_no_tree_is_refused() {
    for line in [
        "agent v0.1.0",
        "0|agent|MIT",
        "x|agent v0.1.0|MIT",
        "0|agent v0.1.0",
    ] {
        let error = crates::parse(line, &crates::checksums("")).unwrap_err();
        assert!(error.to_string().contains(line), "{error}");
    }
}

#[test]
fn what_two_programs_have_is_there_once() {
    let mut all = crates();
    let other = "0|agent-ebpf v0.1.0 (/src)|Apache-2.0\n1|aya-ebpf v0.2.1|MIT\n1|wire v0.1.0 (/src/wire)|Apache-2.0\n2|aya-ebpf v0.2.1|MIT";
    crates::join(
        &mut all,
        crates::parse(other, &crates::checksums("")).unwrap(),
    );
    let wire = all
        .iter()
        .filter(|one| one.name == "wire")
        .collect::<Vec<_>>();
    assert_eq!(wire.len(), 1);
    assert_eq!(wire[0].needs.len(), 3, "{wire:?}");
    assert_eq!(all.len(), 7);
}

#[test]
fn a_bill_refers_to_what_is_in_it_alone() {
    let program = &PROGRAMS[1];
    let revision = Revision {
        name: "c0ffee".into(),
        seconds: 1_700_000_000,
    };
    let package = package();
    let bom = assemble(program, &crates(), "1.95.0", &[&package], Some(&revision)).unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    assert_eq!(bom["specVersion"], "1.5");
    assert_eq!(bom["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let list = |key: &str| bom[key].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();

    let components = list("components");
    let references = components.iter().map(|one| text(&one["bom-ref"]));
    let mut known: BTreeSet<String> = references.collect();
    assert_eq!(known.len(), components.len(), "a reference is there twice");
    known.insert(text(&bom["metadata"]["component"]["bom-ref"]));
    for dependency in list("dependencies") {
        assert!(known.contains(&text(&dependency["ref"])), "{dependency}");
        for on in dependency["dependsOn"].as_array().unwrap() {
            assert!(known.contains(&text(on)), "{on}");
        }
    }
    let libc = components
        .iter()
        .find(|one| one["name"] == "libc6")
        .unwrap();
    assert_eq!(
        libc["purl"],
        "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u14?arch=amd64"
    );
    let needs_of_image = list("dependencies")
        .into_iter()
        .find(|one| one["ref"] == "image:hxmlops-agent")
        .unwrap();
    assert_eq!(
        needs_of_image["dependsOn"],
        json!(["pkg:cargo/agent@0.1.0", libc["purl"]])
    );
}
