//! A server whose disk is full takes nothing in, loses nothing, and goes on when there is room. Needs root, to mount.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::simulated::SimulatedNode;
use e2e::{Running, block_on, get, install_crypto, success, text};

/// A file system of 20 MB, gone when this is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"]);
        assert!(mount.arg(directory.path()).status().unwrap().success());
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

/// The status that the server answers a batch with.
fn send(url: &str, node: &SimulatedNode, sequence: u64) -> u16 {
    install_crypto();
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/batches"))
        .header("content-type", wire::CONTENT_TYPE)
        .header("content-encoding", wire::CONTENT_ENCODING)
        .body(wire::encode(&node.batch(sequence)));
    block_on(async { Ok(request.send().await?.status().as_u16()) }).unwrap()
}

#[test]
fn a_server_on_a_full_disk_asks_for_patience_and_loses_nothing() {
    let disk = SmallDisk::mount();
    let (data, ballast) = (disk.path("ledger"), disk.path("ballast"));
    fs::write(&ballast, vec![1; 14 << 20]).unwrap();
    let server = serve(&data);
    // Long ago: what is of a time to come would be refused.
    let node = SimulatedNode {
        name: "n1".into(),
        start_unix_ms: 1_790_000_000_000,
        pods: 60,
    };
    let mut sequences = 1..;
    let full = sequences.find(|&sequence| send(server.url(), &node, sequence) != 200);
    let full = full.unwrap();
    assert!(full > 5, "batch {full} filled the disk");
    assert_eq!(send(server.url(), &node, full), 503);
    assert_eq!(get(&format!("{}/healthz", server.url())).unwrap().0, 200);

    fs::remove_file(&ballast).unwrap();
    for sequence in full..full + 20 {
        assert_eq!(send(server.url(), &node, sequence), 200, "{sequence}");
    }
    // What was acknowledged before is there; what was refused was not there.
    assert_eq!(send(server.url(), &node, full - 1), 200);
    server.stop().unwrap();
    let proved = success("hxmlops", &["ledger", "check", "--data-dir", text(&data)]).unwrap();
    let energy = wire::Energy::from_microjoules(node.energy_uj(full + 19));
    assert!(
        proved.contains(&format!(" {energy}: ")),
        "{energy}: {proved}"
    );
}

fn serve(data: &Path) -> Running {
    let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(data)];
    Running::start("hxmlops", &args).unwrap()
}
