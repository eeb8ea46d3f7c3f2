//! Who a pod is: names, labels and CPU requests of this node's pods, from the API server ([`watch`]) or from the kubelet
//! ([`kubelet`]), and which stage the rules make of them.
//!
//! Whoever asks is answered at once from what is known ([`Directory`]); no question makes a request. Where neither can
//! be reached, pods go by their uids, and get their names when it can ([`crate::identity`]).

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tracing::{info, warn};
use wire::stage::Rules;

use crate::sensor::boottime_ns;

pub mod directory;
pub mod kubelet;
pub mod node;
pub mod pod;
pub mod watch;

pub use self::directory::{Directory, Pods, Who};

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The API server.
    Api,
    /// The node's own kubelet.
    Kubelet,
}

impl Way {
    /// In a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "the API server",
            Self::Kubelet => "the kubelet",
        }
    }
}

/// Where Kubernetes is, and how to get in.
#[derive(Clone, Debug)]
pub enum Access {
    /// The API server of a kubeconfig; `None`: of the cluster that the agent runs in.
    Api(Option<PathBuf>),
    /// The kubelet.
    Kubelet(kubelet::Access),
}

/// What is known of pods, how it came, and by which rules.
#[derive(Debug)]
pub struct Kube {
    /// How it comes.
    pub way: Way,
    /// The pods.
    pub pods: Pods,
    /// What has happened.
    pub counts: Counts,
    /// By what a pod's place is found.
    pub rules: Rules,
    /// Somebody was not known.
    pub wanted: Notify,
    /// Why nothing comes.
    trouble: Mutex<Option<String>>,
}

/// Since start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests for all pods of the node.
    pub lists: AtomicU64,
    /// Requests for their changes.
    pub watches: AtomicU64,
    /// Requests that failed, or broke off.
    pub errors: AtomicU64,
}

impl Kube {
    /// Nothing known yet.
    #[must_use]
    pub fn new(way: Way, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            way,
            pods: Pods::default(),
            counts: Counts::default(),
            rules,
            wanted: Notify::new(),
            trouble: Mutex::default(),
        })
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// It is told of pods, as they change or just now.
    fn works(&self) {
        self.pods.lock().is_live(boottime_ns());
        if self.trouble().take().is_some() {
            info!("{} tells of pods again", self.way.name());
        }
    }

    /// It is not, and why: a line in the log where that is new.
    fn fails(&self, why: &str) {
        Self::count(&self.counts.errors);
        self.pods.lock().is_cut_off();
        let why = why.replace(['\n', '\r'], " ");
        let mut trouble = self.trouble();
        if trouble.as_ref() != Some(&why) {
            let who = self.way.name();
            warn!(
                "{who} does not tell of this node's pods: {why}; those that are new go by their uids until it does"
            );
        }
        *trouble = Some(why);
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Access {
    /// Whom it asks.
    #[must_use]
    pub fn way(&self) -> Way {
        match self {
            Self::Api(_) => Way::Api,
            Self::Kubelet(_) => Way::Kubelet,
        }
    }
}

/// Asks once, for all that the agent would ask for; returns how many pods the node has.
///
/// # Errors
/// Why it is not told.
pub async fn count_pods(access: &Access, node: &str) -> anyhow::Result<usize> {
    let kube = Kube::new(access.way(), Rules::built_in());
    match access {
        Access::Api(kubeconfig) => {
            let client = watch::client(kubeconfig.as_deref(), &kube).await?;
            watch::count_pods(client, node).await
        }
        Access::Kubelet(access) => Ok(access.ask(&access.client()?).await?.len()),
    }
}

/// What keeps the known of a node's pods up to date, for ever.
pub type Follower = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Gets ready to follow the pods of a node.
///
/// # Errors
/// Where there are no credentials, or they cannot be read.
pub async fn follower(access: &Access, node: String, kube: Arc<Kube>) -> anyhow::Result<Follower> {
    Ok(match access {
        Access::Api(kubeconfig) => {
            let client = watch::client(kubeconfig.as_deref(), &kube).await?;
            Box::pin(async move { watch::follow(client, &node, &kube).await })
        }
        Access::Kubelet(access) => {
            let (client, access) = (access.client()?, access.clone());
            Box::pin(async move { kubelet::follow(&access, &client, &kube).await })
        }
    })
}
