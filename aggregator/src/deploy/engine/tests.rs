use std::fs;

use tempfile::TempDir;

use super::*;

/// A program that is a script.
fn script(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn find(program: Program, text: &str) -> Result<Engine, EngineError> {
    let directory = tempfile::tempdir().unwrap();
    let path = script(&directory, text);
    Engine::at(program, path, &CancellationToken::new()).await
}

/// Tells a version, and does `text` for all else.
async fn engine(directory: &TempDir, text: &str) -> Engine {
    let text = format!("[ \"$1\" = version ] && echo v3.12.0 && exit\n{text}");
    let path = script(directory, &text);
    let end = CancellationToken::new();
    Engine::at(Program::Helm, path, &end).await.unwrap()
}

#[tokio::test]
async fn a_program_is_taken_by_its_version() {
    let helm = find(Program::Helm, "echo v4.3.1").await.unwrap();
    assert_eq!(helm.version(), Version(4, 3, 1));
    let old = find(Program::Helm, "echo v3.9.4").await.unwrap_err();
    assert!(
        old.to_string()
            .ends_with("is version 3.9.4, which is too old: 3.12.0 or later is needed")
    );
    let other = find(Program::Kubectl, "echo hello").await.unwrap_err();
    assert!(
        other
            .to_string()
            .ends_with("is no kubectl: it tells no version")
    );
    let broken = find(Program::Helm, "echo 'Error: out of sorts' >&2; exit 1").await;
    assert_eq!(
        broken.unwrap_err().to_string(),
        "helm version failed: out of sorts"
    );
    let end = CancellationToken::new();
    let absent = Engine::at(Program::Helm, "/nonexistent/helm".into(), &end).await;
    let absent = absent.unwrap_err().to_string();
    assert!(
        absent.starts_with("cannot run /nonexistent/helm: "),
        "{absent}"
    );
}

#[tokio::test]
async fn it_reads_its_input_and_its_output_is_returned() {
    let directory = tempfile::tempdir().unwrap();
    let end = CancellationToken::new();
    let cat = engine(&directory, "echo \"$@\"; cat").await;
    let call = Call::new(["get"])
        .arg("values")
        .args(["a", "b"])
        .input("x\n".repeat(100_000));
    let output = cat.run(&call, &end).await.unwrap();
    assert!(output.starts_with("get values a b\nx\n"));
    assert_eq!(output.lines().count(), 100_001);
    let deaf = engine(&directory, "exec <&-; echo done").await;
    assert_eq!(deaf.run(&call, &end).await.unwrap(), "done\n");
}

#[tokio::test]
async fn what_takes_too_long_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let slow = engine(&directory, "sleep 1000 & wait").await;
    let call = Call::new(["upgrade"]).within(Duration::from_millis(1));
    let error = slow
        .run(&call, &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "helm upgrade did not end within 0 s");
}

#[tokio::test]
async fn an_interrupted_program_ends_in_its_own_way() {
    let directory = tempfile::tempdir().unwrap();
    let (started, ended) = (
        directory.path().join("started"),
        directory.path().join("ended"),
    );
    let text = format!(
        "trap 'echo > {}; exit 1' TERM; echo > {}; while :; do sleep 0.01; done",
        ended.display(),
        started.display()
    );
    let helm = engine(&directory, &text).await;
    let end = CancellationToken::new();
    let stop = async {
        while !started.exists() {
            tokio::task::yield_now().await;
        }
        end.cancel();
    };
    let call = Call::new(["upgrade"]);
    let (error, ()) = tokio::join!(helm.run(&call, &end), stop);
    assert!(matches!(error, Err(EngineError::Interrupted)), "{error:?}");
    assert!(ended.exists());
}
