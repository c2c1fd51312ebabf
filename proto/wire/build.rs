//! Compiles every schema under `proto/schema` with protox, so that no `protoc` is needed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../schema");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut schemas = Vec::new();
    collect(&root.join("carnet"), &mut schemas)?;
    schemas.push(root.join("third_party/etcd/kv.proto"));
    schemas.sort();
    let descriptors = protox::compile(&schemas, [&root])?;
    let out = Path::new(&env::var("OUT_DIR")?).join("schema.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .include_file("generated.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect(folder: &Path, schemas: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, schemas)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            schemas.push(path);
        }
    }
    Ok(())
}
