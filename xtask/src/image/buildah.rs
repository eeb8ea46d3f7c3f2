//! buildah, which makes an image of what is laid out, and takes it elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::megabytes;
use super::program::Program;
use super::revision::Revision;
use crate::run::{output, run as run_program};
use crate::workspace;

/// An image in this user's store.
pub(super) struct Image {
    /// `NAME:TAG`.
    pub(super) name: String,
    /// The digest of its configuration, which names all that is in it.
    pub(super) id: String,
}

impl Image {
    /// Makes one of a directory with `root/` in it.
    ///
    /// # Errors
    /// Where buildah fails.
    pub(super) fn build(
        program: &Program,
        tag: &str,
        revision: Option<&Revision>,
        context: &Path,
    ) -> Result<Self> {
        let name = format!("{}:{tag}", program.name);
        let id_file = context.join("id");
        let mut build = Command::new("buildah");
        build
            .args(["bud", "--quiet", "--isolation=chroot", "--format=oci"])
            .args(["--identity-label=false", "--layers=false", "--no-cache"])
            .arg(format!(
                "--timestamp={}",
                revision.map_or(0, |revision| revision.seconds)
            ))
            .args(["--tag", &name])
            .arg("--iidfile")
            .arg(&id_file)
            .arg("--file")
            .arg(workspace::root().join(program.containerfile));
        for (key, value) in labels(program, revision) {
            build.arg(format!("--label=org.opencontainers.image.{key}={value}"));
        }
        output(build.arg(context))?;
        let id = fs::read_to_string(&id_file)
            .with_context(|| format!("cannot read {}", id_file.display()))?;
        Ok(Self {
            name,
            id: id.trim().to_owned(),
        })
    }

    /// Writes it into a file of a directory, and prints what that is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn archive(&self, directory: &Path, name: &str, tag: &str) -> Result<()> {
        let file = directory.join(format!("{name}-{tag}.tar"));
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        // An archive that is there is not written again.
        let _ = fs::remove_file(&file);
        let digest = self.send(&format!("oci-archive:{}:{}", file.display(), self.name))?;
        let size = fs::metadata(&file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .len();
        println!("{} {digest} {}", file.display(), megabytes(size));
        Ok(())
    }

    /// Pushes it to a registry, and prints what it is called there.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub(super) fn push(&self, registry: &str, name: &str, tag: &str) -> Result<()> {
        let registry = registry.trim_end_matches('/');
        let digest = self.send(&format!("docker://{registry}/{name}:{tag}"))?;
        println!("{registry}/{name}:{tag}@{digest}");
        Ok(())
    }

    /// Returns the digest that it has there.
    fn send(&self, to: &str) -> Result<String> {
        let digest = workspace::target().join("images/digest");
        run_program(
            Command::new("buildah")
                .args(["push", "--quiet", "--digestfile"])
                .arg(&digest)
                .args([&self.id, to]),
        )?;
        let text = fs::read_to_string(&digest)
            .with_context(|| format!("cannot read {}", digest.display()))?;
        Ok(text.trim().to_owned())
    }
}

/// What the image says of itself, in the words of the OCI image specification's annotations.
fn labels(program: &Program, revision: Option<&Revision>) -> Vec<(&'static str, String)> {
    let mut labels = vec![
        ("title", program.title.to_owned()),
        ("description", program.description.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("licenses", "Apache-2.0".to_owned()),
    ];
    labels.extend(revision.map(|revision| ("revision", revision.name.clone())));
    labels
}
