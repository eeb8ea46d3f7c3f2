//! A management controller as agents find it behind Redfish: HTTPS, a password, documents in the shapes of real ones, and
//! their faults.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// `Authorization` of user `root`, password `calvin`.
const BASIC: &str = "Basic cm9vdDpjYWx2aW4=";

/// What a controller does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Tells so many watts, in `EnvironmentMetrics`.
    Newer(f64),
    /// Tells so many watts, in `Power`, as older ones do.
    Older(f64),
    /// Of the machine it answers 503, and of the enclosure, which is another's, it tells so many watts.
    Stranger(f64),
    /// Answers 503, as one does that restarts.
    Restarting,
    /// Takes requests, and answers none for so long.
    Hanging(Duration),
    /// Answers with what is no document.
    Garbage,
}

/// A controller that runs until the test ends.
pub struct Controller {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    paths: Vec<String>,
}

impl Controller {
    /// With a certificate and its key (PEM).
    ///
    /// # Errors
    /// Where they cannot be used, or no port is free.
    pub fn start(cert: &Path, key: &Path, mood: Mood) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
        crate::install_crypto();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
        let controller = Self {
            url: format!("https://{}", listener.local_addr()?),
            state: Arc::new(Mutex::new(State {
                mood,
                paths: Vec::new(),
            })),
        };
        let state = controller.state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, state) = (config.clone(), state.clone());
                // Who does not trust the certificate hangs up.
                thread::spawn(move || serve(stream, config, &state));
            }
        });
        Ok(controller)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on.
    pub fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Requests so far that had the password, by path.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.state().paths.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, state: &Mutex<State>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
    loop {
        let (mut path, mut is_let_in) = (String::new(), false);
        for number in 0.. {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if number == 0 {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            let header = line.split_once(": ").unwrap_or_default();
            is_let_in |= header.0.eq_ignore_ascii_case("authorization") && header.1 == BASIC;
            if line.is_empty() {
                break;
            }
        }
        let (status, body) = answer(&path, is_let_in, state);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.get_mut().write_all(answer.as_bytes())?;
    }
}

fn answer(path: &str, is_let_in: bool, state: &Mutex<State>) -> (&'static str, String) {
    if !is_let_in {
        return ("401 Unauthorized", String::new());
    }
    let mood = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paths.push(path.to_owned());
        state.mood
    };
    let found = |body: String| ("200 OK", body);
    match (path, mood) {
        (_, Mood::Restarting) => ("503 Service Unavailable", String::new()),
        (_, Mood::Garbage) => found("<html>Please log in</html>".to_owned()),
        (_, Mood::Hanging(time)) => {
            thread::sleep(time);
            ("503 Service Unavailable", String::new())
        }
        (path, Mood::Stranger(_)) if path.starts_with("/redfish/v1/Chassis/Self") => {
            ("503 Service Unavailable", String::new())
        }
        ("/redfish/v1/Chassis/Enclosure/Power", Mood::Stranger(watts)) => found(format!(
            r#"{{"PowerControl":[{{"MemberId":"0","PowerConsumedWatts":{watts}}}]}}"#
        )),
        ("/redfish/v1/Chassis", _) => found(COLLECTION.to_owned()),
        ("/redfish/v1/Chassis/Self/EnvironmentMetrics", Mood::Newer(watts)) => found(format!(
            r##"{{"@odata.type":"#EnvironmentMetrics.v1_3_0.EnvironmentMetrics","Id":"EnvironmentMetrics","Name":"Environment","PowerWatts":{{"DataSourceUri":"/redfish/v1/Chassis/Self/Sensors/Power","Reading":{watts}}},"EnergykWh":{{"Reading":12.5}}}}"##
        )),
        ("/redfish/v1/Chassis/Self/Power", Mood::Older(watts)) => found(format!(
            r##"{{"@odata.type":"#Power.v1_5_0.Power","Id":"Power","Name":"Power","PowerControl":[{{"MemberId":"0","Name":"Server Power Control","PowerConsumedWatts":{watts},"PowerMetrics":{{"IntervalInMin":1,"AverageConsumedWatts":1}}}},{{"MemberId":"1","Name":"CPU Sub-system Power","PowerConsumedWatts":1}}]}}"##
        )),
        _ => ("404 Not Found", String::new()),
    }
}

/// An enclosure that knows nothing of power, and the machine itself.
const COLLECTION: &str = r##"{"@odata.type":"#ChassisCollection.ChassisCollection","Members":[{"@odata.id":"/redfish/v1/Chassis/Enclosure"},{"@odata.id":"/redfish/v1/Chassis/Self"}],"Members@odata.count":2}"##;
