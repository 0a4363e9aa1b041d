//! The access log: one structured event of target `access` for one request in every N, and for failed ones.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::infer::PerSecond;

/// Failed requests logged in one second, beside the sample: callers that fail all the time must not fill a disk.
const FAILED_PER_SECOND: u32 = 100;

/// Which requests are logged: the first, and then one in every `every`; of the others those that failed.
#[derive(Debug)]
pub struct AccessLog {
    every: u32,
    seen: AtomicU32,
    failed: PerSecond,
}

/// One request, as the log tells it.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// `http`, `grpc` or `grpc-stream`.
    pub protocol: &'static str,
    /// The request's id.
    pub request_id: &'a str,
    /// Model as asked.
    pub model: &'a str,
    /// The version that answered; empty where none did.
    pub version: &'a str,
    /// The role of that version; empty where none answered.
    pub variant: &'a str,
    /// HTTP status or gRPC code, as a number.
    pub code: u16,
    /// From the first byte of the request known to the answer ready to be sent.
    pub duration: Duration,
    /// In the queue of the version, and in its batch on the device; `None` where none answered.
    pub queued_and_compute: Option<(Duration, Duration)>,
    /// Bytes of the request's body or message; `None` where counting them was not worth it.
    pub request_bytes: Option<usize>,
    /// Bytes of the response's body or message.
    pub response_bytes: usize,
    /// Who asked.
    pub peer: Option<SocketAddr>,
    /// The client of the access file that it is; empty where nobody asked.
    pub client: &'a str,
}

impl AccessLog {
    /// Logs one request in every `every`; 0 logs failed ones only.
    #[must_use]
    pub fn one_in(every: u32) -> Self {
        Self { every, seen: AtomicU32::new(0), failed: PerSecond::new(FAILED_PER_SECOND) }
    }

    /// Whether this request is in the sample: asked once for each request.
    #[must_use]
    pub fn samples(&self) -> bool {
        self.picks() && tracing::enabled!(target: "access", tracing::Level::INFO)
    }

    /// Whether this failed request, which is not in the sample, is logged all the same.
    #[must_use]
    pub fn wants_failed(&self) -> bool {
        tracing::enabled!(target: "access", tracing::Level::INFO) && self.failed.admits()
    }

    fn picks(&self) -> bool {
        self.every != 0 && self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
    }
}

/// Writes one request to the log.
pub fn write(access: &Access<'_>) {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        target: "access",
        protocol = access.protocol,
        request_id = access.request_id,
        model = access.model,
        version = access.version,
        variant = access.variant,
        code = access.code,
        duration_us = micros(access.duration),
        queue_us = access.queued_and_compute.map(|(queued, _)| micros(queued)),
        compute_us = access.queued_and_compute.map(|(_, compute)| micros(compute)),
        request_bytes = access.request_bytes,
        response_bytes = access.response_bytes,
        peer = access.peer.map(tracing::field::display),
        client = (!access.client.is_empty()).then_some(access.client),
        "request"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_n_is_picked() {
        let picked = |every: u32| {
            let log = AccessLog::one_in(every);
            (0..12).filter(|_| log.picks()).count()
        };
        assert_eq!([picked(0), picked(1), picked(5)], [0, 12, 3]);
    }
}
