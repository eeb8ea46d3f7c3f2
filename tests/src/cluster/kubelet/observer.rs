//! Who is told when a container begins and ends, such as a count that must miss nothing of it.

use std::sync::{Arc, Mutex, PoisonError};

/// One end of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment<'a> {
    /// Whether its cgroup is there and its process not yet; else its process has ended, and its cgroup is still there.
    pub begins: bool,
    /// The pod's name.
    pub pod: &'a str,
    /// The container's; `POD` of the pause container.
    pub container: &'a str,
    /// The path of its cgroup below the trees' roots.
    pub path: &'a str,
}

type Tell = Box<dyn FnMut(Moment<'_>) -> anyhow::Result<()> + Send>;

/// `None`: nobody.
#[derive(Clone, Default)]
pub(super) struct Observer(Option<Arc<Mutex<Tell>>>);

impl Observer {
    pub(super) fn new(tell: impl FnMut(Moment<'_>) -> anyhow::Result<()> + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(Box::new(tell)))))
    }

    pub(super) fn tell(&self, moment: Moment<'_>) -> anyhow::Result<()> {
        let Some(tell) = &self.0 else {
            return Ok(());
        };
        tell.lock().unwrap_or_else(PoisonError::into_inner)(moment)
    }
}
