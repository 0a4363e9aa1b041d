//! Two networks with many weights, so that a swap has something to move: ONNX files written here, signed and pushed
//! like any other version.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tests::onnx;
use tests::onnx::data_type::FLOAT;

use crate::world::sign;

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
        std::fs::write(source.join("model.onnx"), network(width, phase))?;
        sign(&source, &artifact).await?;
        std::fs::remove_dir_all(&source)?;
        made.push(artifact);
    }
    made.try_into().ok().context("two artifacts were made")
}

/// `features` → dense → dense → dense → sigmoid → `probability`.
fn network(width: i64, phase: f32) -> Vec<u8> {
    let graph = onnx::Graph {
        name: "large".to_owned(),
        node: vec![
            onnx::node("MatMul", &["features", "w1"], "h1"),
            onnx::node("Relu", &["h1"], "r1"),
            onnx::node("MatMul", &["r1", "w2"], "h2"),
            onnx::node("Relu", &["h2"], "r2"),
            onnx::node("MatMul", &["r2", "w3"], "h3"),
            onnx::node("Sigmoid", &["h3"], "probability"),
        ],
        initializer: vec![
            weights("w1", [FEATURES, width], phase),
            weights("w2", [width, width], phase),
            weights("w3", [width, 1], phase),
        ],
        input: vec![onnx::rows("features", FLOAT, FEATURES)],
        output: vec![onnx::rows("probability", FLOAT, 1)],
    };
    onnx::file(graph)
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
