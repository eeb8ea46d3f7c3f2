//! `cargo xtask image`: both programs as container images, each from nothing: no shell, no package manager.
//!
//! `hxmlops` is one static program. `hxmlops-agent` cannot be: it opens NVIDIA's libnvidia-ml.so.1 when it runs, which the
//! container runtime mounts, and a program that is linked to glibc statically cannot open a library. So its image has
//! Debian's glibc beside it ([`agent`]).
//!
//! Two builds of one commit with one toolchain give the same image: no file is newer than the commit, and nothing in an
//! image tells of the machine's time.

mod agent;
mod buildah;
mod debian;
mod program;
mod revision;
mod sbom;
mod tree;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::buildah::Image;
use self::debian::Package;
use self::program::{PROGRAMS, Profile, Program};
use self::revision::Revision;
use self::tree::Tree;
use crate::{ebpf, install, workspace};

/// What Debian has to be here: it makes and pushes images, and its certificates and C library are in them.
const PACKAGES: &[&str] = &["binutils", "buildah", "ca-certificates", "libc6-dev"];
/// What runs images in tests.
const TEST_PACKAGES: &[&str] = &["podman", "runc"];
/// Whom the world's certificates are believed for; where rustls looks.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Debian's own, one file each; the bundle beside them may have some of this machine's.
const AUTHORITIES_FROM: &str = "/usr/share/ca-certificates/mozilla";

/// Build container images of both programs, or of those named; installs buildah from Debian where it is missing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Images to build: hxmlops, hxmlops-agent [default: both].
    #[arg(value_name = "NAME", value_parser = program::named)]
    programs: Vec<&'static Program>,
    /// Their tag.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
    /// Also write each into this directory, as NAME-TAG.tar (an OCI archive).
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Also push each to REGISTRY/NAME:TAG; `buildah login` before.
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// Of what programs: `dev` takes what the tests have built, and the eBPF object that is there.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Leave a part out.
    #[arg(long, value_enum, value_name = "NAME")]
    without: Option<Part>,
}

/// What an image can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The agent's eBPF programs: CPU time comes from the cgroups' own accounting.
    Ebpf,
}

/// Builds them, and prints what each is.
///
/// # Errors
/// Where a tool is missing or a step fails; what was built before stays.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        bail!("images are made on x86-64 with glibc alone, and hold programs for such machines");
    }
    install::debian_packages(PACKAGES).context("images need tools and files of Debian's")?;
    let directory = workspace::target().join("images");
    let programs = match &args.programs[..] {
        [] => PROGRAMS.iter().collect(),
        some => some.to_vec(),
    };
    let with_ebpf = args.without != Some(Part::Ebpf);
    let has_agent = programs.iter().any(|program| !program.is_static);
    if with_ebpf && has_agent && args.profile == Profile::Release {
        ebpf::run_installing().context("or leave it out with `--without ebpf`")?;
    }
    let revision = Revision::find();
    for program in programs {
        program.build(args.profile, with_ebpf)?;
        let _one_at_a_time = lock(&directory)?;
        let built = program.strip(args.profile, &directory)?;
        let image = make(program, &built, &args.tag, revision.as_ref(), &directory)
            .with_context(|| format!("cannot make the image {}", program.name))?;
        if let Some(archive) = &args.archive {
            image.archive(archive, program.name, &args.tag)?;
        }
        if let Some(registry) = &args.push {
            image.push(registry, program.name, &args.tag)?;
        }
    }
    Ok(())
}

/// Installs what the tests of images need: they run what the chart says.
///
/// # Errors
/// Where it cannot be installed.
pub(crate) fn test_prerequisites() -> Result<()> {
    install::debian_packages(&[PACKAGES, TEST_PACKAGES].concat())?;
    install::wheels::helm_and_kubectl()
}

/// Held while images are built: they are laid out in one place.
fn lock(directory: &Path) -> Result<File> {
    let lock = || {
        fs::create_dir_all(directory)?;
        let file = File::create(directory.join("lock"))?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    };
    lock().with_context(|| format!("cannot lock {}", directory.display()))
}

/// Lays out what is in an image, and has buildah make it.
fn make(
    program: &Program,
    built: &Path,
    tag: &str,
    revision: Option<&Revision>,
    directory: &Path,
) -> Result<Image> {
    let context = directory.join(program.name);
    let mut tree = Tree::new(&context.join("root"))?;
    tree.put(built, &format!("/{}", program.name), 0o755)?;
    put_what_both_have(&mut tree)?;
    if program.is_static {
        tree.credit(debian::static_parts()?)?;
        // SQLite sorts in files what is too much for memory.
        tree.directory("/tmp", 0o1777)?;
        // The ledger's directory has an owner of its own, and what it lies in has not.
        tree.directory("/var/lib", 0o755)?;
        Tree::new(&context.join("data"))?;
    } else {
        agent::put_libraries(&mut tree, built)?;
    }
    let packages: Vec<&Package> = tree.packages().collect();
    let bom = sbom::bom(program, &packages, revision)?;
    let beside = directory.join(format!("{}.cdx.json", program.name));
    fs::write(&beside, &bom).with_context(|| format!("cannot write {}", beside.display()))?;
    let place = format!("/usr/share/sbom/{}.cdx.json", program.name);
    tree.put(&beside, &place, 0o644)?;

    let image = Image::build(program, tag, revision, &context)?;
    println!(
        "{} {} {}, {} beside it",
        image.name,
        image.id,
        megabytes(tree.bytes()?),
        beside.display()
    );
    Ok(image)
}

fn put_what_both_have(tree: &mut Tree) -> Result<()> {
    let license = workspace::root().join("LICENSE");
    tree.put(&license, "/usr/share/doc/hxmlops/LICENSE", 0o644)?;
    tree.put_text(&debian::authorities(AUTHORITIES_FROM)?, AUTHORITIES)?;
    tree.credit(vec![Package::named("ca-certificates")?])?;
    // /etc/hosts first, where a pod's own names are.
    tree.put_text("hosts: files dns\n", "/etc/nsswitch.conf")
}

/// Such as `12.3 MB`.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
