//! `storage/seaweedfs` and the modules that make a bucket in one, with PyPI's SeaweedFS, which has the image's version.

use std::fs;

use e2e::cluster::tool;
use e2e::{get, poll, text};
use rustix::process::Signal;

use crate::process::{Server, free_port};
use crate::rendered::{Program, Rendered};

const MODULE: &str = "storage/seaweedfs";

struct Store {
    rendered: Rendered,
    server: Server,
    endpoint: String,
}

/// Ports that it has beside S3's and the metrics', all of the pod alone.
const OTHERS: [&str; 7] = [
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
];

/// The module's program, with ports that are free here in place of the pod's own.
fn at_free_ports(program: Program, s3: u16, metrics: u16) -> Program {
    let own = [
        ("/usr/bin/weed", text(&tool("weed").unwrap()).to_owned()),
        ("-s3.port=8333", format!("-s3.port={s3}")),
        ("-metricsPort=9327", format!("-metricsPort={metrics}")),
    ];
    let mut args = program.args;
    for (is, here) in own {
        let arg = args.iter_mut().find(|arg| *arg == is);
        *arg.expect("the module says it") = here;
    }
    args.extend(OTHERS.map(|port| format!("-{port}={}", free_port())));
    Program { args, ..program }
}

impl Store {
    fn start(rendered: Rendered) -> Self {
        let (s3, metrics) = (free_port(), free_port());
        let program = at_free_ports(rendered.program(), s3, metrics);
        let mut server = program.start(rendered.user());
        let endpoint = format!("http://127.0.0.1:{s3}");
        let health = format!("{endpoint}{}", rendered.probe_path("readinessProbe"));
        poll("SeaweedFS is healthy", || {
            server.check()?;
            Ok(get(&health)
                .is_ok_and(|(status, _)| status == 200)
                .then_some(()))
        })
        .unwrap();
        // Of another user's it would be in the way of the next one at this port.
        fs::remove_file(format!("/tmp/seaweedfs-s3-{s3}.sock")).unwrap();
        let (status, said) = get(&format!("http://127.0.0.1:{metrics}/metrics")).unwrap();
        assert!(status == 200 && said.contains("SeaweedFS_"), "{status}");
        Self {
            rendered,
            server,
            endpoint,
        }
    }

    /// curl with the keys, as the user that the module's own program has.
    fn curl(&self, secret: &str, args: &[&str], path: &str) -> String {
        let env = self.rendered.program().env;
        let keys = format!("{}:{secret}", env["AWS_ACCESS_KEY_ID"]);
        let curl = [
            "curl",
            "-sS",
            "--user",
            &keys,
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
        ];
        let program = self.rendered.tool(&curl).and(args);
        let program = program.and(&[&format!("{}/{path}", self.endpoint)]);
        program.well(self.rendered.user())
    }
}

const CODE: [&str; 4] = ["-o", "/dev/null", "-w", "%{http_code}"];

#[test]
fn seaweedfs_takes_its_keys_alone_and_keeps_objects_on_its_volume() {
    let store = Store::start(Rendered::new(MODULE, &[], &[]));
    let env = store.rendered.program().env;
    let secret = &env["AWS_SECRET_ACCESS_KEY"];
    let make = [&["-X", "PUT"][..], &CODE].concat();
    assert_eq!(store.curl("another", &make, "bucket"), "403");
    let (status, _) = get(&format!("{}/bucket/object", store.endpoint)).unwrap();
    assert_eq!(status, 403, "nobody");
    assert_eq!(store.curl(secret, &make, "bucket"), "200");
    let object = store.rendered.at("object");
    fs::write(&object, "42 J").unwrap();
    let put = [&["-T", text(&object)][..], &CODE].concat();
    assert_eq!(store.curl(secret, &put, "bucket/object"), "200");

    // It does not heed the signal before: in the end Kubernetes does this.
    store.server.stop(Signal::KILL);
    let store = Store::start(store.rendered.again(MODULE, &[]));
    // It answers before it has its volumes.
    let object = poll("the object is there", || {
        let code = store.curl(secret, &CODE, "bucket/object");
        Ok((code == "200").then(|| store.curl(secret, &[], "bucket/object")))
    });
    assert_eq!(object.unwrap(), "42 J");
}

#[test]
fn modules_make_their_bucket_once() {
    let store = Store::start(Rendered::new(MODULE, &[], &[]));
    let env = store.rendered.program().env;
    for (module, endpoint) in [
        ("api/modelsharing", "env.AWS_ENDPOINT_URL_S3"),
        ("api/datasetsharing", "env.AWS_ENDPOINT_URL_S3"),
        ("ml_toolkit/mlflow", "env.MLFLOW_S3_ENDPOINT_URL"),
    ] {
        let set = [
            (endpoint, &*store.endpoint),
            ("env.AWS_DEFAULT_REGION", "us-east-1"),
            ("secretEnv.AWS_ACCESS_KEY_ID.secret", "s3-auth"),
            ("secretEnv.AWS_ACCESS_KEY_ID.key", "access-key"),
            ("secretEnv.AWS_SECRET_ACCESS_KEY.secret", "s3-auth"),
            ("secretEnv.AWS_SECRET_ACCESS_KEY.key", "secret-key"),
        ];
        let secrets = |secret_key| {
            [
                ("s3-auth", "access-key", &*env["AWS_ACCESS_KEY_ID"]),
                ("s3-auth", "secret-key", secret_key),
            ]
        };
        let secret = &*env["AWS_SECRET_ACCESS_KEY"];
        let rendered = Rendered::new(module, &set, &secrets(secret));
        let make = rendered.before("bucket");
        let user = rendered.user();
        for _ in 0..2 {
            make.well(user);
        }
        let bucket = &make.env["BUCKET"];
        assert_eq!(store.curl(secret, &CODE, bucket), "200", "{module}");

        let wrong = Rendered::new(module, &set, &secrets("another"));
        let refused = wrong.before("bucket").run(user);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains("HTTP 403"),
            "{said}"
        );
    }
}
