//! Releases, by helm.

use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::DeleteParams;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, is_absent, reason};
use super::engine::version::Version;
use super::engine::{Call, Engine, EngineError};
use super::files::ChartFiles;

/// Earlier ones know no `--dry-run=server`, with which `lookup` finds what is there.
const WITH_SERVER_DRY_RUN: Version = Version(3, 13, 0);
/// Revisions of a release that are kept.
const MAX_HISTORY: &str = "10";

/// helm, for one namespace.
pub struct Helm<'a> {
    /// The program.
    pub engine: &'a Engine,
    /// The kubeconfig's context.
    pub context: &'a str,
    /// Where releases are.
    pub cluster: &'a Cluster,
    /// Ends what runs.
    pub end: &'a CancellationToken,
}

/// How a release stands, in helm's records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Its revision.
    #[serde(rename = "version", default)]
    pub revision: u32,
    /// More of it.
    pub info: ReleaseInfo,
}

/// What helm says of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReleaseInfo {
    /// `deployed`, `failed`, `pending-install`, …
    pub status: String,
    /// When the last revision was begun (RFC 3339).
    #[serde(default)]
    pub last_deployed: String,
    /// When its end was begun (RFC 3339); empty where it was not.
    #[serde(default)]
    pub deleted: String,
}

impl ReleaseInfo {
    /// A change of it has begun and not ended. helm then refuses every other one.
    fn is_unfinished(&self) -> bool {
        self.status == "uninstalling" || self.status.starts_with("pending-")
    }

    /// When that change was begun; `None` where helm does not say.
    fn begun(&self) -> Option<Timestamp> {
        let text = match self.status.as_str() {
            "uninstalling" => &self.deleted,
            _ => &self.last_deployed,
        };
        text.parse().ok()
    }
}

/// What was put right before a release could be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing had to be.
    Nothing,
    /// A change of it had been broken off.
    BrokenOff,
}

impl Helm<'_> {
    /// Installs a release, or upgrades it to what is wanted. Objects that an install left behind are taken over.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn upgrade(
        &self,
        release: &str,
        files: &ChartFiles,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let mut call = self.upgrade_call(release, files);
        call = call.args(["--history-max", MAX_HISTORY]);
        if self.lacks_namespace().await {
            call = call.arg("--create-namespace");
        }
        self.engine
            .run(&call.within(limit), self.end)
            .await
            .map(drop)
    }

    /// Whether the namespace has to be made. helm would try to make it also where it is there, which who works in one
    /// namespace may not; nor may he ask, and then it is taken for there.
    async fn lacks_namespace(&self) -> bool {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        let found = namespaces.get_metadata(&self.cluster.namespace).await;
        found.is_err_and(|error| is_absent(&error))
    }

    /// The manifest that [`Helm::upgrade`] would make. Nothing is changed.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn preview(&self, release: &str, files: &ChartFiles) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Told {
            manifest: String,
        }
        let dry_run = if self.looks_up() {
            "--dry-run=server"
        } else {
            "--dry-run"
        };
        let call = self.upgrade_call(release, files);
        let call = call.args([dry_run, "--output", "json"]);
        let told = self.engine.run(&call, self.end).await?;
        let told: Told = serde_json::from_str(&told).context("helm upgrade tells no manifest")?;
        Ok(told.manifest)
    }

    /// Whether a preview finds what is there: else it has other generated secrets each time.
    #[must_use]
    pub fn looks_up(&self) -> bool {
        self.engine.version() >= WITH_SERVER_DRY_RUN
    }

    fn upgrade_call(&self, release: &str, files: &ChartFiles) -> Call {
        self.call(["upgrade", "--install", release])
            .arg(files.chart())
            .args(files.values())
    }

    /// How a release stands; `None` where there is none.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn status(&self, release: &str) -> anyhow::Result<Option<Release>> {
        let call = self.call(["status", release, "--output", "json"]);
        let Some(told) = unless_absent(self.engine.run(&call, self.end).await)? else {
            return Ok(None);
        };
        let release = serde_json::from_str(&told).context("helm status tells nothing of it")?;
        Ok(Some(release))
    }

    /// The manifest of a release as a revision has it, else the last one; `None` where there is none.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn manifest(
        &self,
        release: &str,
        revision: Option<u32>,
    ) -> Result<Option<String>, EngineError> {
        let mut call = self.call(["get", "manifest", release]);
        if let Some(revision) = revision {
            call = call.args(["--revision", &revision.to_string()]);
        }
        unless_absent(self.engine.run(&call, self.end).await)
    }

    /// The values that a release was last given; `None` where there is none.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn values(&self, release: &str) -> anyhow::Result<Option<Value>> {
        let call = self.call(["get", "values", release, "--output", "json"]);
        let Some(told) = unless_absent(self.engine.run(&call, self.end).await)? else {
            return Ok(None);
        };
        let values = serde_json::from_str(&told).context("helm get values tells no values")?;
        Ok(Some(values))
    }

    /// Removes a release; false where there was none.
    ///
    /// # Errors
    /// Where helm fails.
    pub async fn uninstall(&self, release: &str, limit: Duration) -> Result<bool, EngineError> {
        let call = self.call(["uninstall", release]).within(limit);
        let removed = unless_absent(self.engine.run(&call, self.end).await)?;
        Ok(removed.is_some())
    }

    /// Makes a release fit to be changed where a change of it was broken off: helm then refuses every other one. Its
    /// record of that change goes; the objects stay, and the next install or upgrade takes them over.
    ///
    /// # Errors
    /// Where the change was begun less than `limit` ago, so that somebody may still be at it; and where helm or the API
    /// server fails.
    pub async fn repair(&self, release: &str, limit: Duration) -> anyhow::Result<Repaired> {
        let Some(found) = self.status(release).await? else {
            return Ok(Repaired::Nothing);
        };
        if let Some(why) = under_way(release, &found.info, Timestamp::now(), limit) {
            anyhow::bail!(why);
        }
        if found.info.status == "uninstalling" {
            self.uninstall(release, Duration::from_secs(60)).await?;
            return Ok(Repaired::BrokenOff);
        }
        if !found.info.is_unfinished() {
            return Ok(Repaired::Nothing);
        }
        let secrets: Api<Secret> =
            Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        let record = format!("sh.helm.release.v1.{release}.v{}", found.revision);
        match secrets.delete(&record, &DeleteParams::default()).await {
            Err(error) if !is_absent(&error) => {
                anyhow::bail!("cannot remove helm's record {record}: {}", reason(&error))
            }
            _ => Ok(Repaired::BrokenOff),
        }
    }

    fn call<const N: usize>(&self, args: [&str; N]) -> Call {
        let place = [
            "--kube-context",
            self.context,
            "--namespace",
            &self.cluster.namespace,
        ];
        Call::new(args).args(place)
    }
}

/// Why a release is to be left alone: a change of it was begun less than `limit` ago. Each create ends its own helm when
/// that time is over, so that nobody is at one that is older. A clock that is behind makes it younger, not older.
fn under_way(release: &str, info: &ReleaseInfo, now: Timestamp, limit: Duration) -> Option<String> {
    let begun = info.begun().filter(|_| info.is_unfinished())?;
    let age = now.duration_since(begun);
    if age >= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX) {
        return None;
    }
    let (since, seconds) = (begun.strftime("%Y-%m-%dT%H:%M:%SZ"), age.as_secs());
    Some(format!(
        "release {release} is being changed since {since} ({seconds} s, {}), maybe by somebody else: wait, or, where \
         nobody is at it any more, take it up with a --timeout that is shorter than that",
        info.status
    ))
}

/// `None` where helm says that there is no such release.
fn unless_absent(told: Result<String, EngineError>) -> Result<Option<String>, EngineError> {
    match told {
        Err(EngineError::Failed(_, why)) if why.contains("release: not found") => Ok(None),
        told => told.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_begun_just_now_is_left_alone() {
        let now: Timestamp = "2026-01-05T10:10:00Z".parse().unwrap();
        let check = |status: &str, begun: &str, deleted: &str, expected: bool| {
            let info = ReleaseInfo {
                status: status.to_owned(),
                last_deployed: begun.to_owned(),
                deleted: deleted.to_owned(),
            };
            let found = under_way("r", &info, now, Duration::from_secs(600));
            assert_eq!(found.is_some(), expected, "{info:?}: {found:?}");
        };
        let (old, young) = (
            "2026-01-05T10:00:00Z",
            "2026-01-05T11:00:00.123456789+01:00",
        );
        check("deployed", young, "", false);
        check("failed", young, "", false);
        check("pending-install", old, "", false);
        check("pending-install", young, "", true);
        check("pending-upgrade", "2026-01-05T10:00:01Z", "", true);
        check("pending-rollback", "2026-01-05T10:20:00Z", "", true);
        check("pending-install", "", "", false);
        check("uninstalling", old, young, true);
        check("uninstalling", young, old, false);
    }

    #[test]
    fn it_is_said_since_when() {
        let info = ReleaseInfo {
            status: "pending-install".to_owned(),
            last_deployed: "2026-01-05T10:00:00.5Z".to_owned(),
            deleted: String::new(),
        };
        let now = "2026-01-05T10:00:12.6Z".parse().unwrap();
        let said = under_way("r", &info, now, Duration::MAX).unwrap();
        let start = "release r is being changed since 2026-01-05T10:00:00Z (12 s, pending-install), maybe by";
        assert!(said.starts_with(start), "{said}");
    }
}
