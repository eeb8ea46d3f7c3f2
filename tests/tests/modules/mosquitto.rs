//! `mqtt/mosquitto`, with Debian's Mosquitto 2.0.

use e2e::poll;
use rustix::process::Signal;

use crate::process::{Server, free_port};
use crate::rendered::{Program, Rendered};

const MODULE: &str = "mqtt/mosquitto";
/// What mosquitto_pub and mosquitto_sub exit with where the broker refuses who they say they are.
const NOT_AUTHORISED: i32 = 5;

struct Broker {
    rendered: Rendered,
    server: Server,
    port: String,
}

impl Broker {
    fn start(port: &str, rendered: Rendered) -> Self {
        let user = rendered.user();
        rendered.before("passwords").well(user);
        let server = rendered.program().start(user);
        let mut broker = Self {
            rendered,
            server,
            port: port.to_owned(),
        };
        poll("the broker takes connections", || {
            broker.server.check()?;
            Ok(std::net::TcpStream::connect(format!("127.0.0.1:{port}"))
                .is_ok()
                .then_some(()))
        })
        .unwrap();
        broker
    }

    /// A client's program, as nobody yet.
    fn client(&self, args: &[&str]) -> Program {
        self.rendered
            .tool(args)
            .and(&["-h", "127.0.0.1", "-p", &self.port, "-t", "energy"])
    }

    fn code(&self, program: &Program) -> Option<i32> {
        program.run(self.rendered.user()).status.code()
    }
}

#[test]
fn mosquitto_asks_everybody_and_keeps_what_it_was_told_to_keep() {
    let port = free_port().to_string();
    let at_port = format!("listener {port}\n");
    let rendered =
        |rendered: Rendered| rendered.edit("mosquitto.conf", "listener 1883\n", &at_port);
    let broker = Broker::start(&port, rendered(Rendered::new(MODULE, &[], &[])));
    let env = broker.rendered.program().env;
    let known = ["-u", &*env["MQTT_USER"], "-P", &*env["MQTT_PASSWORD"]];
    let say = broker.client(&["mosquitto_pub", "-r", "-q", "1", "-m", "42 J"]);
    assert_eq!(broker.code(&say), Some(NOT_AUTHORISED), "nobody");
    let another = say.clone().and(&["-u", known[1], "-P", "another"]);
    assert_eq!(broker.code(&another), Some(NOT_AUTHORISED));
    assert_eq!(broker.code(&say.and(&known)), Some(0));

    broker.server.stop(Signal::TERM);
    let broker = Broker::start(&port, rendered(broker.rendered.again(MODULE, &[])));
    let hear = broker
        .client(&["mosquitto_sub", "-C", "1", "-W", "60"])
        .and(&known);
    assert_eq!(hear.well(broker.rendered.user()), "42 J\n");
}
