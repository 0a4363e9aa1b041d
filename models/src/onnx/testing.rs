//! Small graphs for tests, written with the generated protobuf types.

use bytes::Bytes;
use prost::Message;

use super::proto::attribute_proto::AttributeType;
use super::proto::tensor_proto::DataType;
use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto, type_proto,
};
use crate::files::ModelFiles;
use crate::tensor::{Datatype, NamedTensor, Tensor};

/// A graph under construction.
#[derive(Default)]
pub(crate) struct TestGraph {
    pub(crate) graph: GraphProto,
    pub(crate) opset: i64,
}

/// An attribute of a node.
pub(crate) enum Attr {
    I(i64),
    F(f32),
    S(&'static str),
    Is(Vec<i64>),
    Fs(Vec<f32>),
    Ss(Vec<&'static str>),
    T(Box<TensorProto>),
}

impl TestGraph {
    pub(crate) fn new(opset: i64) -> Self {
        Self { graph: GraphProto::default(), opset }
    }

    /// `-1` for an axis of any size.
    pub(crate) fn input(mut self, name: &str, data_type: DataType, dims: &[i64]) -> Self {
        self.graph.input.push(value_info(name, data_type, dims));
        self
    }

    pub(crate) fn output(mut self, name: &str, data_type: DataType, dims: &[i64]) -> Self {
        self.graph.output.push(value_info(name, data_type, dims));
        self
    }

    pub(crate) fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph.initializer.push(float_tensor(name, dims, values));
        self
    }

    pub(crate) fn ints(mut self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(DataType::Int64 as i32),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// `op` may be `ai.onnx.ml:Scaler`; empty operands are absent.
    pub(crate) fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attrs: Vec<(&str, Attr)>) -> Self {
        let (domain, op) = op.split_once(':').unwrap_or(("", op));
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: strings(inputs),
            output: strings(outputs),
            name: Some(format!("n{}", self.graph.node.len())),
            op_type: Some(op.to_owned()),
            attribute: attrs.into_iter().map(|(name, attr)| attribute(name, attr)).collect(),
            domain: Some(domain.to_owned()),
        });
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let opset =
            |domain: &str, version| OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) };
        let model = ModelProto {
            ir_version: Some(8),
            graph: Some(self.graph.clone()),
            opset_import: vec![opset("", self.opset), opset("ai.onnx.ml", 3)],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    pub(crate) fn files(&self) -> ModelFiles {
        files(self.bytes())
    }
}

/// An artifact of nothing but this graph.
pub(crate) fn files(model: Vec<u8>) -> ModelFiles {
    let mut files = ModelFiles::new();
    files.insert("model.onnx", Bytes::from(model)).unwrap();
    files
}

pub(crate) fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>().into()),
        ..TensorProto::default()
    }
}

fn value_info(name: &str, data_type: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |size: &i64| tensor_shape_proto::Dimension {
        value: (*size >= 0).then_some(tensor_shape_proto::dimension::Value::DimValue(*size)),
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(data_type as i32),
        shape: Some(TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { value }) }
}

fn attribute(name: &str, attr: Attr) -> AttributeProto {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    let bytes = |text: &str| Bytes::from(text.as_bytes().to_vec());
    let kind = match attr {
        Attr::I(value) => {
            proto.i = Some(value);
            AttributeType::Int
        }
        Attr::F(value) => {
            proto.f = Some(value);
            AttributeType::Float
        }
        Attr::S(value) => {
            proto.s = Some(bytes(value));
            AttributeType::String
        }
        Attr::Is(values) => {
            proto.ints = values;
            AttributeType::Ints
        }
        Attr::Fs(values) => {
            proto.floats = values;
            AttributeType::Floats
        }
        Attr::Ss(values) => {
            proto.strings = values.into_iter().map(bytes).collect();
            AttributeType::Strings
        }
        Attr::T(value) => {
            proto.t = Some(*value);
            AttributeType::Tensor
        }
    };
    proto.r#type = Some(kind as i32);
    proto
}

pub(crate) fn f32s(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    NamedTensor { name: name.into(), tensor: Tensor::new(Datatype::Fp32, shape.to_vec(), data.into()).unwrap() }
}

pub(crate) fn i64s(name: &str, shape: &[usize], values: &[i64]) -> NamedTensor {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    NamedTensor { name: name.into(), tensor: Tensor::new(Datatype::Int64, shape.to_vec(), data.into()).unwrap() }
}
