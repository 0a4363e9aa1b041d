//! Turns `proto/onnx.proto` into Rust types, without a `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/onnx.proto");
    let files = protox::compile(["proto/onnx.proto"], ["proto"])?;
    // `Bytes` fields are slices of the parsed buffer: weights are not copied while parsing.
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
