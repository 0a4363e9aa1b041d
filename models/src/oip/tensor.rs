//! A tensor in JSON: `{name, datatype, shape, parameters, data}`, its elements in `data` or in bytes that follow.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::header::rank_within;
use super::{HEADER_LENGTH, Header, Limits, NO_SHARED_MEMORY, Shown, json, shown};
use crate::tensor::NamedTensor;

/// A tensor as it came, not yet checked.
#[derive(Deserialize)]
pub struct TensorJson<'a> {
    /// As given; empty where it is missing.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    #[serde(borrow, default)]
    datatype: Cow<'a, str>,
    shape: Option<Shape>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Parameters of one input, or of an output that is asked for.
#[derive(Deserialize, Default)]
pub(super) struct Parameters {
    pub(super) binary_data_size: Option<u64>,
    pub(super) binary_data: Option<bool>,
    pub(super) classification: Option<IgnoredAny>,
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

impl TensorJson<'_> {
    /// The tensor, where only JSON may hold its elements; `what` is `input` or `output`, for the error.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(&self, what: &'static str, limits: Limits) -> Result<NamedTensor, String> {
        if self.parameters.binary_data_size.is_some() {
            let name = shown(&self.name);
            return Err(format!("{what} '{name}' has binary_data_size, but no binary data can follow here; give data"));
        }
        if self.data.is_none() {
            return Err(format!("{what} '{}' has no data", shown(&self.name)));
        }
        self.with_bytes(what, None, limits)
    }

    /// The input, its elements from `data` or from `binary`.
    pub(super) fn decode_input(&self, binary: &mut Binary, limits: Limits) -> Result<NamedTensor, String> {
        let name = shown(&self.name);
        if self.parameters.shared_memory_region.is_some() {
            return Err(format!("input '{name}': {NO_SHARED_MEMORY}"));
        }
        // Taken first, so that one bad header does not shift the bytes of the inputs after it.
        let raw = self.parameters.binary_data_size.map(|size| binary.take(size, name)).transpose()?;
        self.with_bytes("input", raw, limits)
    }

    fn with_bytes(&self, what: &'static str, raw: Option<Bytes>, limits: Limits) -> Result<NamedTensor, String> {
        let name = shown(&self.name);
        let Some(shape) = &self.shape else { return Err(format!("{what} '{name}' has no shape")) };
        rank_within(what, name, shape.rank, limits)?;
        let header = Header::new(what, &self.name, &self.datatype, &shape.dims, limits)?;
        match (raw, self.data) {
            (Some(raw), None) => header.raw(&self.name, raw),
            (None, Some(data)) => {
                let bytes = json::decode(header.datatype, &header.shape, data.get())
                    .map_err(|problem| format!("{what} '{name}': {problem}"))?;
                header.raw(&self.name, bytes)
            }
            (Some(_), Some(_)) => Err(format!("{what} '{name}' has both data and binary_data_size; give one")),
            (None, None) => Err(format!("{what} '{name}' has neither data nor binary_data_size")),
        }
    }
}

/// The binary part of a body, less what inputs have taken.
pub(super) struct Binary {
    pub(super) rest: Bytes,
    /// Whether the request said where its JSON ends.
    pub(super) announced: bool,
}

impl Binary {
    fn take(&mut self, size: u64, name: Shown<'_>) -> Result<Bytes, String> {
        if !self.announced {
            return Err(format!("input '{name}' has binary_data_size, but the header {HEADER_LENGTH} is missing"));
        }
        match usize::try_from(size) {
            Ok(size) if size <= self.rest.len() => Ok(self.rest.split_to(size)),
            _ => {
                let left = std::mem::take(&mut self.rest).len();
                Err(format!("input '{name}': binary_data_size is {size}, but only {left} bytes follow the JSON"))
            }
        }
    }
}

/// Dimensions as they came: more than a tensor can have are counted, not kept.
#[derive(Debug)]
pub(super) struct Shape {
    /// The first of them.
    pub(super) dims: Vec<i64>,
    /// How many there were.
    pub(super) rank: usize,
}

impl Shape {
    /// More than any limit on a tensor's rank.
    const KEPT_MAX: usize = 64;
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Dims)
    }
}

struct Dims;

impl<'de> Visitor<'de> for Dims {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shape = Shape { dims: Vec::new(), rank: 0 };
        while let Some(dim) = list.next_element()? {
            if shape.rank < Shape::KEPT_MAX {
                shape.dims.push(dim);
            }
            shape.rank += 1;
        }
        Ok(shape)
    }
}
