//! Elements of one tensor, appended one by one with an exact range check.

use bytes::{BufMut as _, BytesMut};

use crate::tensor::Datatype;

/// Appends elements of one datatype as row-major little-endian bytes. Elements past `capacity` are counted, not kept.
#[derive(Debug)]
pub struct Elements {
    datatype: Datatype,
    bytes: BytesMut,
    count: usize,
    capacity: usize,
}

/// One element as JSON or a typed field has it.
#[derive(Debug, Clone, Copy)]
pub enum Element<'a> {
    /// A truth.
    Bool(bool),
    /// A whole number of 0 or more.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// Text or bytes.
    Text(&'a [u8]),
}

impl Elements {
    /// Room for as many elements as come.
    #[must_use]
    pub fn unbounded(datatype: Datatype) -> Self {
        Self::new(datatype, usize::MAX, 0)
    }

    /// Room for `capacity` elements, of which the memory for at most `source_bytes` elements is taken ahead: each
    /// element takes at least one byte of what it is read from, whatever a shape claims.
    #[must_use]
    pub fn new(datatype: Datatype, capacity: usize, source_bytes: usize) -> Self {
        let ahead = capacity.min(source_bytes).saturating_mul(datatype.size().unwrap_or(4));
        Self { datatype, bytes: BytesMut::with_capacity(ahead), count: 0, capacity }
    }

    /// How many were pushed.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The bytes of what was pushed.
    #[must_use]
    pub fn into_bytes(self) -> bytes::Bytes {
        self.bytes.freeze()
    }

    /// Appends one element, which must be exactly a value of the datatype (floats are rounded to the nearest).
    ///
    /// # Errors
    /// Which element it is, its value, and what the datatype holds.
    #[inline]
    pub fn push(&mut self, element: Element<'_>) -> Result<(), String> {
        let index = self.count;
        self.count += 1;
        if index >= self.capacity {
            return Ok(());
        }
        match self.append(element) {
            Some(()) => Ok(()),
            None => Err(format!("element {index} is {}, but {} holds {}", told(element), self.datatype, self.holds())),
        }
    }

    #[inline]
    fn append(&mut self, element: Element<'_>) -> Option<()> {
        let out = &mut self.bytes;
        match self.datatype {
            Datatype::Bool => out.put_u8(u8::from(boolean(element)?)),
            Datatype::Uint8 => out.put_u8(unsigned(element)?.try_into().ok()?),
            Datatype::Uint16 => out.put_u16_le(unsigned(element)?.try_into().ok()?),
            Datatype::Uint32 => out.put_u32_le(unsigned(element)?.try_into().ok()?),
            Datatype::Uint64 => out.put_u64_le(unsigned(element)?),
            Datatype::Int8 => out.put_i8(signed(element)?.try_into().ok()?),
            Datatype::Int16 => out.put_i16_le(signed(element)?.try_into().ok()?),
            Datatype::Int32 => out.put_i32_le(signed(element)?.try_into().ok()?),
            Datatype::Int64 => out.put_i64_le(signed(element)?),
            Datatype::Fp32 => out.put_f32_le(single(element)?),
            Datatype::Fp64 => out.put_f64_le(float(element)?),
            Datatype::Bytes => {
                let Element::Text(text) = element else { return None };
                out.put_u32_le(text.len().try_into().ok()?);
                out.put_slice(text);
            }
            // Refused with a hint before any element is read.
            Datatype::Fp16 | Datatype::Bf16 => return None,
        }
        Some(())
    }

    /// The values of the datatype, for the error.
    fn holds(&self) -> String {
        match self.datatype {
            Datatype::Bool => "true or false".to_owned(),
            Datatype::Uint8 => "0 to 255".to_owned(),
            Datatype::Uint16 => "0 to 65535".to_owned(),
            Datatype::Uint32 => "0 to 4294967295".to_owned(),
            Datatype::Uint64 => format!("0 to {}", u64::MAX),
            Datatype::Int8 => "-128 to 127".to_owned(),
            Datatype::Int16 => "-32768 to 32767".to_owned(),
            Datatype::Int32 => format!("{} to {}", i32::MIN, i32::MAX),
            Datatype::Int64 => format!("{} to {}", i64::MIN, i64::MAX),
            Datatype::Fp16 | Datatype::Bf16 => "no JSON number".to_owned(),
            Datatype::Fp32 => format!("numbers up to {:e}", f32::MAX),
            Datatype::Fp64 => "numbers".to_owned(),
            Datatype::Bytes => "strings".to_owned(),
        }
    }
}

fn told(element: Element<'_>) -> String {
    match element {
        Element::Bool(value) => value.to_string(),
        Element::Unsigned(value) => value.to_string(),
        Element::Signed(value) => value.to_string(),
        Element::Float(value) => format!("{value:?}"),
        Element::Text(_) => "a string".to_owned(),
    }
}

fn boolean(element: Element<'_>) -> Option<bool> {
    if let Element::Bool(value) = element { Some(value) } else { None }
}

fn unsigned(element: Element<'_>) -> Option<u64> {
    match element {
        Element::Unsigned(value) => Some(value),
        Element::Signed(value) => value.try_into().ok(),
        _ => None,
    }
}

fn signed(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Unsigned(value) => value.try_into().ok(),
        Element::Signed(value) => Some(value),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a JSON number is rounded to the nearest float, as 0.1 is")]
fn float(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Unsigned(value) => Some(value as f64),
        Element::Signed(value) => Some(value as f64),
        Element::Float(value) => Some(value),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest; overflow is refused below")]
fn single(element: Element<'_>) -> Option<f32> {
    let value = float(element)? as f32;
    value.is_finite().then_some(value)
}
