//! V1 JSON to tensors, read in one pass straight into their bytes.
//!
//! The shape is not known until the lists have been read, so each column notes the length of its first list at each
//! depth and holds all later ones to it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use models::oip::{Element, Elements, HALF_NEEDS_BINARY, shown};
use models::{Datatype, NamedTensor, Signature, Tensor, TensorSpec};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Format;
use crate::front::Limits;
use crate::front::convert::invalid;
use crate::infer::InferError;

/// Decodes a predict request for a model of `signature`.
pub fn decode(body: &[u8], signature: &Signature, limits: &Limits) -> Result<(Vec<NamedTensor>, Format), InferError> {
    let columns = signature.inputs.iter().map(Column::new).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    let mut builder = Builder { columns, rank_max: limits.rank, row: None, format: None, problem: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde::Deserializer::deserialize_map(&mut json, Body(&mut builder)).and_then(|()| json.end());
    if let Err(error) = read {
        let unread = || format!("the body is not the JSON of a predict request: {error}");
        return Err(invalid(builder.problem.unwrap_or_else(unread)));
    }
    let Some(format) = builder.format else {
        return Err(invalid("the body has neither 'instances' (rows) nor 'inputs' (columns)"));
    };
    let tensors: Result<_, String> = builder.columns.into_iter().map(Column::finish).collect();
    Ok((tensors.map_err(invalid)?, format))
}

struct Builder<'s> {
    columns: Vec<Column<'s>>,
    rank_max: usize,
    /// The row being read, where the request has rows.
    row: Option<usize>,
    format: Option<Format>,
    /// What serde's error would lose.
    problem: Option<String>,
}

/// One input, as far as it has been read.
struct Column<'s> {
    spec: &'s TensorSpec,
    elements: Elements,
    /// Length of the lists at each depth, once one has ended there.
    lengths: Vec<Option<usize>>,
    /// How many lists deep the elements are.
    leaf_depth: Option<usize>,
    /// How many times a value was given: once, or once in each row.
    given: usize,
}

impl<'s> Column<'s> {
    fn new(spec: &'s TensorSpec) -> Result<Self, String> {
        if matches!(spec.datatype, Datatype::Fp16 | Datatype::Bf16) {
            return Err(format!("input '{}' is {}, which {HALF_NEEDS_BINARY} of V2", spec.name, spec.datatype));
        }
        let elements = Elements::unbounded(spec.datatype);
        Ok(Self { spec, elements, lengths: Vec::new(), leaf_depth: None, given: 0 })
    }

    fn element(&mut self, depth: usize, element: Element<'_>) -> Result<(), String> {
        if self.lengths.len() > depth || self.leaf_depth.is_some_and(|leaf| leaf != depth) {
            return Err("has lists and elements at one depth".to_owned());
        }
        self.leaf_depth = Some(depth);
        self.elements.push(element)
    }

    fn enter(&self, depth: usize, rank_max: usize) -> Result<(), String> {
        if depth >= rank_max {
            return Err(format!("is nested over {rank_max} deep"));
        }
        match self.leaf_depth {
            Some(leaf) if depth >= leaf => Err("has lists and elements at one depth".to_owned()),
            _ => Ok(()),
        }
    }

    fn leave(&mut self, depth: usize, length: usize) -> Result<(), String> {
        if self.lengths.len() <= depth {
            self.lengths.resize(depth + 1, None);
        }
        match self.lengths[depth].replace(length) {
            Some(first) if first != length => {
                Err(format!("has lists of unequal length, {first} and {length} items, at depth {depth}"))
            }
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<NamedTensor, String> {
        let shape = self.lengths.into_iter().map(Option::unwrap_or_default).collect();
        let tensor = Tensor::new(self.spec.datatype, shape, self.elements.into_bytes());
        let tensor = tensor.map_err(|error| format!("input '{}': {error}", self.spec.name))?;
        Ok(NamedTensor { name: Arc::clone(&self.spec.name), tensor })
    }
}

impl Builder<'_> {
    fn refuse<E: serde::de::Error>(&mut self, problem: impl fmt::Display) -> E {
        self.problem = Some(match self.row {
            Some(row) => format!("instance {row}: {problem}"),
            None => problem.to_string(),
        });
        E::custom("refused")
    }

    fn in_column<T, E: serde::de::Error>(&mut self, column: usize, result: Result<T, String>) -> Result<T, E> {
        result.map_err(|problem| {
            let name = Arc::clone(&self.columns[column].spec.name);
            self.refuse(format!("input '{name}' {problem}"))
        })
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| format!("'{}'", column.spec.name)).collect::<Vec<_>>().join(", ")
    }

    fn start<E: serde::de::Error>(&mut self, format: Format) -> Result<(), E> {
        match self.format.replace(format) {
            None => Ok(()),
            Some(_) => Err(self.refuse("the body must have one of 'instances' and 'inputs', once")),
        }
    }

    /// Every input must have been given exactly `times`.
    fn complete<E: serde::de::Error>(&mut self, times: usize) -> Result<(), E> {
        let Some(column) = self.columns.iter().find(|column| column.given != times) else { return Ok(()) };
        let how = if column.given < times { "is missing" } else { "is given twice" };
        let name = Arc::clone(&column.spec.name);
        Err(self.refuse(format!("input '{name}' {how}")))
    }
}

/// The whole body.
struct Body<'b, 's>(&'b mut Builder<'s>);

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with 'instances' or 'inputs'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "instances" => {
                    self.0.start(Format::Rows)?;
                    map.next_value_seed(Rows(self.0))?;
                }
                "inputs" => {
                    self.0.start(Format::Columns)?;
                    map.next_value_seed(Place { builder: self.0, column: None, depth: 0 })?;
                    self.0.complete(1)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The list of rows.
struct Rows<'b, 's>(&'b mut Builder<'s>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'instances' to be a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let builder = self.0;
        let mut rows = 0;
        builder.row = Some(0);
        while list.next_element_seed(Place { builder, column: None, depth: 1 })?.is_some() {
            rows += 1;
            builder.complete(rows)?;
            builder.row = Some(rows);
        }
        builder.row = None;
        for column in 0..builder.columns.len() {
            let left = builder.columns[column].leave(0, rows);
            builder.in_column(column, left)?;
        }
        Ok(())
    }
}

/// One value: of the input `column`, or of any where that is not said yet.
struct Place<'b, 's> {
    builder: &'b mut Builder<'s>,
    column: Option<usize>,
    depth: usize,
}

impl Place<'_, '_> {
    /// Which input this is: the only one, where no name was given.
    fn column<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        let column = match (self.column, self.builder.columns.len()) {
            (Some(column), _) => return Ok(column),
            (None, 1) => 0,
            (None, count) => {
                let names = self.builder.names();
                return Err(self.builder.refuse(format!("the model has {count} inputs; write an object of {names}")));
            }
        };
        self.builder.columns[column].given += 1;
        self.column = Some(column);
        Ok(column)
    }

    fn element<E: serde::de::Error>(mut self, element: Element<'_>) -> Result<(), E> {
        let column = self.column()?;
        let pushed = self.builder.columns[column].element(self.depth, element);
        self.builder.in_column(column, pushed)
    }

    /// `{"b64": "…"}`, TensorFlow Serving's form of one BYTES element.
    fn base64<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let text: Cow<'_, str> = map.next_value()?;
        let bytes = match BASE64.decode(text.as_bytes()) {
            Ok(bytes) if map.next_key::<IgnoredAny>()?.is_none() => bytes,
            _ => return Err(self.builder.refuse("an object is neither {\"b64\": \"<base64>\"} nor one of inputs")),
        };
        self.element(Element::Text(&bytes))
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists, numbers, booleans or strings")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.element(Element::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.element(Element::Unsigned(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.element(Element::Signed(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.element(Element::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.element(Element::Text(value.as_bytes()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Err(self.builder.refuse("null is not a value"))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let column = self.column()?;
        let Self { builder, depth, .. } = self;
        let entered = builder.columns[column].enter(depth, builder.rank_max);
        builder.in_column(column, entered)?;
        let mut length = 0;
        while list.next_element_seed(Place { builder, column: Some(column), depth: depth + 1 })?.is_some() {
            length += 1;
        }
        let left = builder.columns[column].leave(depth, length);
        builder.in_column(column, left)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = map.next_key::<Cow<'_, str>>()?;
        let base64 = next.as_deref() == Some("b64")
            && (self.column.is_some() || matches!(&*self.builder.columns, [only] if &*only.spec.name != "b64"));
        if base64 {
            return self.base64(map);
        }
        let Self { builder, column, depth } = self;
        if column.is_some() {
            return Err(builder.refuse("an object stands where an element is due"));
        }
        while let Some(key) = next {
            let Some(column) = builder.columns.iter().position(|column| *column.spec.name == *key) else {
                let names = builder.names();
                let key = shown(&key);
                return Err(builder.refuse(format!("'{key}' is not an input of the model, which has {names}")));
            };
            builder.columns[column].given += 1;
            map.next_value_seed(Place { builder, column: Some(column), depth })?;
            next = map.next_key()?;
        }
        Ok(())
    }
}
