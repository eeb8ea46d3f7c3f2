//! The server in its container, as the chart's StatefulSet has it.

use std::path::Path;

use e2e::{get, poll};

use crate::chart::Release;
use crate::pod::{Node, Pod, RuntimeDefault};
use crate::podman::{Container, TAG, build};

#[test]
fn the_server_runs_as_nobody_in_particular_and_keeps_its_ledger_on_the_volume() -> anyhow::Result<()>
{
    build("hxmlops")?;
    let release = Release::new(&["tls.mode=off", "aggregator.config.intensity_zone=FR"])?;
    let node = Node {
        host_paths: Vec::new(),
        fields: &[],
        runtime_default: RuntimeDefault::Podman,
    };
    let mut pod = Pod::new(&release, "StatefulSet", &node)?;
    for arg in &mut pod.args {
        if arg.starts_with("--listen=") {
            "--listen=0.0.0.0:0".clone_into(arg);
        }
    }
    let data = pod.source_of("/var/lib/hxmlops").unwrap().to_owned();
    let server = Container::start(&pod.flags, &pod.image, &pod.args)?;

    let status = server.proc_file("status")?;
    assert!(
        status.contains("Uid:\t65532\t65532\t65532\t65532\n"),
        "{status}"
    );
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert!(
            status.contains(&format!("{set}:\t{:016x}\n", 0)),
            "{status}"
        );
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    poll("a healthy server", || {
        let (status, _) = get(&format!("{}/healthz", server.url()))?;
        Ok((status == 200).then_some(()))
    })?;
    let (status, _) = get(&format!("{}/api/v1/runs", server.url()))?;
    assert_eq!(status, 401, "it asks for a token");
    server.stop()?;
    assert!(Path::new(&data).join("ledger.db").is_file());
    Ok(())
}

/// With the image's own command and its own volume: nothing is told but where it may not write.
#[test]
fn the_image_by_itself_is_a_server_on_loopback() -> anyhow::Result<()> {
    build("hxmlops")?;
    let flags = [
        "--read-only",
        "--cap-drop=ALL",
        "--env=HXMLOPS_LISTEN=127.0.0.1:0",
    ];
    let flags = flags.map(str::to_owned);
    let server = Container::start(&flags, &format!("localhost/hxmlops:{TAG}"), &[])?;
    let (status, _) = get(&format!("{}/healthz", server.url()))?;
    assert_eq!(status, 200);
    server.stop()
}
