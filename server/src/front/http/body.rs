//! Request bodies: read whole, within a size and a time, and inflated within a size; all of them within a budget.

use std::future::poll_fn;
use std::io::Read;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::HttpError;
use super::said::Said;
use crate::front::budget::Held;
use crate::front::{Budget, Front};

/// JSON from this size on is read off the threads that serve everyone else: it takes about a millisecond.
pub(super) const JSON_INLINE_BYTES_MAX: usize = 256 << 10;
/// Room is taken for this much of an inflated body at a time.
const INFLATE_STEP_BYTES: usize = 1 << 20;
/// A zstd frame may ask for a window of this many bytes (as a power of two) to be kept while it is inflated.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The body as sent, less its `Content-Encoding`, and the room that it takes: to be held until the request is answered.
/// A body that arrives in one piece is not copied.
pub(super) async fn read<B>(said: Said<'_>, body: B, front: &Front) -> Result<(Bytes, Held), HttpError>
where
    B: http_body::Body<Data = Bytes>,
{
    let encoding = Encoding::of(said)?;
    let (limits, mut held) = (&front.limits, Held::default());
    let body = {
        let mut collected = pin!(collect(said, body, limits.body_bytes, &front.budget, &mut held));
        match ready_soon(collected.as_mut()).await {
            Some(body) => body?,
            None => {
                // Boxed, as all that few requests need: what every request has room for is moved and touched by all.
                let received = Box::pin(tokio::time::timeout(limits.body_read_timeout, collected));
                let timed_out = |_| HttpError::BodyTimeout { seconds: limits.body_read_timeout.as_secs() };
                received.await.map_err(timed_out)??
            }
        }
    };
    let Some(encoding) = encoding else { return Ok((body, held)) };
    let (limit, budget) = (limits.inflated_bytes, front.budget.clone());
    // Inflating may take milliseconds, however small the body.
    Box::pin(off_thread(move || {
        // What was sent is let go of once it is inflated, and its room with it.
        let mut inflated = Held::default();
        let bytes = inflate(encoding, &body, limit, &budget, &mut inflated)?;
        drop((body, held));
        Ok((bytes, inflated))
    }))
    .await?
}

/// The output of `future`, where it is ready at its first poll or its second: a body that came with its head needs no
/// timer. The connection hands the body on only after it was asked for once.
async fn ready_soon<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut asked = false;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Does `work`, which is long, off the threads that serve everyone else.
pub(super) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HttpError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HttpError::GoingAway)
}

async fn collect<B>(said: Said<'_>, body: B, limit: usize, budget: &Budget, held: &mut Held) -> Result<Bytes, HttpError>
where
    B: http_body::Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let announced = said.content_length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
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
        // By what has come, not by what is announced: a promise takes no room from others.
        budget.grow(held, first.len() + rest.len() + data.len())?;
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
    /// Zlib's format, as the name has it in HTTP.
    Deflate,
    Zstd,
}

impl Encoding {
    fn of(said: Said<'_>) -> Result<Option<Self>, HttpError> {
        let Some(value) = said.content_encoding else { return Ok(None) };
        match value.as_bytes() {
            b"gzip" | b"x-gzip" => Ok(Some(Self::Gzip)),
            b"deflate" => Ok(Some(Self::Deflate)),
            b"zstd" => Ok(Some(Self::Zstd)),
            b"identity" | b"" => Ok(None),
            other => Err(HttpError::UnknownEncoding { encoding: String::from_utf8_lossy(other).into_owned() }),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

fn inflate(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    budget: &Budget,
    held: &mut Held,
) -> Result<Bytes, HttpError> {
    let refused = |_| HttpError::NotInflated { encoding: encoding.name() };
    let decoder: Box<dyn Read + '_> = match encoding {
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Encoding::Deflate => Box::new(flate2::read::ZlibDecoder::new(body)),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(refused)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(refused)?;
            Box::new(decoder)
        }
    };
    // One byte over the limit is enough to know.
    let mut decoder = decoder.take(limit as u64 + 1);
    let mut inflated = Vec::with_capacity(body.len().saturating_mul(2).min(limit).min(INFLATE_STEP_BYTES));
    loop {
        budget.grow(held, inflated.len().saturating_add(INFLATE_STEP_BYTES).min(limit))?;
        let step = decoder.by_ref().take(INFLATE_STEP_BYTES as u64).read_to_end(&mut inflated).map_err(refused)?;
        if step == 0 {
            break;
        }
    }
    if inflated.len() > limit {
        return Err(HttpError::InflatedTooLarge { encoding: encoding.name(), limit });
    }
    Ok(inflated.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_at_its_second_poll_is_waited_for() {
        let ready_at = |poll: usize| {
            let mut polls = 0;
            poll_fn(move |_| {
                polls += 1;
                if polls < poll { Poll::Pending } else { Poll::Ready(polls) }
            })
        };
        let soon = |poll| futures::executor::block_on(async { ready_soon(pin!(ready_at(poll))).await });
        assert_eq!([1, 2, 3].map(soon), [Some(1), Some(2), None]);
    }

    #[tokio::test]
    async fn long_work_leaves_the_thread() {
        let id = || std::thread::current().id();
        assert_ne!(off_thread(id).await.unwrap(), id());
    }
}
