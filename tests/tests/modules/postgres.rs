//! `storage/postgres` and the modules that make a database in one, with Debian's PostgreSQL 15. What the image's entrypoint
//! does with the variables is in its documentation; it is done here in its place.

use std::fs;
use std::os::unix::fs::chown;

use e2e::{poll, text};
use rustix::process::Signal;

use crate::process::{Server, free_port};
use crate::rendered::{Program, Rendered};

const MODULE: &str = "storage/postgres";

/// A database server of the module, and where it is reached.
struct Postgres {
    rendered: Rendered,
    server: Server,
    port: String,
}

/// As the entrypoint does where PGDATA is empty: a cluster of this user and password, then the database.
fn initialize(rendered: &Rendered) {
    let env = rendered.program().env;
    let password = rendered.at("password");
    fs::write(&password, &env["POSTGRES_PASSWORD"]).unwrap();
    chown(&password, Some(rendered.user()), None).unwrap();
    let user = format!("--username={}", env["POSTGRES_USER"]);
    let password = format!("--pwfile={}", text(&password));
    let authentication = ["--auth-local=trust", "--auth-host=scram-sha-256"];
    let initdb = [
        &["initdb", "-D", &env["PGDATA"], &user, &password],
        &authentication[..],
    ];
    rendered.tool(&initdb.concat()).well(rendered.user());
}

impl Postgres {
    fn start(rendered: Rendered) -> Self {
        let env = rendered.program().env;
        let port = free_port().to_string();
        let socket = rendered.at("var/run/postgresql");
        let args = [
            "postgres",
            "-D",
            &env["PGDATA"],
            "-c",
            "listen_addresses=127.0.0.1",
        ];
        let program = Program {
            env: env.clone(),
            ..rendered.tool(&args)
        };
        let places = ["-p", &port, "-k", text(&socket)];
        let probe = rendered.probe("startupProbe").with(&[("PGPORT", &port)]);
        let user = rendered.user();
        assert!(!probe.run(user).status.success(), "before it starts");
        let mut server = program.and(&places).start(user);
        let is_up = || {
            server.check()?;
            Ok(probe.run(user).status.success().then_some(()))
        };
        poll("PostgreSQL takes connections", is_up).unwrap();
        for kind in ["livenessProbe", "readinessProbe"] {
            let probe = rendered.probe(kind).with(&[("PGPORT", &port)]);
            probe.well(user);
        }
        Self {
            rendered,
            server,
            port,
        }
    }

    /// Whom clients are, as the offer tells them.
    fn client(&self) -> [(&'static str, String); 4] {
        let env = self.rendered.program().env;
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.clone()),
            ("PGUSER", env["POSTGRES_USER"].clone()),
            ("PGPASSWORD", env["POSTGRES_PASSWORD"].clone()),
        ]
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        let args = ["psql", "-tAc", statement, database];
        let psql = self.rendered.tool(&args).with(&self.client());
        psql.well(self.rendered.user())
    }
}

#[test]
fn postgres_keeps_its_data_on_its_volume_and_asks_for_the_password() {
    let rendered = Rendered::new(MODULE, &[], &[]);
    let database = rendered.program().env["POSTGRES_DB"].clone();
    initialize(&rendered);
    let postgres = Postgres::start(rendered);
    postgres.psql("postgres", &format!("create database {database}"));
    postgres.psql(&database, "create table kept as select 42 as answer");

    let wrong = postgres
        .rendered
        .tool(&["psql", "-c", "select 1", &database]);
    let mut client = postgres.client();
    client[3].1 = "another".to_owned();
    let refused = wrong.with(&client).run(postgres.rendered.user());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("password authentication failed"), "{said}");

    // The image's own stop signal: a fast shutdown.
    postgres.server.stop(Signal::INT);
    let postgres = Postgres::start(postgres.rendered.again(MODULE, &[]));
    assert_eq!(postgres.psql(&database, "select answer from kept"), "42\n");
}

#[test]
fn modules_make_their_database_once() {
    let rendered = Rendered::new(MODULE, &[], &[]);
    initialize(&rendered);
    let postgres = Postgres::start(rendered);
    let [_, _, (_, user), (_, password)] = postgres.client();
    for module in [
        "api/modelsharing",
        "api/datasetsharing",
        "ml_toolkit/mlflow",
    ] {
        let set = [
            ("env.PGHOST", "127.0.0.1"),
            ("env.PGUSER", &*user),
            ("secretEnv.PGPASSWORD.secret", "db-auth"),
            ("secretEnv.PGPASSWORD.key", "password"),
        ];
        let module = Rendered::new(module, &set, &[("db-auth", "password", &password)]);
        let make = module
            .before("database")
            .with(&[("PGPORT", &postgres.port)]);
        std::thread::scope(|scope| {
            let at_once = [(); 2].map(|()| scope.spawn(|| make.well(module.user())));
            at_once
                .into_iter()
                .for_each(|one| drop(one.join().unwrap()));
        });
        make.well(module.user());
        let database = &make.env["DATABASE"];
        let count = format!("select count(*) from pg_database where datname = '{database}'");
        assert_eq!(postgres.psql("postgres", &count), "1\n");
    }
}
