//! Reading one value: numbers in a range, durations, shares, choices. Also the text forms that settings share.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Cursor, Report};
use crate::document::{Kind, Plain, Scalar};
use crate::problem::did_you_mean;
use crate::values::{Refused, Weight};

const DURATION_FORMS: &str = "write a number of seconds, or 250ms, 30s, 5m or 1h";

impl<'a> Cursor<'a> {
    /// Text. A number that was meant as text (`2.10`) must be quoted, since YAML has lost its spelling by then.
    pub(crate) fn text(&self, report: &mut Report) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Scalar(Scalar { value: Plain::Text, written }) => Some(written),
            Kind::Scalar(Scalar { value: Plain::Integer(_) | Plain::Float(_) | Plain::Bool(_), written }) => {
                self.wrong(report, format!("{} is not text; quote it: \"{written}\"", self.node.found()));
                None
            }
            _ => {
                self.wrong(report, format!("{} is not text; write one word or a quoted string", self.node.found()));
                None
            }
        }
    }

    /// Text that `parse` accepts.
    pub(crate) fn parsed<T>(&self, report: &mut Report, parse: impl FnOnce(&str) -> Result<T, Refused>) -> Option<T> {
        let text = self.text(report)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(Refused(why)) => {
                self.wrong(report, format!("{} is refused: {why}", self.node.found()));
                None
            }
        }
    }

    /// Text that `parse` accepts and no message shows: it may be the secret itself, written in the wrong place.
    pub(crate) fn secret<T>(&self, report: &mut Report, parse: impl FnOnce(&str) -> Result<T, Refused>) -> Option<T> {
        let parsed = match self.plain() {
            Some((Plain::Text, written)) => parse(written),
            _ => Err(Refused("it is not text; quote it".to_owned())),
        };
        parsed.map_err(|Refused(why)| self.wrong(report, format!("what is written here is refused: {why}"))).ok()
    }

    /// A whole number in `range`. A quoted one is text, as it is to whoever else reads the file.
    pub(crate) fn whole(&self, report: &mut Report, range: RangeInclusive<u64>) -> Option<u64> {
        match self.plain() {
            Some((Plain::Text, written)) if written.parse::<u64>().is_ok() => {
                self.wrong(report, format!("{} is text; write {written} without quotes", self.node.found()));
                None
            }
            _ => self.quotable_whole(report, range),
        }
    }

    /// A whole number in `range`, quoted or not.
    pub(crate) fn quotable_whole(&self, report: &mut Report, range: RangeInclusive<u64>) -> Option<u64> {
        let value = match self.plain() {
            Some((Plain::Integer(value), _)) => u64::try_from(*value).ok(),
            Some((Plain::Text, written)) => written.parse().ok(),
            _ => None,
        };
        let (low, high) = (range.start(), range.end());
        match value {
            Some(value) if range.contains(&value) => return Some(value),
            Some(value) if value > *high => self.wrong(report, format!("{value} is over {high}; {}", span(low, high))),
            Some(value) => self.wrong(report, format!("{value} is under {low}; {}", span(low, high))),
            None if matches!(self.plain(), Some((Plain::Integer(..0), _))) => {
                self.wrong(report, format!("{} is under {low}; {}", self.node.found(), span(low, high)));
            }
            None => {
                self.wrong(report, format!("{} is not a whole number; {}", self.node.found(), span(low, high)));
            }
        }
        None
    }

    /// A finite number in `range`; `what` says what to write, such as `write a share of 0 to 100`.
    pub(crate) fn number(&self, report: &mut Report, range: RangeInclusive<f64>, what: &str) -> Option<f64> {
        let value = match self.plain() {
            Some((Plain::Integer(value), _)) =>
            {
                #[expect(clippy::cast_precision_loss, reason = "a bound beyond 2^53 is refused or far from any limit")]
                Some(*value as f64)
            }
            Some((Plain::Float(value), _)) => Some(*value),
            _ => None,
        };
        let found = self.node.found();
        match value.filter(|value| value.is_finite()) {
            Some(value) if range.contains(&value) => return Some(value),
            Some(value) if value > *range.end() => {
                self.wrong(report, format!("{found} is over {}; {what}", range.end()))
            }
            Some(_) => self.wrong(report, format!("{found} is under {}; {what}", range.start())),
            None => self.wrong(report, format!("{found} is not a number; {what}")),
        }
        None
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, report: &mut Report) -> Option<bool> {
        if let Some((Plain::Bool(value), _)) = self.plain() {
            return Some(*value);
        }
        self.wrong(report, format!("{} is not true or false; write true or false", self.node.found()));
        None
    }

    /// One of `choices`.
    pub(crate) fn choice<T: Copy>(&self, report: &mut Report, choices: &[(&str, T)]) -> Option<T> {
        let written = self.node.text();
        if let Some((_, value)) = choices.iter().find(|(name, _)| Some(*name) == written) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = did_you_mean(written.unwrap_or_default(), names.iter().copied());
        self.wrong(report, format!("{} is not allowed; write {}{hint}", self.node.found(), one_of(&names)));
        None
    }

    /// A duration in `range`: a number of seconds, or `250ms`, `30s`, `5m`, `1h`, `1h30m`.
    pub(crate) fn duration(&self, report: &mut Report, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value = match self.plain() {
            Some((Plain::Integer(_) | Plain::Float(_) | Plain::Text, written)) => duration(written),
            _ => Err(Refused(format!("not a duration; {DURATION_FORMS}"))),
        };
        let (low, high) = (*range.start(), *range.end());
        let found = self.node.found();
        match value {
            Ok(value) if range.contains(&value) => return Some(value),
            Ok(value) if value > high => {
                self.wrong(report, format!("{found} is over {}; write at most that", spelled(high)));
            }
            Ok(_) => self.wrong(report, format!("{found} is under {}; write at least that", spelled(low))),
            Err(Refused(why)) => self.wrong(report, format!("{found} is {why}")),
        }
        None
    }

    /// A share of traffic: `value` of `whole`, to the nearest basis point.
    pub(crate) fn share(&self, report: &mut Report, whole: u32) -> Option<Weight> {
        let what = format!("write a share of 0 to {whole}");
        let value = self.number(report, 0.0..=f64::from(whole), &what)?;
        let exact = value / f64::from(whole) * 10_000.0;
        let nearest = exact.round();
        if (exact - nearest).abs() > 1e-6 {
            let step = f64::from(whole) / 10_000.0;
            self.wrong(report, format!("{} is finer than {step}; {what} in steps of {step}", self.node.found()));
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=10 000 after the range check")]
        Weight::from_bps(nearest as u16)
    }

    fn plain(&self) -> Option<(&'a Plain, &'a str)> {
        match &self.node.kind {
            Kind::Scalar(Scalar { value, written }) => Some((value, written)),
            Kind::Map(_) | Kind::List(_) => None,
        }
    }
}

/// `a`, `a or b`, `a, b or c`.
fn one_of(names: &[&str]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        names => names.concat(),
    }
}

fn span(low: &u64, high: &u64) -> String {
    if *high == u64::MAX { format!("write {low} or more") } else { format!("write {low} to {high}") }
}

/// A duration from text: `30` (seconds), `250ms`, `30s`, `5m`, `1h`, or several in a row such as `1h30m`.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn duration(text: &str) -> Result<Duration, Refused> {
    let refused = || Refused(format!("not a duration; {DURATION_FORMS}"));
    if text.is_empty() || text.len() > 32 {
        return Err(refused());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| refused());
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(refused()),
        };
        seconds += number.parse::<f64>().map_err(|_| refused())? * scale;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| refused())
}

/// A duration as a person would write it.
pub(crate) fn spelled(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    match (seconds, millis) {
        (0, 0) => "0s".to_owned(),
        (0, _) => format!("{millis}ms"),
        (_, 1..) => format!("{}s", duration.as_secs_f64()),
        (seconds, _) if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        (seconds, _) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, _) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, _) => format!("{seconds}s"),
    }
}
