//! A module as helm renders it. Its volumes are directories of the test, and every path below one of its mounts is taken
//! for the same path below those.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{cluster, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The release's name.
const RELEASE: &str = "it";
const NOBODY: u32 = 65_534;
/// Where the programs are that `cargo xtask test` unpacks; before this process' own.
const PROGRAMS: [&str; 3] = ["usr/lib/postgresql/15/bin", "usr/sbin", "usr/bin"];

/// One pod of a module, on this machine.
pub(crate) struct Rendered {
    pod: Value,
    /// By name, then key.
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    root: TempDir,
}

/// A container's program, and what it is given.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
}

impl Rendered {
    /// `GROUP/NAME` of the catalogue, with values laid over its own and secrets of others, by name and key.
    pub(crate) fn new(module: &str, set: &[(&str, &str)], others: &[(&str, &str, &str)]) -> Self {
        let helm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm");
        let file = fs::read_to_string(helm.join(format!("catalogue/{module}.yaml"))).unwrap();
        let file: Value = serde_saphyr::from_str(&file).unwrap();
        let root = tempfile::tempdir().unwrap();
        // Programs come here as other users.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let values = root.path().join("values.json");
        fs::write(&values, file["chart"].to_string()).unwrap();
        let mut template = Command::new(cluster::tool("helm-4").unwrap());
        template
            .args(["template", RELEASE])
            .arg(helm.join("module"))
            .arg("--values")
            .arg(&values);
        for (path, value) in set {
            template.args(["--set", &format!("{path}={value}")]);
        }
        let output = template.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let manifest = String::from_utf8(output.stdout).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&manifest).unwrap();
        let mut secrets = secrets(&objects);
        for (name, key, value) in others {
            let secret = secrets.entry((*name).to_owned()).or_default();
            secret.insert((*key).to_owned(), (*value).to_owned());
        }
        let workload = objects
            .iter()
            .find(|object| object["spec"]["template"].is_object());
        copy_programs(root.path());
        let rendered = Self {
            pod: workload.expect("a workload")["spec"]["template"]["spec"].clone(),
            secrets,
            root,
        };
        rendered.make_volumes(&objects);
        rendered
    }

    /// Every mount of every container, with the files of the configuration where they belong.
    fn make_volumes(&self, objects: &[Value]) {
        let user = self.user();
        for container in self.containers() {
            for mount in list(&container["volumeMounts"]) {
                let directory = self.at(mount["mountPath"].as_str().unwrap());
                fs::create_dir_all(&directory).unwrap();
                chown(&directory, Some(user), Some(user)).unwrap();
                let volume = list(&self.pod["volumes"]).find(|one| one["name"] == mount["name"]);
                let map = volume.map(|volume| &volume["configMap"]["name"]);
                let is_it = |object: &&Value| {
                    object["kind"] == "ConfigMap" && Some(&object["metadata"]["name"]) == map
                };
                for (name, content) in objects.iter().find(is_it).into_iter().flat_map(files) {
                    fs::write(directory.join(name), self.here(content.as_str().unwrap())).unwrap();
                }
            }
        }
    }

    fn containers(&self) -> impl Iterator<Item = &Value> {
        list(&self.pod["initContainers"]).chain(list(&self.pod["containers"]))
    }

    /// Whom its programs run as; nobody where this machine has no such user, since PostgreSQL wants its own to have a name.
    pub(crate) fn user(&self) -> u32 {
        let user = self.pod["securityContext"]["runAsUser"].as_u64().unwrap();
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let number = user.to_string();
        let is_known = users
            .lines()
            .any(|line| line.split(':').nth(2) == Some(&number));
        if is_known { user as u32 } else { NOBODY }
    }

    /// Where a path of a mount is on this machine.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// A text of the module, with its mounts' paths as they are on this machine.
    fn here(&self, of_module: &str) -> String {
        let mounts = self.containers().flat_map(|one| list(&one["volumeMounts"]));
        let mut mounts: Vec<&str> = mounts
            .map(|mount| mount["mountPath"].as_str().unwrap())
            .collect();
        // The longest that fits is the one that is meant.
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.len()));
        let is_end = |next: Option<char>| next.is_none_or(|c| !c.is_alphanumeric() && c != '-');
        let mut here = String::new();
        let mut rest = of_module;
        while let Some(first) = rest.chars().next() {
            let mount = mounts.iter().find(|mount| {
                let after = rest.strip_prefix(**mount);
                after.is_some_and(|after| is_end(after.chars().next()))
            });
            let begins = here
                .chars()
                .next_back()
                .is_none_or(|c| !c.is_alphanumeric() && c != '/' && c != '.');
            if let Some(mount) = mount.filter(|_| begins) {
                here += text(&self.at(mount));
                rest = &rest[mount.len()..];
            } else {
                here.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        here
    }

    /// The module's own program: of its first container.
    pub(crate) fn program(&self) -> Program {
        self.program_of(&self.pod["containers"][0])
    }

    /// The program of a container that runs before.
    pub(crate) fn before(&self, name: &str) -> Program {
        let container = list(&self.pod["initContainers"]).find(|one| one["name"] == name);
        self.program_of(container.unwrap())
    }

    /// What a probe of the first container runs.
    pub(crate) fn probe(&self, kind: &str) -> Program {
        let container = &self.pod["containers"][0];
        Program {
            args: self.texts(&container[kind]["exec"]["command"]),
            ..self.program_of(container)
        }
    }

    /// The path that a probe of the first container asks for.
    pub(crate) fn probe_path(&self, kind: &str) -> String {
        let path = &self.pod["containers"][0][kind]["httpGet"]["path"];
        path.as_str().unwrap().to_owned()
    }

    /// A program that is no container's own, such as a client.
    pub(crate) fn tool(&self, args: &[&str]) -> Program {
        let own = PROGRAMS.map(|directory| text(&self.at(directory)).to_owned());
        let path = format!("{}:{}", own.join(":"), std::env::var("PATH").unwrap());
        Program {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: [("PATH".to_owned(), path)].into(),
        }
    }

    fn program_of(&self, container: &Value) -> Program {
        let mut env = self.tool(&[]).env;
        for variable in list(&container["env"]) {
            let from = &variable["valueFrom"]["secretKeyRef"];
            let value = match (variable["value"].as_str(), from["name"].as_str()) {
                (Some(value), _) => expand(&self.here(value), &env),
                (None, Some(secret)) => self.secrets[secret][from["key"].as_str().unwrap()].clone(),
                (None, None) => panic!("{variable} has no value"),
            };
            env.insert(variable["name"].as_str().unwrap().to_owned(), value);
        }
        let args = ["command", "args"].map(|part| self.texts(&container[part]));
        let args = args.concat();
        Program {
            args: args.iter().map(|arg| expand(arg, &env)).collect(),
            env,
        }
    }

    fn texts(&self, of: &Value) -> Vec<String> {
        list(of)
            .map(|text| self.here(text.as_str().unwrap()))
            .collect()
    }

    /// The directory of the one claim: all that is left when the pod has gone.
    pub(crate) fn claim(&self) -> PathBuf {
        let volumes = list(&self.pod["volumes"]);
        let claims: Vec<&Value> = volumes
            .filter(|volume| volume["persistentVolumeClaim"].is_object())
            .collect();
        let [claim] = claims[..] else {
            panic!("{claims:?}")
        };
        let mut mounts = list(&self.pod["containers"][0]["volumeMounts"]);
        let mount = mounts.find(|mount| mount["name"] == claim["name"]);
        self.at(mount.unwrap()["mountPath"].as_str().unwrap())
    }

    /// With another text in a file of its configuration, of which the test's machine wants it.
    pub(crate) fn edit(self, file: &str, was: &str, is: &str) -> Self {
        let file = self.at("/etc/module").join(file);
        let content = fs::read_to_string(&file).unwrap();
        assert!(content.contains(was), "{content}");
        fs::write(&file, content.replace(was, is)).unwrap();
        self
    }

    /// The same module in a new pod: of the files only those on the claim are there, and its secrets, which are kept.
    pub(crate) fn again(self, module: &str, set: &[(&str, &str)]) -> Self {
        let mut next = Self::new(module, set, &[]);
        let (old, new) = (self.claim(), next.claim());
        fs::remove_dir(&new).unwrap();
        fs::rename(old, new).unwrap();
        next.secrets = self.secrets.clone();
        next
    }
}

/// As Kubernetes does it: `$(NAME)` of a variable that was told before.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    env.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("$({name})"), value)
    })
}

/// To where other users can reach them: that need not be so where they were unpacked.
fn copy_programs(root: &Path) {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/modules");
    assert!(modules.is_dir(), "`cargo xtask test` installs them");
    for directory in [
        "usr/bin",
        "usr/sbin",
        "usr/lib/postgresql",
        "usr/share/postgresql",
    ] {
        let place = root.join(directory);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("--archive")
            .arg(modules.join(directory))
            .arg(place);
        assert!(copy.status().unwrap().success());
    }
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn files(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map["data"].as_object().into_iter().flatten()
}

fn secrets(objects: &[Value]) -> BTreeMap<String, BTreeMap<String, String>> {
    let decoded = |(key, value): (&String, &Value)| {
        let value = STANDARD.decode(value.as_str().unwrap()).unwrap();
        (key.clone(), String::from_utf8(value).unwrap())
    };
    let of = objects
        .iter()
        .filter(|object| object["kind"] == json!("Secret"));
    of.map(|secret| {
        let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
        (name, files(secret).map(decoded).collect())
    })
    .collect()
}
