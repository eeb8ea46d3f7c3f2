//! Holds a client in the midst of its work: the API server asks somebody who never answers before it makes an object.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::Access;
use crate::poll;

/// As long as an API server waits for an answer.
const SECONDS: u32 = 30;

/// Whoever makes an object of the held resource waits, for half a minute, or until this is dropped.
pub struct Hold {
    access: Access,
    listener: TcpListener,
    held: Vec<TcpStream>,
}

impl Hold {
    pub(super) fn new(access: &Access, group: &str, resource: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": "hold" },
            "webhooks": [{
                "name": "hold.hxmlops.io",
                "clientConfig": { "url": format!("https://{}/", listener.local_addr()?) },
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource],
                }],
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "timeoutSeconds": SECONDS,
                "admissionReviewVersions": ["v1"],
            }],
        });
        access.post(&path(""), &webhook)?;
        Ok(Self {
            access: access.clone(),
            listener,
            held: Vec::new(),
        })
    }

    /// Waits until somebody is held.
    ///
    /// # Errors
    /// Where nobody comes.
    pub fn wait(&mut self) -> anyhow::Result<()> {
        let (stream, _) = poll("the API server asks", || match self.listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            accepted => Ok(Some(accepted?)),
        })?;
        self.held.push(stream);
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The cluster may have ended before.
        let _ = self.access.delete(&path("/hold"));
    }
}

fn path(rest: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations{rest}")
}
