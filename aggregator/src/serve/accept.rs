//! Connections: as many as are allowed, each encrypted where there is a certificate, each with time limits of its
//! own, so that neither a slow nor a silent client holds what others need.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::tls::{Tls, role_of};
use crate::access::Peer;
use crate::metrics::Metrics;
use crate::token::Role;

/// Connections at once. Agents keep one each.
pub(super) const MAX_CONNECTIONS: usize = 8192;
/// Requests at once on one connection of HTTP/2.
const MAX_STREAMS: u32 = 32;
/// Bytes of all headers of a request.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Within this time a connection is encrypted, or closed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Within this time the headers of a request are there, or the connection is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer of HTTP/2 that is silent for so long is asked whether it is there,
const PING_EVERY: Duration = Duration::from_secs(30);
/// and has this time to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// After a failure to accept, which is mostly for want of file handles.
const PAUSE: Duration = Duration::from_millis(100);

/// What connections are served with.
pub(super) struct Acceptor {
    pub(super) router: Router,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) metrics: Arc<Metrics>,
}

/// Serves connections until `stop`, then lets the requests under way come to their end.
pub(super) async fn accept(listener: TcpListener, acceptor: Acceptor, stop: CancellationToken) {
    let acceptor = Arc::new(acceptor);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            acceptor.metrics.count_denied("connections");
            continue;
        };
        let (acceptor, watcher) = (Arc::clone(&acceptor), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            acceptor.serve(stream, address.ip(), watcher).await;
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

impl Acceptor {
    async fn serve(
        &self,
        stream: TcpStream,
        address: std::net::IpAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        // Small answers are not to wait for more.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            let peer = Peer {
                address,
                role: None,
            };
            return self.talk(stream, peer, watcher).await;
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => {
                let role = client_role(&stream);
                self.talk(stream, Peer { address, role }, watcher).await;
            }
            Ok(Err(error)) => {
                self.metrics.count_denied("handshake");
                tracing::debug!(%address, "no TLS handshake: {error}");
            }
            Err(_) => self.metrics.count_denied("handshake"),
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let router = self.router.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.clone().oneshot(request)
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!("a connection ended early: {error}");
        }
    }
}

/// What the certificate that a client showed lets it do.
fn client_role(stream: &tokio_rustls::server::TlsStream<TcpStream>) -> Option<Role> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().and_then(role_of)
}
