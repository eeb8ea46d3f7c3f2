//! Takes the kernel side's object into the agent where `cargo xtask ebpf` has built it, and does without
//! where it has not.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// Where `cargo xtask ebpf` leaves its object.
const OBJECT: &str = "../agent-ebpf/object/hxmlops.bpf.o";
/// Set to anything, the object is left out even where it is there.
const WITHOUT: &str = "HXMLOPS_WITHOUT_EBPF";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rustc-check-cfg=cfg(ebpf_object)");
    // The directory is always there; Cargo would take a missing file for a changed one at every build.
    println!("cargo::rerun-if-changed=../agent-ebpf/object");
    println!("cargo::rerun-if-env-changed={WITHOUT}");
    if env::var_os(WITHOUT).is_none() && Path::new(OBJECT).exists() {
        let directory = env::var("OUT_DIR")?;
        fs::copy(OBJECT, Path::new(&directory).join("hxmlops.bpf.o"))?;
        println!("cargo::rustc-cfg=ebpf_object");
    }
    Ok(())
}
