//! ONNX files to a signature and a plan.
//!
//! Reads the protobuf within limits, checks the graph, and lowers each node by the rules of its opset. Nothing here
//! computes; what a node means is in [`ops`], what it does is in `plan`.

mod graph;
mod interface;
mod lower;
mod node;
mod ops;
mod tensor;

/// The wire format, generated from `proto/onnx.proto`.
#[expect(unreachable_pub, clippy::enum_variant_names, reason = "generated")]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

use bytes::Bytes;
use prost::Message;

use crate::error::LoadError;
use crate::files::ModelFiles;
use crate::plan::Plan;
use crate::signature::Signature;

/// Bytes of one model file. Protobuf itself ends at 2 GiB; larger weights are kept in files of their own.
const FILE_BYTES_MAX: u64 = 2 << 30;
const NODES_MAX: usize = 100_000;
const INITIALIZERS_MAX: usize = 100_000;

/// Parses `file` and lowers it. The signature is as the graph declares it.
pub(crate) fn load(files: &ModelFiles, name: &str, file: &Bytes) -> Result<(Signature, Plan), LoadError> {
    limit(name, file.len() as u64, FILE_BYTES_MAX)?;
    let model = proto::ModelProto::decode(file.clone()).map_err(|source| LoadError::Decode {
        file: name.to_owned(),
        bytes: file.len(),
        source,
    })?;
    if let Some(graph) = &model.graph {
        limit(&format!("{name}: nodes"), graph.node.len() as u64, NODES_MAX as u64)?;
        limit(&format!("{name}: initializers"), graph.initializer.len() as u64, INITIALIZERS_MAX as u64)?;
    }
    let graph = graph::Graph::parse(model, files).map_err(LoadError::Graph)?;
    lower::lower(graph).map_err(LoadError::Graph)
}

fn limit(what: &str, actual: u64, limit: u64) -> Result<(), LoadError> {
    if actual > limit {
        return Err(LoadError::TooLarge { what: what.to_owned(), limit, actual });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
