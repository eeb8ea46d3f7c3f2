//! The real server, fed by a provider.

use std::io::Write;
use std::process::{Command, Stdio};

use aggregator::config::{IntensityArgs, ServeArgs, ServeConfig};
use aggregator::serve::Server;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::conformance::hours;
use crate::fake::points;
use crate::subject::SUBJECTS;

/// Its /metrics, as soon as they have a line that begins so.
async fn metrics_with(url: &str, line: &str) -> String {
    loop {
        let answer = reqwest::get(url).await.unwrap();
        let text = answer.text().await.unwrap();
        if text.lines().any(|shown| shown.starts_with(line)) {
            return text;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_only_the_provider_knows_is_fed_and_shown() {
    let subject = SUBJECTS[3];
    let running = subject.start().await;
    let from = Timestamp::from_second(Timestamp::now().as_second() / 1800 * 1800).unwrap();
    running.set(points(
        from - hours(5),
        subject.slot,
        (0..40).map(|_| Some(77.0)),
    ));
    let directory = TempDir::new().unwrap();
    let args = ServeArgs {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        data_dir: Some(directory.path().to_owned()),
        intensity_zone: Some(subject.zone.to_owned()),
        provider: IntensityArgs {
            intensity: Some(subject.name.to_owned()),
            intensity_url: Some(running.fake().url.clone()),
            ..IntensityArgs::default()
        },
        ..ServeArgs::default()
    };
    let server = Server::bind(ServeConfig::read(args).unwrap())
        .await
        .unwrap();
    let url = format!("http://{}/metrics", server.address());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    let up = r#"hxmlops_intensity_provider_up{intensity_zone="GB-7",provider="neso"} 1"#;
    let text = metrics_with(&url, up).await;
    let answered = r#"hxmlops_intensity_provider_requests_total{provider="neso",result="ok"} "#;
    assert!(text.contains(answered), "{text}");
    let refused =
        r#"hxmlops_intensity_provider_requests_total{provider="neso",result="refused"} 0"#;
    assert!(text.contains(refused), "{text}");
    assert!(
        text.contains("hxmlops_intensity_provider_last_success_timestamp_seconds{"),
        "{text}"
    );
    assert_eq!(promtool(&text), "");
    stop.cancel();
    serving.await.unwrap().unwrap();
}

/// What promtool has to say about metrics.
fn promtool(metrics: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool: apt-get install prometheus (Debian, Ubuntu)");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
