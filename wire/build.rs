//! Compiles the protobuf schema with a pure-Rust compiler, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/batch.proto"], ["proto"])?;
    prost_build::compile_fds(descriptors)?;
    Ok(())
}
