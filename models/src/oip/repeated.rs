//! What a caller says of its tensors before their bytes is mostly the same from one request to the next. A connection
//! keeps what the last request meant, and reads the bytes of the next one by it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{BinaryOutputs, Decoded, Header, Invalid, Limits, decode};
use crate::tensor::NamedTensor;

/// Longer JSON is not kept: a connection's share of memory stays small.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// The last request of a connection, where the next may say the same.
#[derive(Debug, Default)]
pub struct Repeated(Mutex<Option<Known>>);

/// What a text means, all of whose inputs are binary.
#[derive(Debug)]
struct Known {
    text: Box<[u8]>,
    limits: Limits,
    inputs: Vec<Input>,
    outputs: Option<Vec<String>>,
    timeout: Option<Duration>,
    binary: BinaryOutputs,
}

#[derive(Debug)]
struct Input {
    name: Arc<str>,
    header: Header,
    bytes: usize,
}

impl Repeated {
    /// [`decode`], without reading the JSON where it is the same as before.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode(&self, body: &Bytes, header_length: Option<usize>, limits: Limits) -> Result<Decoded, Invalid> {
        let Some(length) = header_length.filter(|length| *length <= TEXT_BYTES_MAX.min(body.len())) else {
            return decode(body, header_length, limits);
        };
        let (text, binary) = (&body[..length], body.slice(length..));
        // Requests of one HTTP/2 connection run side by side; none waits for another here.
        let mut last = self.0.try_lock();
        if let Some(Some(known)) = last.as_deref()
            && let Some(decoded) = known.read(text, binary, limits)
        {
            return Ok(decoded);
        }
        let decoded = decode(body, header_length, limits)?;
        if let Some(last) = &mut last {
            **last = Known::of(text, body, limits, &decoded);
        }
        Ok(decoded)
    }
}

impl Known {
    /// An id makes each text another one, and elements in JSON are no bytes to find again.
    fn of(text: &[u8], body: &Bytes, limits: Limits, decoded: &Decoded) -> Option<Self> {
        let within = |input: &NamedTensor| body.as_ptr_range().contains(&input.tensor.data().as_ptr());
        if !decoded.id.is_empty() || !decoded.inputs.iter().all(within) {
            return None;
        }
        let input = |input: &NamedTensor| Input {
            name: Arc::clone(&input.name),
            header: Header::of_input(&input.tensor),
            bytes: input.tensor.data().len(),
        };
        Some(Self {
            text: text.into(),
            limits,
            inputs: decoded.inputs.iter().map(input).collect(),
            outputs: decoded.outputs.clone(),
            timeout: decoded.timeout,
            binary: decoded.binary.clone(),
        })
    }

    /// `None` where `text` says something else, or the bytes behind it are not right: reading the text tells what is
    /// wrong.
    fn read(&self, text: &[u8], mut rest: Bytes, limits: Limits) -> Option<Decoded> {
        if *text != *self.text
            || limits != self.limits
            || rest.len() != self.inputs.iter().map(|i| i.bytes).sum::<usize>()
        {
            return None;
        }
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for Input { name, header, bytes } in &self.inputs {
            inputs.push(header.clone().named(Arc::clone(name), rest.split_to(*bytes)).ok()?);
        }
        let (outputs, timeout, binary) = (self.outputs.clone(), self.timeout, self.binary.clone());
        Some(Decoded { id: String::new(), inputs, outputs, timeout, binary })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// JSON and its length, and the whole body.
    fn request(id: &str, shape: usize, sizes: [usize; 2], given: usize) -> (usize, Bytes) {
        let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","#) };
        let input = |name: &str, size: usize| {
            format!(
                r#"{{"name":"{name}","datatype":"UINT8","shape":[{shape}],"parameters":{{"binary_data_size":{size}}}}}"#
            )
        };
        let text = format!(r#"{{{id}"inputs":[{},{}]}}"#, input("a", sizes[0]), input("b", sizes[1]));
        let bytes = (0..given).map(|index| index as u8);
        (text.len(), text.bytes().chain(bytes).collect::<Vec<u8>>().into())
    }

    fn told(result: Result<Decoded, Invalid>) -> String {
        match result {
            Ok(Decoded { id, inputs, outputs, timeout, binary }) => {
                format!("{id:?} {inputs:?} {outputs:?} {timeout:?} {binary:?}")
            }
            Err(Invalid(text)) => text,
        }
    }

    #[test]
    fn what_is_said_again_is_not_read_again() {
        let repeated = Repeated::default();
        let (length, body) = request("", 3, [3, 3], 6);
        let known = || repeated.0.lock().as_ref().map(|known| known.text.as_ptr());
        repeated.decode(&body, Some(length), Limits::DEFAULT).unwrap();
        let first = known();
        let again = repeated.decode(&body, Some(length), Limits::DEFAULT).unwrap();
        assert!(first.is_some() && known() == first);
        assert_eq!(again.inputs[1].tensor.data()[..], [3, 4, 5]);
        let (length, body) = request("7", 3, [3, 3], 6);
        repeated.decode(&body, Some(length), Limits::DEFAULT).unwrap();
        assert_eq!(known(), None, "an id makes the next text another one");
    }

    proptest! {
        #[test]
        fn it_is_the_same_as_reading_each(
            requests in prop::collection::vec(("[x]?", 0_usize..3, [0_usize..3, 0_usize..3], 0_usize..6), 1..12),
        ) {
            let repeated = Repeated::default();
            for (id, shape, sizes, given) in requests {
                let (length, body) = request(&id, shape, sizes, given);
                let by_itself = told(decode(&body, Some(length), Limits::DEFAULT));
                prop_assert_eq!(told(repeated.decode(&body, Some(length), Limits::DEFAULT)), by_itself);
            }
        }
    }
}
