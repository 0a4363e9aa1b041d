//! The JSON of an infer request as it is read: a list ends where its limit does, so that memory is not taken for what
//! will be refused. An empty object is two bytes on the wire and a hundred as a tensor.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::tensor::Parameters;
use super::{Invalid, Limits, TensorJson, too_many};

/// A request as it came, its tensors not yet checked.
#[derive(Default)]
pub(super) struct RequestJson<'a> {
    pub(super) id: String,
    pub(super) parameters: RequestParameters,
    pub(super) inputs: Vec<TensorJson<'a>>,
    pub(super) outputs: Vec<OutputJson>,
}

#[derive(Deserialize, Default)]
pub(super) struct RequestParameters {
    pub(super) timeout: Option<u64>,
    #[serde(default)]
    pub(super) binary_data_output: bool,
}

#[derive(Deserialize)]
pub(super) struct OutputJson {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) parameters: Parameters,
}

/// Reads `text`.
///
/// # Errors
/// The first thing that is wrong with the JSON, or the list that is over its limit.
pub(super) fn read(text: &[u8], limits: Limits) -> Result<RequestJson<'_>, Invalid> {
    // Once for all of it, and not for each string.
    let text = std::str::from_utf8(text).map_err(|error| {
        Invalid(format!(
            "the body is not the JSON of an infer request: it is not UTF-8 at byte {}",
            error.valid_up_to()
        ))
    })?;
    let mut refused = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde::Deserializer::deserialize_map(&mut json, Request { limits, refused: &mut refused });
    let read = read.and_then(|request| json.end().map(|()| request));
    // What serde's error would put among its own words.
    read.map_err(|error| {
        refused.unwrap_or_else(|| Invalid(format!("the body is not the JSON of an infer request: {error}")))
    })
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Id,
    Parameters,
    Inputs,
    Outputs,
    #[serde(other)]
    Other,
}

struct Request<'r> {
    limits: Limits,
    refused: &'r mut Option<Invalid>,
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = RequestJson<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with inputs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { limits, refused } = self;
        let (mut id, mut parameters, mut inputs, mut outputs) = (None, None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Id => once(&mut id, "id", map.next_value()?)?,
                Field::Parameters => once(&mut parameters, "parameters", map.next_value()?)?,
                Field::Inputs => {
                    let list = map.next_value_seed(List::new("inputs", limits, refused))?;
                    once(&mut inputs, "inputs", list)?;
                }
                Field::Outputs => {
                    let list = map.next_value_seed(List::new("outputs", limits, refused))?;
                    once(&mut outputs, "outputs", list)?;
                }
                Field::Other => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(RequestJson {
            id: id.unwrap_or_default(),
            parameters: parameters.unwrap_or_default(),
            inputs: inputs.unwrap_or_default(),
            outputs: outputs.unwrap_or_default(),
        })
    }
}

fn once<T, E: serde::de::Error>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

/// A list of as many items as a request may have tensors.
struct List<'r, T> {
    what: &'static str,
    limits: Limits,
    refused: &'r mut Option<Invalid>,
    item: PhantomData<T>,
}

impl<'r, T> List<'r, T> {
    const fn new(what: &'static str, limits: Limits, refused: &'r mut Option<Invalid>) -> Self {
        Self { what, limits, refused, item: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == self.limits.tensors {
                *self.refused = Some(too_many(self.what, self.limits.tensors));
                return Err(A::Error::custom("refused"));
            }
            items.push(item);
        }
        Ok(items)
    }
}
