//! Compiles `proto/` without a system `protoc`, and keeps the descriptors for gRPC reflection.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["grpc_service.proto"], ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("inference_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(true)
        // Raw tensors stay slices of the received message instead of being copied.
        .bytes(".")
        .btree_map(".")
        .codec_path("crate::front::grpc::codec::Checked")
        .compile_fds(descriptors)?;
    Ok(())
}
