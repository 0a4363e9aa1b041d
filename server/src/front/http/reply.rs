//! Response bodies: JSON, JSON with raw tensors behind it, and both compressed where the caller asked.

use std::io::Write as _;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use models::oip::{COPY_BYTES_MAX, Encoded};

use super::said::Said;
use crate::front::names;

/// Smaller bodies are not worth compressing.
const COMPRESS_FROM_BYTES: usize = 1024;
/// Larger bodies are compressed off the threads that serve everyone else.
const COMPRESS_INLINE_BYTES: usize = 64 << 10;

/// Checked when they are compiled, and not for each answer.
static JSON: HeaderValue = HeaderValue::from_static("application/json");
static OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A JSON body.
pub(super) fn json(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, JSON.clone())], body).into_response()
}

/// Headers of an answer: what is inserted later finds room.
const HEADERS: usize = 6;

/// The bytes of an infer response, and how much of them is JSON where there is more.
pub(super) struct Payload {
    first: Bytes,
    /// Large raw tensors, uncopied.
    rest: Vec<Bytes>,
    json_length: Option<usize>,
    pub(super) length: usize,
}

impl Payload {
    pub(super) fn new(encoded: Encoded) -> Self {
        let Encoded { mut json, binary } = encoded;
        let json_length = (!binary.is_empty()).then_some(json.len());
        let length = json.len() + binary.iter().map(Bytes::len).sum::<usize>();
        if length - json.len() > COPY_BYTES_MAX {
            return Self { first: json.into(), rest: binary, json_length, length };
        }
        binary.iter().for_each(|bytes| json.extend_from_slice(bytes));
        Self { first: json.into(), rest: Vec::new(), json_length, length }
    }

    /// The response, compressed where `request` accepts it and the body is worth it.
    pub(super) async fn respond(self, said: Said<'_>) -> Response {
        let Self { first, rest, json_length, length } = self;
        let coding = if length >= COMPRESS_FROM_BYTES { Coding::accepted(said) } else { None };
        let mut response = match coding {
            Some(coding) if length > COMPRESS_INLINE_BYTES => {
                let compressed = tokio::task::spawn_blocking(move || coding.compress(&first, &rest)).await;
                coding.response(compressed.unwrap_or_else(|error| Err(std::io::Error::other(error))))
            }
            Some(coding) => coding.response(coding.compress(&first, &rest)),
            None => plain(first, rest, length),
        };
        let content_type = if json_length.is_some() { &OCTETS } else { &JSON };
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        if let Some(json_length) = json_length {
            response.headers_mut().insert(&names::HEADER_LENGTH, json_length.into());
        }
        response
    }
}

fn plain(first: Bytes, rest: Vec<Bytes>, length: usize) -> Response {
    if rest.is_empty() {
        return with_body(Body::from(first));
    }
    let parts = std::iter::once(first).chain(rest);
    let frames = stream::iter(parts.map(|part| Ok::<_, std::convert::Infallible>(Frame::data(part))));
    let mut response = with_body(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn with_body(body: Body) -> Response {
    let mut response = Response::new(body);
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// Zlib's format, as the name has it in HTTP.
    Deflate,
    Zstd,
}

impl Coding {
    /// The coding the caller likes best; of those it likes alike gzip, which every client that names it can undo: some
    /// HTTP libraries name zstd though the client above them cannot.
    fn accepted(said: Said<'_>) -> Option<Self> {
        let text = said.accept_encoding?.to_str().ok()?;
        let choices = text.split(',').take(16).filter_map(|choice| {
            let (name, parameters) = choice.split_once(';').unwrap_or((choice, ""));
            let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())?;
            let coding = match name.trim() {
                "gzip" | "x-gzip" => Self::Gzip,
                "deflate" => Self::Deflate,
                "zstd" => Self::Zstd,
                _ => return None,
            };
            (quality > 0.0).then_some((quality, coding))
        });
        let preference = |coding: Self| match coding {
            Self::Gzip => 2,
            Self::Zstd => 1,
            Self::Deflate => 0,
        };
        let best = choices.max_by(|a, b| a.0.total_cmp(&b.0).then(preference(a.1).cmp(&preference(b.1))));
        best.map(|(_, coding)| coding)
    }

    fn compress(self, first: &Bytes, rest: &[Bytes]) -> std::io::Result<Vec<u8>> {
        let mut parts = std::iter::once(first).chain(rest);
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                parts.try_for_each(|part| encoder.write_all(part))?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                parts.try_for_each(|part| encoder.write_all(part))?;
                encoder.finish()
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
                parts.try_for_each(|part| encoder.write_all(part))?;
                encoder.finish()
            }
        }
    }

    fn response(self, compressed: std::io::Result<Vec<u8>>) -> Response {
        let Ok(compressed) = compressed else {
            return super::error_response(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be compressed",
            );
        };
        let name = match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        };
        let mut response = with_body(Body::from(compressed));
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_chooses_the_coding() {
        let accepted = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            Coding::accepted(Said { accept_encoding: Some(&value), ..Said::default() })
        };
        assert_eq!(accepted("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(accepted("gzip, deflate, zstd"), Some(Coding::Gzip));
        assert_eq!(accepted("zstd, gzip"), Some(Coding::Gzip));
        assert_eq!(accepted("deflate, zstd"), Some(Coding::Zstd));
        assert_eq!(accepted("deflate"), Some(Coding::Deflate));
        assert_eq!(accepted("zstd;q=0.9, gzip;q=0.8"), Some(Coding::Zstd));
        assert_eq!(accepted("zstd;q=0.5, gzip;q=0.8"), Some(Coding::Gzip));
        assert_eq!(accepted("gzip;q=0, identity"), None);
        assert_eq!(accepted("br"), None);
    }
}
