//! A node and its attributes, read by name and type.

use std::collections::HashMap;
use std::sync::Arc;

use super::proto::attribute_proto::AttributeType;
use super::proto::{AttributeProto, NodeProto};
use super::tensor;
use crate::error::GraphProblem;
use crate::files::ModelFiles;
use crate::tensor::Tensor;

/// The default operator set's name in messages; files leave it empty.
pub(super) const STANDARD: &str = "ai.onnx";
/// Classical machine learning.
pub(super) const ML: &str = "ai.onnx.ml";

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Arc<str>,
    pub(super) op: String,
    /// [`STANDARD`], [`ML`] or another.
    pub(super) domain: String,
    /// Version of the domain.
    pub(super) opset: i64,
    /// Empty names are absent operands.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    attributes: HashMap<String, Attribute>,
}

#[derive(Debug)]
enum Attribute {
    Float(f32),
    Int(i64),
    Text(Vec<u8>),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<Vec<u8>>),
    /// Graphs, sparse tensors and the like, which no supported op reads.
    Other,
}

impl Node {
    pub(super) fn parse(
        proto: NodeProto,
        index: usize,
        opsets: &HashMap<String, i64>,
        files: &ModelFiles,
    ) -> Result<Self, GraphProblem> {
        let domain = match proto.domain() {
            "" => STANDARD,
            domain => domain,
        };
        let op = proto.op_type().to_owned();
        let name = match (proto.name(), proto.output.first()) {
            ("", Some(output)) => output.as_str(),
            ("", None) => "",
            (name, _) => name,
        };
        let name: Arc<str> = if name.is_empty() { format!("#{index}").into() } else { name.into() };
        let problem =
            |reason: String| GraphProblem::Node { op: proto.op_type().to_owned(), node: name.to_string(), reason };
        let mut attributes = HashMap::new();
        for attribute in &proto.attribute {
            let key = attribute.name().to_owned();
            let value =
                Attribute::parse(attribute, files).map_err(|reason| problem(format!("attribute `{key}`: {reason}")))?;
            if attributes.insert(key.clone(), value).is_some() {
                return Err(problem(format!("attribute `{key}` is given twice")));
            }
        }
        let domain = domain.to_owned();
        let opset = opsets.get(&domain).copied().unwrap_or(0);
        Ok(Self { name, op, domain, opset, inputs: proto.input, outputs: proto.output, attributes })
    }

    /// An attribute that is a whole number.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(format!("attribute `{name}` is not a whole number")),
        }
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(format!("attribute `{name}` is not a float")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Text(value)) => {
                std::str::from_utf8(value).map(Some).map_err(|_| format!("attribute `{name}` is not UTF-8"))
            }
            Some(_) => Err(format!("attribute `{name}` is not text")),
        }
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(format!("attribute `{name}` is not a list of whole numbers")),
        }
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&[f32]>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(_) => Err(format!("attribute `{name}` is not a list of floats")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<&[Vec<u8>]>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Texts(values)) => Ok(Some(values)),
            Some(_) => Err(format!("attribute `{name}` is not a list of texts")),
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&Tensor>, String> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(_) => Err(format!("attribute `{name}` is not a tensor")),
        }
    }

    /// Whether an attribute is given at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

impl Attribute {
    fn parse(proto: &AttributeProto, files: &ModelFiles) -> Result<Self, String> {
        let tensor = |t: &super::proto::TensorProto| tensor::read(t.clone(), files);
        Ok(match proto.r#type() {
            AttributeType::Float => Self::Float(proto.f()),
            AttributeType::Int => Self::Int(proto.i()),
            AttributeType::String => Self::Text(proto.s.clone().unwrap_or_default().to_vec()),
            AttributeType::Tensor => Self::Tensor(tensor(proto.t.as_ref().ok_or("no tensor")?)?),
            AttributeType::Floats => Self::Floats(proto.floats.clone()),
            AttributeType::Ints => Self::Ints(proto.ints.clone()),
            AttributeType::Strings => Self::Texts(proto.strings.iter().map(|s| s.to_vec()).collect()),
            _ => Self::Other,
        })
    }
}
