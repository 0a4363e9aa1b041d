//! Two networks with many weights, so that a swap has something to move: ONNX files written here, signed and pushed
//! like any other version.

use std::path::{Path, PathBuf};

use anyhow::Context;
use prost::Message;

use crate::world::sign;

/// The messages of ONNX that a dense network needs, with the published field numbers.
mod onnx {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Model {
        #[prost(int64, tag = "1")]
        pub(super) ir_version: i64,
        #[prost(message, optional, tag = "7")]
        pub(super) graph: Option<Graph>,
        #[prost(message, repeated, tag = "8")]
        pub(super) opset_import: Vec<Opset>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Opset {
        #[prost(int64, tag = "2")]
        pub(super) version: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub(super) node: Vec<Node>,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(message, repeated, tag = "5")]
        pub(super) initializer: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        pub(super) input: Vec<Value>,
        #[prost(message, repeated, tag = "12")]
        pub(super) output: Vec<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Node {
        #[prost(string, repeated, tag = "1")]
        pub(super) input: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub(super) output: Vec<String>,
        #[prost(string, tag = "3")]
        pub(super) name: String,
        #[prost(string, tag = "4")]
        pub(super) op_type: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Tensor {
        #[prost(int64, repeated, tag = "1")]
        pub(super) dims: Vec<i64>,
        #[prost(int32, tag = "2")]
        pub(super) data_type: i32,
        #[prost(string, tag = "8")]
        pub(super) name: String,
        #[prost(bytes, tag = "9")]
        pub(super) raw_data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Value {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, optional, tag = "2")]
        pub(super) r#type: Option<Type>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Type {
        #[prost(message, optional, tag = "1")]
        pub(super) tensor_type: Option<TensorType>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TensorType {
        #[prost(int32, tag = "1")]
        pub(super) elem_type: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) shape: Option<Shape>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Shape {
        #[prost(message, repeated, tag = "1")]
        pub(super) dim: Vec<Dim>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Dim {
        #[prost(oneof = "DimValue", tags = "1, 2")]
        pub(super) value: Option<DimValue>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum DimValue {
        #[prost(int64, tag = "1")]
        Value(i64),
        #[prost(string, tag = "2")]
        Param(String),
    }
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;
const FEATURES: i64 = 9;

/// Two signed artifact folders below `folder`, each with about `megabytes` of weights.
pub(super) async fn artifacts(folder: &Path, megabytes: usize) -> anyhow::Result<[PathBuf; 2]> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the side of a square matrix of floats"
    )]
    let width = (megabytes as f64 * 1e6 / 4.0).sqrt() as i64;
    let mut made = Vec::new();
    for (name, phase) in [("a", 0.0), ("b", 0.5)] {
        let (source, artifact) = (folder.join(format!("{name}-source")), folder.join(name));
        std::fs::create_dir(&source)?;
        std::fs::write(source.join("model.onnx"), network(width, phase).encode_to_vec())?;
        sign(&source, &artifact).await?;
        std::fs::remove_dir_all(&source)?;
        made.push(artifact);
    }
    made.try_into().ok().context("two artifacts were made")
}

/// `features` → dense → dense → dense → sigmoid → `probability`.
fn network(width: i64, phase: f32) -> onnx::Model {
    let node = |op: &str, input: &[&str], output: &str| onnx::Node {
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        op_type: op.to_owned(),
    };
    let graph = onnx::Graph {
        name: "large".to_owned(),
        node: vec![
            node("MatMul", &["features", "w1"], "h1"),
            node("Relu", &["h1"], "r1"),
            node("MatMul", &["r1", "w2"], "h2"),
            node("Relu", &["h2"], "r2"),
            node("MatMul", &["r2", "w3"], "h3"),
            node("Sigmoid", &["h3"], "probability"),
        ],
        initializer: vec![
            weights("w1", [FEATURES, width], phase),
            weights("w2", [width, width], phase),
            weights("w3", [width, 1], phase),
        ],
        input: vec![value("features", FEATURES)],
        output: vec![value("probability", 1)],
    };
    onnx::Model { ir_version: 8, graph: Some(graph), opset_import: vec![onnx::Opset { version: 17 }] }
}

/// Small values that differ from place to place and from phase to phase.
fn weights(name: &str, dims: [i64; 2], phase: f32) -> onnx::Tensor {
    let count = dims[0] * dims[1];
    let mut raw_data = Vec::new();
    for index in 0..count {
        #[expect(clippy::cast_precision_loss, reason = "below 1009")]
        let value = ((index % 1009) as f32 / 1009.0 - phase) * 1e-3;
        raw_data.extend_from_slice(&value.to_le_bytes());
    }
    onnx::Tensor { dims: dims.to_vec(), data_type: FLOAT, name: name.to_owned(), raw_data }
}

fn value(name: &str, columns: i64) -> onnx::Value {
    let dim = |value| onnx::Dim { value: Some(value) };
    let shape =
        onnx::Shape { dim: vec![dim(onnx::DimValue::Param("batch".to_owned())), dim(onnx::DimValue::Value(columns))] };
    let tensor_type = onnx::TensorType { elem_type: FLOAT, shape: Some(shape) };
    onnx::Value { name: name.to_owned(), r#type: Some(onnx::Type { tensor_type: Some(tensor_type) }) }
}
