//! What the environment asks for, read once when the library is first called.

use crate::fault::Faults;
use std::path::PathBuf;

/// Plans of faults, a text of [`crate::fault`].
const FAULTS: &str = "CUDA_STANDIN_FAULTS";
/// Where the counts go when the process ends.
const COUNTS: &str = "CUDA_STANDIN_COUNTS";
/// Where the findings go when the process ends.
const REPORT: &str = "CUDA_STANDIN_REPORT";
/// Where a driver keeps what it compiles.
const COMPILED: &str = "CUDA_CACHE_PATH";

#[derive(Debug)]
pub(crate) struct Settings {
    /// The plan, or all that is wrong with it.
    pub(crate) faults: Result<Faults, Vec<String>>,
    /// Whether the one card may be seen.
    pub(crate) visible: bool,
    /// `CUDA_LAUNCH_BLOCKING=1`: a launch tells its own error.
    pub(crate) blocking: bool,
    pub(crate) counts: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    /// Where a driver would keep what it compiles: nothing is compiled here, and the report tells.
    pub(crate) compiled: Option<String>,
}

impl Settings {
    pub(crate) fn of_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok();
        Self {
            faults: Faults::parse(&text(FAULTS).unwrap_or_default()),
            visible: text("CUDA_VISIBLE_DEVICES").is_none_or(|list| shows_the_card(&list)),
            blocking: text("CUDA_LAUNCH_BLOCKING").is_some_and(|value| value.trim() == "1"),
            counts: text(COUNTS).filter(|path| !path.is_empty()).map(|path| with_process(&path)),
            report: text(REPORT).filter(|path| !path.is_empty()).map(|path| with_process(&path)),
            compiled: text(COMPILED),
        }
    }
}

/// Whether a list of devices names the first one. A driver reads the list up to its first entry that is no device.
fn shows_the_card(list: &str) -> bool {
    let first = list.split(',').next().unwrap_or_default().trim();
    first == "0" || (first.starts_with("GPU-") && uuid_text().starts_with(first))
}

/// The card's UUID as lists of devices and `nvidia-smi` write it.
pub(crate) fn uuid_text() -> String {
    let hex: Vec<String> = super::attributes::UUID.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex[from..to].concat();
    format!("GPU-{}-{}-{}-{}-{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16))
}

/// `%p` is the process's number, so that several processes do not write one file.
fn with_process(path: &str) -> PathBuf {
    path.replace("%p", &std::process::id().to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_is_the_first_of_a_list() {
        let uuid = uuid_text();
        assert!(["0", " 0 ,1", "0,7", &uuid, &uuid[..12]].iter().all(|list| shows_the_card(list)));
        assert!(["", "7", "1,0", "-1", "GPU-ffff", "none"].iter().all(|list| !shows_the_card(list)));
    }
}
