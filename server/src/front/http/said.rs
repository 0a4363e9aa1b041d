//! What a request's headers say of its body and its answer, found in one pass: a look-up for each would hash its name.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};

use crate::front::names;

/// The headers of a request that the front end itself reads; of one that stands twice, the first.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) request_id: Option<&'a HeaderValue>,
    pub(super) timeout: Option<&'a HeaderValue>,
    /// Where the JSON of a body ends and its binary tensors begin.
    pub(super) json_length: Option<&'a HeaderValue>,
    pub(super) content_length: Option<&'a HeaderValue>,
    pub(super) content_encoding: Option<&'a HeaderValue>,
    pub(super) accept_encoding: Option<&'a HeaderValue>,
}

impl<'a> Said<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            let place = match name {
                name if name == CONTENT_LENGTH => &mut said.content_length,
                name if name == CONTENT_ENCODING => &mut said.content_encoding,
                name if name == ACCEPT_ENCODING => &mut said.accept_encoding,
                name if *name == names::HEADER_LENGTH => &mut said.json_length,
                name if *name == names::REQUEST_ID => &mut said.request_id,
                name if *name == names::TIMEOUT => &mut said.timeout,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_looking_each_up_finds() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (CONTENT_LENGTH, "7"),
            (http::header::CONTENT_TYPE, "application/json"),
            (ACCEPT_ENCODING, "gzip"),
            (ACCEPT_ENCODING, "br"),
            (names::HEADER_LENGTH.clone(), "3"),
            (names::REQUEST_ID.clone(), "a"),
            (names::REQUEST_ID.clone(), "b"),
            (CONTENT_ENCODING, "zstd"),
            (names::TIMEOUT.clone(), "20"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let said = Said::of(&headers);
        assert_eq!(said.request_id, headers.get(&names::REQUEST_ID));
        assert_eq!(said.timeout, headers.get(&names::TIMEOUT));
        assert_eq!(said.json_length, headers.get(&names::HEADER_LENGTH));
        assert_eq!(said.content_length, headers.get(CONTENT_LENGTH));
        assert_eq!(said.content_encoding, headers.get(CONTENT_ENCODING));
        assert_eq!(said.accept_encoding, headers.get(ACCEPT_ENCODING));
        assert!(
            said.request_id.is_some_and(|id| id == "a") && said.accept_encoding.is_some_and(|coding| coding == "gzip")
        );
    }
}
