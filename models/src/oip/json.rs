//! JSON numbers, booleans and strings to one tensor and back.
//!
//! Reads straight into the tensor's bytes: a list of a million numbers is never held as a million JSON values.

use bytes::Bytes;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};

use super::{Element, Elements, HALF_NEEDS_BINARY};
use crate::tensor::{Datatype, Tensor};

/// The elements of `data`, a JSON list: flat in row-major order, or nested as deep as `shape`.
///
/// # Errors
/// Which element or row is wrong, and nothing of which tensor: the caller knows.
pub fn decode(datatype: Datatype, shape: &[usize], data: &str) -> Result<Bytes, String> {
    if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
        return Err(format!("{datatype} {HALF_NEEDS_BINARY}"));
    }
    let count = shape.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    let Some(count) = count else { return Err(format!("shape {shape:?} has more elements than can be counted")) };
    let mut reader = Reader {
        elements: Elements::new(datatype, count, data.len()),
        shape,
        leaf_depth: None,
        empty: count == 0,
        problem: None,
    };
    let mut json = serde_json::Deserializer::from_str(data);
    if let Err(error) = (Level { reader: &mut reader, depth: 0 }).deserialize(&mut json) {
        return Err(reader.problem.unwrap_or_else(|| format!("its data cannot be read: {error}")));
    }
    match reader.elements.count() {
        given if given == count => Ok(reader.elements.into_bytes()),
        given => Err(format!("shape {shape:?} needs {count} elements, but {given} were given")),
    }
}

struct Reader<'s> {
    elements: Elements,
    shape: &'s [usize],
    /// How deep the first element was; all others must be as deep.
    leaf_depth: Option<usize>,
    /// The shape has no elements at all.
    empty: bool,
    problem: Option<String>,
}

/// One value, `depth` lists deep.
struct Level<'r, 's> {
    reader: &'r mut Reader<'s>,
    depth: usize,
}

impl Reader<'_> {
    fn element<E: serde::de::Error>(&mut self, depth: usize, element: Element<'_>) -> Result<(), E> {
        let right = match self.leaf_depth {
            Some(leaf) => leaf == depth,
            None => depth == 1 || (depth > 0 && depth == self.shape.len()),
        };
        if !right {
            return Err(self.refuse(match depth {
                0 => "its data is not a list".to_owned(),
                _ => format!("its data is nested {depth} deep; make it flat, or as deep as its shape {:?}", self.shape),
            }));
        }
        self.leaf_depth = Some(depth);
        self.elements.push(element).map_err(|problem| self.refuse(problem))
    }

    /// Ends a list of `length` items at `depth`: a row must be as long as its dimension, unless the data is flat.
    fn row<E: serde::de::Error>(&mut self, depth: usize, length: usize) -> Result<(), E> {
        let flat = self.leaf_depth == Some(1) || self.shape.len() <= 1 || (self.empty && length == 0);
        match self.shape.get(depth) {
            Some(dim) if !flat && *dim != length => Err(self.refuse(format!(
                "a list at depth {depth} has {length} items, but dimension {depth} of shape {:?} is {dim}",
                self.shape
            ))),
            _ => Ok(()),
        }
    }

    fn refuse<E: serde::de::Error>(&mut self, problem: String) -> E {
        self.problem = Some(problem);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("numbers, booleans or strings")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.reader.element(self.depth, Element::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.reader.element(self.depth, Element::Unsigned(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.reader.element(self.depth, Element::Signed(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.reader.element(self.depth, Element::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.reader.element(self.depth, Element::Text(value.as_bytes()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        let index = self.reader.elements.count();
        Err(self.reader.refuse(format!("element {index} is null")))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        let index = self.reader.elements.count();
        Err(self.reader.refuse(format!("element {index} is an object")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { reader, depth } = self;
        if depth >= reader.shape.len().max(1) {
            let shape = reader.shape;
            return Err(reader.refuse(format!("its data is nested deeper than its shape {shape:?}")));
        }
        let mut length = 0;
        while list.next_element_seed(Level { reader, depth: depth + 1 })?.is_some() {
            length += 1;
        }
        reader.row(depth, length)
    }
}

/// Appends the elements of `tensor` to `out` as one flat JSON list.
///
/// # Errors
/// FP16 and BF16, NaN and infinities, and BYTES that are not UTF-8 have no JSON form; the text says what to ask for.
pub fn encode(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), String> {
    write(tensor, &[tensor.elements()], out)
}

/// [`encode`], with lists nested as the tensor's shape says; a scalar is written without a list.
///
/// # Errors
/// As [`encode`].
pub fn encode_nested(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), String> {
    write(tensor, tensor.shape(), out)
}

fn write(tensor: &Tensor, shape: &[usize], out: &mut Vec<u8>) -> Result<(), String> {
    let data: &[u8] = tensor.data();
    match tensor.datatype() {
        Datatype::Bool => lists(out, shape, &mut data.iter().map(|byte| *byte != 0)),
        Datatype::Uint8 => lists(out, shape, &mut data.iter().copied()),
        Datatype::Uint16 => lists(out, shape, &mut each(data, u16::from_le_bytes)),
        Datatype::Uint32 => lists(out, shape, &mut each(data, u32::from_le_bytes)),
        Datatype::Uint64 => lists(out, shape, &mut each(data, u64::from_le_bytes)),
        Datatype::Int8 => lists(out, shape, &mut each(data, i8::from_le_bytes)),
        Datatype::Int16 => lists(out, shape, &mut each(data, i16::from_le_bytes)),
        Datatype::Int32 => lists(out, shape, &mut each(data, i32::from_le_bytes)),
        Datatype::Int64 => lists(out, shape, &mut each(data, i64::from_le_bytes)),
        Datatype::Fp32 if !each(data, f32::from_le_bytes).all(f32::is_finite) => Err(NOT_FINITE.to_owned()),
        Datatype::Fp32 => lists(out, shape, &mut each(data, f32::from_le_bytes)),
        Datatype::Fp64 if !each(data, f64::from_le_bytes).all(f64::is_finite) => Err(NOT_FINITE.to_owned()),
        Datatype::Fp64 => lists(out, shape, &mut each(data, f64::from_le_bytes)),
        Datatype::Bytes => {
            let texts: Result<Vec<&str>, _> = tensor.byte_elements().map(std::str::from_utf8).collect();
            lists(out, shape, &mut texts.map_err(|_| NOT_UTF8.to_owned())?.into_iter())
        }
        datatype @ (Datatype::Fp16 | Datatype::Bf16) => Err(format!("is {datatype}, which {HALF_NEEDS_BINARY}")),
    }
}

const NOT_FINITE: &str = "holds NaN or infinity, which JSON cannot carry; ask for it with the binary tensor extension";
const NOT_UTF8: &str =
    "holds BYTES that are not UTF-8, which JSON cannot carry; ask for it with the binary tensor extension";

/// Writes as many of `items` as `shape` has elements, nested as it says.
fn lists<T: serde::Serialize>(
    out: &mut Vec<u8>,
    shape: &[usize],
    items: &mut impl Iterator<Item = T>,
) -> Result<(), String> {
    let [length, inner @ ..] = shape else {
        let item = items.next().ok_or("has fewer elements than its shape")?;
        return serde_json::to_writer(out, &item).map_err(|error| error.to_string());
    };
    out.push(b'[');
    for index in 0..*length {
        if index > 0 {
            out.push(b',');
        }
        lists(out, inner, items)?;
    }
    out.push(b']');
    Ok(())
}

fn each<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    data.as_chunks::<N>().0.iter().map(move |chunk| read(*chunk))
}
