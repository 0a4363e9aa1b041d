//! hyper's timer for the headers of a request, which is set and given up with each request of a connection and hardly
//! ever runs out. It registers nothing with the runtime: whoever drives the connection polls it now and then.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

/// How late a deadline may be noticed, as a share of the time limit.
const LATE_MAX: u32 = 4;

/// How often a connection has to be polled whose limit is `limit`.
pub(super) fn interval(limit: Duration) -> Duration {
    limit / LATE_MAX
}

/// Makes sleeps that end when they are polled after their deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coarse;

#[expect(clippy::disallowed_types, reason = "hyper's trait has it; its values come from tokio's clock")]
impl Timer for Coarse {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until(Instant::now() + duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until(deadline.into()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

#[derive(Debug)]
struct Until(Instant);

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Sleep for Until {}
