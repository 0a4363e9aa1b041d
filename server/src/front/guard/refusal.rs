//! Why a caller is not let in. No text names a client, or tells whether there is one.

use std::time::Duration;

use config::access::Right;

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It did not show who it is, or its certificate is of nobody here.
    #[error("say who you are: send Authorization: Bearer <token>, or a client certificate that is known here")]
    Unknown,
    /// The token is of nobody here.
    #[error("this token is not known here")]
    TokenUnknown,
    /// It is known, and may not ask for this.
    #[error("this caller may not ask for {}", group(*.0))]
    Forbidden(Right),
    /// Its requests at work are as many as it may have.
    #[error("this caller has as many requests at work as it may; try again in {} ms", retry_after.as_millis())]
    AtOnce {
        /// A sensible pause before the next try.
        retry_after: Duration,
    },
    /// It asks more often than it may.
    #[error("this caller asks more often than it may; try again in {} ms", whole_ms(*retry_after))]
    TooOften {
        /// When one more request fits.
        retry_after: Duration,
    },
    /// Of the admin port without an access file, as the following.
    #[error("send Authorization: Bearer <token> with the token of --admin-token-file")]
    TokenMissing,
    /// Not the admin port's token.
    #[error("this is not the token of --admin-token-file")]
    TokenWrong,
    /// From elsewhere, and there is no token.
    #[error("without --admin-token-file, rollouts are steered from this machine only")]
    NotLocal,
    /// From here, by a name that may be anybody's, and there is no token.
    #[error("without --admin-token-file, use an address or localhost as the host")]
    HostName,
}

const fn group(right: Right) -> &'static str {
    match right {
        Right::Predict => "predictions",
        Right::Metadata => "metadata",
        Right::Admin => "rollout verbs",
    }
}

/// Rounded up, so that who waits as long as it is told is not told again.
fn whole_ms(wait: Duration) -> u128 {
    wait.as_micros().div_ceil(1000)
}
