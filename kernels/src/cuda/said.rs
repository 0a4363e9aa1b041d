//! What an error says, for people.

use candle_core::Error;

/// Without the backtrace that candle keeps with it where `RUST_BACKTRACE` asks for one.
#[must_use]
pub fn said(error: &Error) -> String {
    match error {
        Error::WithBacktrace { inner, .. } => said(inner),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_left_out() {
        let error = Error::WithBacktrace {
            inner: Box::new(Error::Msg("no room".to_owned())),
            backtrace: Box::new(std::backtrace::Backtrace::force_capture()),
        };
        assert_eq!(said(&error), "no room");
        assert_eq!(said(&Error::Msg("no room".to_owned())), "no room");
    }
}
