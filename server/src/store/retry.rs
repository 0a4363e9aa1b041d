//! When to try a request again: a pure decision, and the loop that obeys it.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// How often and how long one request is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts of one request, the first included. Refused credentials get half of them.
    pub attempts_max: u32,
    /// Wait after the first failure; it doubles with each further one.
    pub delay_initial: Duration,
    /// The longest wait.
    pub delay_max: Duration,
    /// No attempt starts later than this after the first.
    pub deadline: Duration,
}

/// What kind of failure an attempt met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// 429, 5xx, a broken connection, a short body, a stall.
    Transient,
    /// 401 or 403: mostly wrong credentials, sometimes a token that is being renewed.
    Denied,
    /// The object is not there.
    Missing,
    /// The object is not the one that was listed.
    Changed,
    /// The source will never do this.
    Unsupported,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    /// Try again after this wait.
    Wait(Duration),
    /// Report the failure.
    GiveUp,
}

/// One failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) class: Class,
    pub(super) reason: String,
}

/// The last of several failed attempts.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) class: Class,
    pub(super) reason: String,
    pub(super) attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 8,
            delay_initial: Duration::from_millis(200),
            delay_max: Duration::from_secs(15),
            deadline: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// Decides after `attempts` failures, the first of which began `elapsed` ago. `jitter` in `0..1` spreads the wait
    /// over the upper half of the backoff, so that a fleet does not come back in step.
    pub(super) fn next(&self, class: Class, attempts: u32, elapsed: Duration, jitter: f64) -> Next {
        let attempts_max = match class {
            Class::Transient => self.attempts_max,
            Class::Denied => self.attempts_max.div_ceil(2),
            Class::Missing | Class::Changed | Class::Unsupported => 1,
        };
        let doublings = attempts.saturating_sub(1).min(20);
        let backoff = self.delay_initial.saturating_mul(1 << doublings).min(self.delay_max);
        let wait = backoff.mul_f64(jitter.clamp(0.0, 1.0).mul_add(0.5, 0.5));
        if attempts >= attempts_max || elapsed.saturating_add(wait) > self.deadline {
            Next::GiveUp
        } else {
            Next::Wait(wait)
        }
    }
}

/// Runs `attempt` until it succeeds or `policy` gives up.
pub(super) async fn retrying<T, Fut>(
    policy: &RetryPolicy,
    object: &str,
    mut attempt: impl FnMut() -> Fut,
) -> Result<T, Failure>
where
    Fut: Future<Output = Result<T, Attempt>>,
{
    let started = Instant::now();
    let mut attempts = 0;
    loop {
        let Attempt { class, reason } = match attempt().await {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        attempts += 1;
        match policy.next(class, attempts, started.elapsed(), rand::random()) {
            Next::GiveUp => return Err(Failure { class, reason, attempts }),
            Next::Wait(wait) => {
                tracing::debug!(object, attempts, wait_ms = wait.as_millis() as u64, reason, "trying again");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

impl Attempt {
    pub(super) fn new(class: Class, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }
}

impl From<object_store::Error> for Attempt {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error;
        let class = match &error {
            Error::NotFound { .. } => Class::Missing,
            Error::Precondition { .. } | Error::NotModified { .. } => Class::Changed,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Class::Denied,
            Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. } => Class::Unsupported,
            Error::Generic { source, .. } if refused(source.as_ref()) => Class::Denied,
            _ => Class::Transient,
        };
        Self { class, reason: error.to_string() }
    }
}

/// Whether a cloud refused the credentials. Reads say so with an error of their own; a listing that was refused comes as
/// any other error, and the type in it that holds the status is private to the library, so its text is read.
fn refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let status = |error: &(dyn std::error::Error + 'static)| {
        let text = error.to_string();
        let status = text.strip_prefix("Server returned non-2xx status code: ")?;
        Some(status.starts_with("401 ") || status.starts_with("403 "))
    };
    std::iter::successors(Some(error), |error| error.source()).any(|error| status(error) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts_max: 4,
            delay_initial: Duration::from_secs(1),
            delay_max: Duration::from_secs(3),
            deadline: Duration::from_secs(60),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let wait = |attempts| policy().next(Class::Transient, attempts, Duration::ZERO, 1.0);
        assert_eq!(wait(1), Next::Wait(Duration::from_secs(1)));
        assert_eq!(wait(2), Next::Wait(Duration::from_secs(2)));
        assert_eq!(wait(3), Next::Wait(Duration::from_secs(3)));
        assert_eq!(wait(4), Next::GiveUp);
        assert_eq!(policy().next(Class::Transient, 1, Duration::ZERO, 0.0), Next::Wait(Duration::from_millis(500)));
    }

    #[test]
    fn refused_credentials_get_half_the_attempts_and_missing_objects_one() {
        let next = |class, attempts| policy().next(class, attempts, Duration::ZERO, 1.0);
        assert_eq!(next(Class::Denied, 1), Next::Wait(Duration::from_secs(1)));
        assert_eq!(next(Class::Denied, 2), Next::GiveUp);
        for class in [Class::Missing, Class::Changed, Class::Unsupported] {
            assert_eq!(next(class, 1), Next::GiveUp);
        }
    }

    #[test]
    fn a_refused_listing_is_a_refusal() {
        let class = |text: &str| Attempt::from(object_store::Error::Generic { store: "S3", source: text.into() }).class;
        assert_eq!(class("Server returned non-2xx status code: 403 Forbidden: "), Class::Denied);
        assert_eq!(class("Server returned non-2xx status code: 401 Unauthorized: "), Class::Denied);
        assert_eq!(class("Server returned non-2xx status code: 503 Service Unavailable: 403 "), Class::Transient);
    }

    #[test]
    fn the_deadline_counts_the_wait() {
        let next = |seconds| policy().next(Class::Transient, 1, Duration::from_secs(seconds), 1.0);
        assert_eq!(next(59), Next::Wait(Duration::from_secs(1)));
        assert_eq!(next(60), Next::GiveUp);
    }

    #[test]
    fn a_huge_attempt_count_does_not_overflow() {
        let patient = RetryPolicy { attempts_max: u32::MAX, delay_max: Duration::MAX, ..policy() };
        assert_eq!(patient.next(Class::Transient, u32::MAX - 1, Duration::ZERO, 1.0), Next::GiveUp);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn the_loop_reports_the_last_failure_and_its_attempts() {
        let mut calls = 0;
        let failed = retrying(&policy(), "x", || {
            calls += 1;
            let reason = format!("answer {calls}");
            async move { Err::<(), _>(Attempt::new(Class::Transient, reason)) }
        })
        .await
        .unwrap_err();
        assert_eq!((failed.attempts, failed.reason.as_str()), (4, "answer 4"));
    }
}
