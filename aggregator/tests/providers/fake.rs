//! A server on a port of its own that answers as one provider does, or as it should not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a provider knows, and how it behaves.
#[derive(Default)]
pub(crate) struct World {
    /// g/kWh by the start of the slot; `None` is null.
    pub(crate) points: BTreeMap<Timestamp, Option<f64>>,
    pub(crate) mode: Mode,
    /// Paths (their ends) that are answered with a status.
    pub(crate) refused: Vec<(&'static str, u16)>,
    pub(crate) asked: Vec<Asked>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Right,
    /// Backwards, and each point twice.
    Disordered,
    /// As it answers for another zone.
    OtherZone,
    /// Every request, with `Retry-After` where it is given.
    Status(u16, Option<u32>),
    /// A refusal that repeats the credentials.
    Repeating,
    Html,
    /// Half of the body, and the end of the connection.
    Cut,
    /// No answer at all.
    Silent,
    /// On to another address.
    Elsewhere,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Asked {
    pub(crate) fn time(&self, name: &str) -> Timestamp {
        let text = &self.query[name];
        assert!(text.ends_with('Z'), "{name} {text} is not in UTC");
        text.parse().unwrap()
    }
}

impl World {
    /// What is known of a time, as a list of its provider; `point` makes one.
    pub(crate) fn list(
        &self,
        from: Timestamp,
        to: Timestamp,
        point: impl Fn(Timestamp, Option<f64>) -> Value,
    ) -> Vec<Value> {
        let known = self.points.range(from..to);
        let mut list: Vec<Value> = known.map(|(&at, &figure)| point(at, figure)).collect();
        if self.mode == Mode::Disordered {
            list.reverse();
            list.extend(list.clone());
        }
        list
    }

    /// The zone that it answers for.
    pub(crate) fn zone<'a>(&self, asked: &'a str, other: &'a str) -> &'a str {
        if self.mode == Mode::OtherZone {
            other
        } else {
            asked
        }
    }
}

/// What a provider answers to a request, while all is well: a status and a body.
pub(crate) type Answer = fn(&Asked, &World) -> (u16, Value);

/// It ends with the test's runtime.
pub(crate) struct Fake {
    pub(crate) url: String,
    world: Arc<Mutex<World>>,
}

impl Fake {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::<Mutex<World>>::default();
        let known = Arc::clone(&world);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer, Arc::clone(&known)));
            }
        });
        Self { url, world }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Requests whose path ends so.
    pub(crate) fn asked(&self, end: &str) -> Vec<Asked> {
        let world = self.world();
        let asked = world.asked.iter();
        asked
            .filter(|asked| asked.path.ends_with(end))
            .cloned()
            .collect()
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, world: Arc<Mutex<World>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let asked = parse(&String::from_utf8(head).unwrap());
    let reply = {
        let mut world = world.lock().unwrap();
        world.asked.push(asked.clone());
        reply(&asked, &world, answer)
    };
    match reply {
        Some(reply) => {
            // Fails where the client did not wait.
            let _ = stream.write_all(reply.as_bytes()).await;
        }
        None => std::future::pending().await,
    }
}

fn reply(asked: &Asked, world: &World, answer: Answer) -> Option<String> {
    let refused = world
        .refused
        .iter()
        .find(|(end, _)| asked.path.ends_with(end));
    if let Some((_, status)) = refused {
        return Some(http(*status, "", r#"{"message":"not for you"}"#));
    }
    Some(match world.mode {
        Mode::Status(status, None) => http(status, "", r#"{"message":"no"}"#),
        Mode::Status(status, Some(after)) => {
            http(status, &format!("Retry-After: {after}\r\n"), "{}")
        }
        Mode::Repeating => {
            let said = format!("no {:?}", asked.headers);
            http(403, "", &serde_json::json!({ "message": said }).to_string())
        }
        Mode::Html => http(200, "", "<!doctype html><title>maintenance</title>"),
        Mode::Elsewhere => http(302, "Location: https://elsewhere.example/\r\n", ""),
        Mode::Silent => return None,
        Mode::Cut => {
            let whole = http(200, "", &answer(asked, world).1.to_string());
            whole[..whole.len() - 5].to_owned()
        }
        Mode::Right | Mode::Disordered | Mode::OtherZone => {
            let (status, body) = answer(asked, world);
            http(status, "", &body.to_string())
        }
    })
}

/// The key of all providers here.
pub(crate) const KEY: &str = "someone:s3cret-k3y";

fn http(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

fn parse(head: &str) -> Asked {
    let (line, headers) = head.split_once("\r\n").unwrap();
    let target = line.split(' ').nth(1).unwrap();
    let url = Url::parse(&format!("http://fake{target}")).unwrap();
    let pairs = url.query_pairs().into_owned();
    let headers = headers.lines().filter_map(|line| line.split_once(": "));
    Asked {
        path: url.path().to_owned(),
        query: pairs.collect(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    }
}

/// Slots from `from`, one after the other, of the given figures.
pub(crate) fn points(
    from: Timestamp,
    slot: SignedDuration,
    figures: impl IntoIterator<Item = Option<f64>>,
) -> BTreeMap<Timestamp, Option<f64>> {
    let starts = std::iter::successors(Some(from), |&at| Some(at + slot));
    starts.zip(figures).collect()
}
