//! The place that modules go to: a domain's cluster, and the programs that change it.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::PlaceArgs;
use crate::commands::init::read_domains;
use crate::commands::interrupt;
use crate::commands::output::{Live, tell};
use crate::deploy::catalogue::Module;
use crate::deploy::cluster::Cluster;
use crate::deploy::domains::file::{self, DomainsFile};
use crate::deploy::domains::{Domain, Domains};
use crate::deploy::engine::{Engine, Program};
use crate::deploy::helm::Helm;
use crate::deploy::kubeconfig;
use crate::deploy::observe::{self, Scope};
use crate::deploy::owner::Owner;
use crate::deploy::rollout::Rollout;
use crate::deploy::steps::Kubectl;

/// Between two looks at the cluster.
const PAUSE: Duration = Duration::from_secs(1);
/// For so long the API server may be away while one waits: it is back much sooner where it is replaced.
const OUTAGE: Duration = Duration::from_secs(60);

/// A domain that one works on.
pub(in crate::commands) struct Place {
    pub(in crate::commands) name: String,
    pub(super) domain: Domain,
    pub(in crate::commands) cluster: Cluster,
    pub(in crate::commands) end: CancellationToken,
    helm: OnceCell<Engine>,
    kubectl: OnceCell<Engine>,
}

/// All places that there are.
pub(in crate::commands) struct Reach {
    domains: Domains,
    end: CancellationToken,
}

impl Reach {
    /// Reads the domains.
    pub(in crate::commands) fn read() -> anyhow::Result<Self> {
        Ok(Self {
            domains: read_domains(&DomainsFile::new(&file::directory()?))?,
            end: interrupt::token(),
        })
    }

    /// Finds a domain and its context. Nothing is asked yet.
    pub(in crate::commands) async fn place(
        &self,
        domain: Option<&str>,
        namespace: Option<&str>,
    ) -> anyhow::Result<Place> {
        let (name, domain) = self.domains.find(domain)?;
        if let Some(namespace) = namespace {
            let checked = crate::deploy::domains::check_namespace(namespace);
            checked.map_err(|invalid| crate::cli::Usage(invalid.to_string()))?;
        }
        let cluster = Cluster::of(kubeconfig::read()?, domain, namespace).await?;
        Ok(Place {
            name: name.to_owned(),
            domain: domain.clone(),
            cluster,
            end: self.end.clone(),
            helm: OnceCell::new(),
            kubectl: OnceCell::new(),
        })
    }
}

impl Place {
    /// The one that arguments name.
    pub(super) async fn find(args: &PlaceArgs) -> anyhow::Result<Self> {
        let (domain, namespace) = (args.domain.as_deref(), args.namespace.as_deref());
        Reach::read()?.place(domain, namespace).await
    }

    /// helm, looked for when it is first needed.
    pub(super) async fn helm(&self) -> anyhow::Result<Helm<'_>> {
        let find = || Engine::find(Program::Helm, &self.end);
        Ok(Helm {
            engine: self.helm.get_or_try_init(find).await?,
            context: &self.domain.context,
            cluster: &self.cluster,
            end: &self.end,
        })
    }

    /// kubectl, looked for when it is first needed.
    pub(super) async fn kubectl(&self) -> anyhow::Result<Kubectl<'_>> {
        let find = || Engine::find(Program::Kubectl, &self.end);
        Ok(Kubectl {
            engine: self.kubectl.get_or_try_init(find).await?,
            context: &self.domain.context,
            end: &self.end,
        })
    }

    /// Looks whose a release is, before anything of it is shown as a module's, changed or deleted.
    ///
    /// # Errors
    /// Where it is another module's or none of ours, or left secrets or volumes of another module; and where helm or the API
    /// server fails.
    pub(in crate::commands) async fn check_owner(
        &self,
        module: &Module,
        release: &str,
    ) -> anyhow::Result<()> {
        let mut owner = Owner::Nobody;
        if module.file.steps.is_none() {
            owner = self.owner(release).await?;
        }
        if owner == Owner::Nobody {
            let left = observe::left(&self.cluster, release);
            owner = Owner::Left(interrupt::unless(&self.end, left).await??);
        }
        match owner.refusal(module, release, &self.cluster.namespace) {
            Some(why) => bail!(why),
            None => Ok(()),
        }
    }

    /// Whose a release is, in helm's records.
    pub(super) async fn owner(&self, release: &str) -> anyhow::Result<Owner> {
        let values = self.helm().await?.values(release).await?;
        Ok(Owner::of_values(values.as_ref()))
    }

    /// As it is named in a line: `domain lab, namespace work`.
    pub(in crate::commands) fn shown(&self) -> String {
        format!("domain {}, namespace {}", self.name, self.cluster.namespace)
    }

    /// Waits until a release is ready, and shows how far it is. What it was when it was so, or when the time was over.
    pub(super) async fn wait_ready(
        &self,
        what: &str,
        scope: &Scope,
        limit: Duration,
    ) -> anyhow::Result<Rollout> {
        let mut live = Live::new();
        let late = Instant::now() + limit;
        let mut outage = Outage::default();
        loop {
            let rollout = observe::rollout(&self.cluster, scope);
            let rollout = interrupt::unless(&self.end, rollout).await?;
            let Some(rollout) = outage.bridge(rollout, late)? else {
                self.pause().await?;
                continue;
            };
            live.set(&format!("{what}: {}", rollout.line()));
            if rollout.is_ready() || Instant::now() >= late {
                return Ok(rollout);
            }
            self.pause().await?;
        }
    }

    /// Waits until no pod of a release is left; false where the time was over before.
    pub(super) async fn wait_gone(
        &self,
        what: &str,
        scope: &Scope,
        limit: Duration,
    ) -> anyhow::Result<bool> {
        let mut live = Live::new();
        let late = Instant::now() + limit;
        let mut outage = Outage::default();
        loop {
            let left = observe::pods_left(&self.cluster, scope);
            let left = interrupt::unless(&self.end, left).await?;
            let Some(left) = outage.bridge(left, late)? else {
                self.pause().await?;
                continue;
            };
            live.set(&format!("{what}: {left} pods left"));
            if left == 0 || Instant::now() >= late {
                return Ok(left == 0);
            }
            self.pause().await?;
        }
    }

    /// Says in some lines why a release is not ready.
    pub(super) async fn explain(&self, scope: &Scope, rollout: &Rollout) {
        for line in observe::troubles(&self.cluster, scope, rollout).await {
            tell(&format!("  {line}"));
        }
    }

    async fn pause(&self) -> anyhow::Result<()> {
        Ok(interrupt::unless(&self.end, tokio::time::sleep(PAUSE)).await?)
    }
}

/// Since when the API server has not answered.
#[derive(Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// What was read; none while it does not answer and that may pass.
    fn bridge<T>(&mut self, read: anyhow::Result<T>, late: Instant) -> anyhow::Result<Option<T>> {
        let error = match read {
            Ok(read) => {
                self.0 = None;
                return Ok(Some(read));
            }
            Err(error) => error,
        };
        let now = Instant::now();
        let since = *self.0.get_or_insert(now);
        let goes_on = observe::is_outage(&error) && now < late && now < since + OUTAGE;
        if goes_on { Ok(None) } else { Err(error) }
    }
}
