//! A TCP proxy in front of the API server that does to connections what networks do.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch::{Receiver, Sender, channel};

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// They work.
    Pass,
    /// Nobody listens.
    Refuse,
    /// They are taken, and nothing comes through.
    Stall,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mood: Mood,
    /// How often all were cut.
    cuts: u64,
}

/// Stands between; gone, with all its connections, when it is dropped.
pub struct Proxy {
    url: String,
    state: Sender<State>,
    /// Whether somebody listens.
    listening: Receiver<bool>,
    runtime: Runtime,
}

impl Proxy {
    pub(super) fn before(port: u16) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let mood = Mood::Pass;
        let (state, changes) = channel(State { mood, cuts: 0 });
        let (said, listening) = channel(true);
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        runtime.spawn(serve(listener, address, target, changes, said));
        Ok(Self {
            url: format!("https://{address}"),
            state,
            listening,
            runtime,
        })
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Cuts all connections; new ones work as they did.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// From now on connections are refused, and those that there are cut.
    pub fn refuse(&self) {
        self.set(Mood::Refuse);
        self.cut();
    }

    /// From now on nothing comes through, in old connections and in new ones.
    pub fn stall(&self) {
        self.set(Mood::Stall);
    }

    /// From now on everything works.
    pub fn pass(&self) {
        self.set(Mood::Pass);
    }

    /// Returns when it is so.
    fn set(&self, mood: Mood) {
        self.state.send_modify(|state| state.mood = mood);
        let mut listening = self.listening.clone();
        let is_to_listen = mood != Mood::Refuse;
        let set = listening.wait_for(|&is_listening| is_listening == is_to_listen);
        // Fails only where the runtime is gone.
        let _ = self.runtime.block_on(set).map(|_| ());
    }
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mut state: Receiver<State>,
    listening: Sender<bool>,
) {
    let mut listener = Some(listener);
    loop {
        let mood = state.borrow_and_update().mood;
        if mood == Mood::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = Some(listen_again(address).await);
        }
        let _ = listening.send(listener.is_some());
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(stream) = accept(listener.as_ref()) => {
                tokio::spawn(carry(stream, target, state.clone()));
            }
        }
    }
}

/// `None` where nobody listens.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    Some(listener?.accept().await.ok()?.0)
}

/// On the port that it had. Somebody else may have it for a moment, as the end of a connection of their own.
async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => debug_assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One connection, until either side ends it or it is cut.
async fn carry(outside: TcpStream, target: SocketAddr, mut state: Receiver<State>) {
    let cuts = state.borrow().cuts;
    let is_cut = {
        let mut state = state.clone();
        async move {
            let _ = state.wait_for(|state| state.cuts != cuts).await;
        }
    };
    let carried = async {
        // A connection that was taken while it stalls gets no further.
        if state
            .wait_for(|state| state.mood != Mood::Stall)
            .await
            .is_err()
        {
            return;
        }
        let Ok(inside) = TcpStream::connect(target).await else {
            return;
        };
        let (from_outside, to_outside) = tokio::io::split(outside);
        let (from_inside, to_inside) = tokio::io::split(inside);
        tokio::select! {
            () = copy(from_outside, to_inside, state.clone()) => {}
            () = copy(from_inside, to_outside, state.clone()) => {}
        }
    };
    tokio::select! {
        () = is_cut => {}
        () = carried => {}
    }
}

async fn copy(
    mut from: ReadHalf<TcpStream>,
    mut to: WriteHalf<TcpStream>,
    mut state: Receiver<State>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if state
            .wait_for(|state| state.mood != Mood::Stall)
            .await
            .is_err()
        {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
