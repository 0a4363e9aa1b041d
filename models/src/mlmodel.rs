//! MLflow's `MLmodel` file: which flavors there are, and the signature that was logged with the model.
//!
//! The graph is the truth about types and names; the logged signature may narrow its shapes, and must not contradict it.

use saphyr::{LoadableYamlNode, Yaml};
use saphyr_parser::{Event, Parser};
use serde_json::Value as Json;

use crate::error::LoadError;
use crate::signature::{Dim, Signature, TensorSpec};
use crate::tensor::Datatype;

const FILE_BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 32;

/// What is read of the file.
#[derive(Debug, Default)]
pub(crate) struct Mlmodel {
    /// Names of the flavors, in order.
    pub(crate) flavors: Vec<String>,
    /// `flavors.onnx.data`.
    pub(crate) onnx_file: Option<String>,
    inputs: Option<Vec<Column>>,
    outputs: Option<Vec<Column>>,
}

/// One entry of a logged signature.
#[derive(Debug, PartialEq)]
struct Column {
    name: Option<String>,
    /// `None` for a column of a table, which the graph sees as a part of a matrix.
    tensor: Option<(Datatype, Vec<Dim>)>,
}

impl Mlmodel {
    /// Reads the file within limits.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, LoadError> {
        let wrong = |reason: String| LoadError::Mlmodel { reason };
        if data.len() > FILE_BYTES_MAX {
            let (limit, actual) = (FILE_BYTES_MAX as u64, data.len() as u64);
            return Err(LoadError::TooLarge { what: "MLmodel".to_owned(), limit, actual });
        }
        let text = std::str::from_utf8(data).map_err(|error| wrong(format!("not UTF-8: {error}")))?;
        check_shape(text).map_err(wrong)?;
        let documents = Yaml::load_from_str(text).map_err(|error| wrong(error.to_string()))?;
        let Some(root) = documents.first() else { return Err(wrong("it is empty".to_owned())) };
        let mut parsed = Self::default();
        if let Some(flavors) = root.as_mapping_get("flavors").and_then(Yaml::as_mapping) {
            parsed.flavors = flavors.keys().filter_map(Yaml::as_str).map(str::to_owned).collect();
        }
        let flavor = root.as_mapping_get("flavors").and_then(|flavors| flavors.as_mapping_get("onnx"));
        let data = flavor.and_then(|onnx| onnx.as_mapping_get("data")).and_then(Yaml::as_str);
        parsed.onnx_file = data.map(str::to_owned);
        if let Some(signature) = root.as_mapping_get("signature") {
            let side = |name: &str| match signature.as_mapping_get(name).and_then(Yaml::as_str) {
                None => Ok(None),
                Some(text) => columns(text).map(Some).map_err(|e| wrong(format!("signature.{name}: {e}"))),
            };
            parsed.inputs = side("inputs")?;
            parsed.outputs = side("outputs")?;
        }
        Ok(parsed)
    }

    /// Narrows the shapes of `signature` by what was logged.
    pub(crate) fn refine(&self, signature: &mut Signature) -> Result<(), LoadError> {
        let mut problems = Vec::new();
        if let Some(columns) = &self.inputs {
            if columns.iter().all(|column| column.tensor.is_none()) {
                check_table(columns, signature, &mut problems);
            } else {
                refine_side("input", columns, &mut signature.inputs, &mut problems);
            }
        }
        // Tables of outputs are what Python made of the answer, not what the graph returns.
        if let Some(columns) = &self.outputs
            && columns.iter().all(|column| column.tensor.is_some() && column.name.is_some())
        {
            refine_side("output", columns, &mut signature.outputs, &mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(LoadError::SignatureMismatch { problems }) }
    }
}

/// Aliases can make a small file unfold without end, and depth is a recursion: both are found before any is built.
fn check_shape(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        match event {
            Event::Alias(_) => return Err(format!("line {}: aliases are not accepted", span.start.line())),
            Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("line {}: nested deeper than {DEPTH_MAX}", span.start.line()));
        }
    }
    Ok(())
}

fn columns(text: &str) -> Result<Vec<Column>, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    json.as_array().ok_or("not a list")?.iter().map(column).collect()
}

fn column(json: &Json) -> Result<Column, String> {
    let name = json.get("name").and_then(Json::as_str).map(str::to_owned);
    if json.get("type").and_then(Json::as_str) != Some("tensor") {
        return Ok(Column { name, tensor: None });
    }
    let spec = json.get("tensor-spec").ok_or("a tensor without tensor-spec")?;
    let dtype = spec.get("dtype").and_then(Json::as_str).ok_or("tensor-spec without dtype")?;
    let datatype = datatype(dtype).ok_or_else(|| format!("dtype {dtype:?} is not known"))?;
    let shape = spec.get("shape").and_then(Json::as_array).ok_or("tensor-spec without shape")?;
    let dim = |size: &Json| match size.as_i64() {
        Some(-1) => Ok(Dim::Any),
        Some(size) => usize::try_from(size).map(Dim::Fixed).map_err(|_| format!("a size of {size}")),
        None => Err(format!("a size of {size}")),
    };
    Ok(Column { name, tensor: Some((datatype, shape.iter().map(dim).collect::<Result<_, _>>()?)) })
}

fn datatype(numpy: &str) -> Option<Datatype> {
    Some(match numpy {
        "bool" => Datatype::Bool,
        "uint8" => Datatype::Uint8,
        "uint16" => Datatype::Uint16,
        "uint32" => Datatype::Uint32,
        "uint64" => Datatype::Uint64,
        "int8" => Datatype::Int8,
        "int16" => Datatype::Int16,
        "int32" => Datatype::Int32,
        "int64" => Datatype::Int64,
        "float16" => Datatype::Fp16,
        "float32" => Datatype::Fp32,
        "float64" => Datatype::Fp64,
        "str" | "object" | "bytes" => Datatype::Bytes,
        _ => return None,
    })
}

/// Columns of a table are either inputs of their own or the columns of one matrix.
fn check_table(columns: &[Column], signature: &Signature, problems: &mut Vec<String>) {
    let width = match signature.inputs.as_slice() {
        [one] => one.shape.get(1).copied(),
        _ => None,
    };
    let fits = columns.len() == signature.inputs.len() || width.is_some_and(|width| width.accepts(columns.len()));
    if !fits {
        let inputs: Vec<String> = signature.inputs.iter().map(|spec| format!("'{}' {spec}", spec.name)).collect();
        problems.push(format!("{} columns were logged, but the graph takes {}", columns.len(), inputs.join(", ")));
    }
}

fn refine_side(what: &str, columns: &[Column], specs: &mut [TensorSpec], problems: &mut Vec<String>) {
    let alone = columns.len() == 1 && specs.len() == 1;
    for column in columns {
        let Some((datatype, shape)) = &column.tensor else { continue };
        let found = match &column.name {
            Some(name) => specs.iter_mut().find(|spec| *spec.name == **name),
            None if alone => specs.first_mut(),
            None => None,
        };
        match (found, &column.name) {
            (Some(spec), _) => refine_spec(what, spec, *datatype, shape, problems),
            (None, Some(name)) => {
                problems.push(format!("{what} '{name}' was logged, but the graph has no such {what}"))
            }
            (None, None) => problems.push(format!("an {what} was logged without a name")),
        }
    }
}

fn refine_spec(what: &str, spec: &mut TensorSpec, datatype: Datatype, shape: &[Dim], problems: &mut Vec<String>) {
    let logged = TensorSpec { name: spec.name.clone(), datatype, shape: shape.to_vec() };
    let meet = |a: Dim, b: Dim| match (a, b) {
        (Dim::Any, other) | (other, Dim::Any) => Some(other),
        (a, b) => (a == b).then_some(a),
    };
    let dims: Option<Vec<Dim>> = spec.shape.iter().zip(shape).map(|(a, b)| meet(*a, *b)).collect();
    match dims {
        Some(dims) if datatype == spec.datatype && shape.len() == spec.shape.len() => spec.shape = dims,
        _ => problems.push(format!("{what} '{}' was logged as {logged}, but the graph has {spec}", spec.name)),
    }
}

#[cfg(test)]
mod tests;
