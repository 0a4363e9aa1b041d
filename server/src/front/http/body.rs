//! Request bodies: read whole, within a size and a time, and inflated within a size.

use std::io::Read as _;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt as _;

use super::HttpError;
use crate::front::Limits;

/// A zstd frame may ask for a window of this many bytes (as a power of two) to be kept while it is inflated.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The body as sent, less its `Content-Encoding`. A body that arrives in one piece is not copied.
pub(super) async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, HttpError> {
    let encoding = Encoding::of(headers)?;
    let received = tokio::time::timeout(limits.body_read_timeout, collect(headers, body, limits.body_bytes));
    let timed_out = |_| HttpError::BodyTimeout { seconds: limits.body_read_timeout.as_secs() };
    let body = received.await.map_err(timed_out)??;
    let Some(encoding) = encoding else { return Ok(body) };
    let limit = limits.inflated_bytes;
    // Inflating may take milliseconds; the threads that serve everyone else do not wait for it.
    let inflated = tokio::task::spawn_blocking(move || inflate(encoding, &body, limit));
    inflated.await.map_err(|_| HttpError::BodyBroken)?
}

async fn collect(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, HttpError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(HttpError::BodyTooLarge { length: announced, limit });
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| HttpError::BodyBroken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(HttpError::BodyTooLarge { length: None, limit });
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            let whole = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            rest.reserve(whole.max(first.len() + data.len()));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, HttpError> {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(None) };
        match value.as_bytes() {
            b"gzip" | b"x-gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            b"identity" | b"" => Ok(None),
            other => Err(HttpError::UnknownEncoding { encoding: String::from_utf8_lossy(other).into_owned() }),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

fn inflate(encoding: Encoding, body: &[u8], limit: usize) -> Result<Bytes, HttpError> {
    let refused = |_| HttpError::NotInflated { encoding: encoding.name() };
    let mut inflated = Vec::with_capacity(body.len().saturating_mul(2).min(limit));
    // One byte over the limit is enough to know.
    let take = limit as u64 + 1;
    match encoding {
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(body).take(take).read_to_end(&mut inflated),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(refused)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(refused)?;
            decoder.take(take).read_to_end(&mut inflated)
        }
    }
    .map_err(refused)?;
    if inflated.len() > limit {
        return Err(HttpError::InflatedTooLarge { encoding: encoding.name(), limit });
    }
    Ok(inflated.into())
}
