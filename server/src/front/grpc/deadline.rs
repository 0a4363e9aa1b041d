//! The `grpc-timeout` header: up to eight digits and a unit.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

use crate::front::shown;

/// How long the caller waits; `None` where it does not say.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    parse(text).map(Some).ok_or_else(|| {
        let text = shown(text);
        Status::invalid_argument(format!("grpc-timeout is '{text}'; write up to 8 digits and one of H, M, S, m, u, n"))
    })
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last().filter(char::is_ascii)?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(count * 3600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_nothing_else() {
        let units = ["1H", "2M", "3S", "4m", "5u", "6n"].map(|text| parse(text).unwrap().as_nanos());
        assert_eq!(units, [3_600_000_000_000, 120_000_000_000, 3_000_000_000, 4_000_000, 5_000, 6]);
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1é", " 1S"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
