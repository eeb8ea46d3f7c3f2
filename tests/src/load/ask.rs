//! Questions to a server and to a data directory, each asked some times.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use reqwest::{Client, StatusCode};

use super::Figure;
use super::server::Server;

/// How often a question is asked: the first time it finds nothing in memory.
const TIMES: usize = 10;
/// No answer is so short.
const LEAST_BYTES: usize = 100;

/// Whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) url: String,
    program: PathBuf,
    data: PathBuf,
}

impl Asker {
    /// Of a server, with the program in `directory`.
    pub(super) fn new(server: &Server, directory: &Path) -> Self {
        crate::install_crypto();
        Self {
            client: Client::new(),
            url: server.url.clone(),
            program: directory.join("hxmlops"),
            data: server.data.path().to_owned(),
        }
    }

    /// Asks the server, in milliseconds.
    pub(super) async fn server(&self, name: &str, path: &str) -> anyhow::Result<Figure> {
        let mut took = Vec::new();
        for _ in 0..TIMES {
            took.push(self.once(path).await?);
        }
        Ok(Figure::new(name, "ms", took))
    }

    /// Asks the server once; returns the milliseconds that it took.
    pub(super) async fn once(&self, path: &str) -> anyhow::Result<f64> {
        let started = Instant::now();
        let response = self
            .client
            .get(format!("{}{path}", self.url))
            .send()
            .await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        ensure!(status == StatusCode::OK, "{path}: {status}");
        ensure!(
            bytes.len() >= LEAST_BYTES,
            "{path}: an answer of {} bytes",
            bytes.len()
        );
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }

    /// Asks the data directory by the command line, beside the server, in milliseconds; the program's start is in it.
    pub(super) fn command_line(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Figure> {
        self.command_line_times(name, arguments, TIMES)
    }

    pub(super) fn command_line_times(
        &self,
        name: &str,
        arguments: &[&str],
        times: usize,
    ) -> anyhow::Result<Figure> {
        let mut took = Vec::new();
        for _ in 0..times {
            let started = Instant::now();
            let output = Command::new(&self.program)
                .args(arguments)
                .arg("--data-dir")
                .arg(&self.data)
                .output()
                .with_context(|| format!("cannot run {}", self.program.display()))?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
            if !output.status.success() || output.stdout.len() < LEAST_BYTES {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!("hxmlops {}: {}: {said}", arguments.join(" "), output.status);
            }
        }
        Ok(Figure::new(name, "ms", took))
    }

    /// Sends a body, which the server must take.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<()> {
        let response = request.send().await?;
        let status = response.status();
        ensure!(status.is_success(), "{status}: {}", response.text().await?);
        Ok(())
    }

    /// Sends an agent's batch.
    pub(super) async fn send_batch(&self, batch: Vec<u8>) -> anyhow::Result<()> {
        let request = self
            .client
            .post(format!("{}/v1/batches", self.url))
            .header("content-type", wire::CONTENT_TYPE)
            .header("content-encoding", wire::CONTENT_ENCODING)
            .body(batch);
        self.send(request).await
    }
}
