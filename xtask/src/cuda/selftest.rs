//! `sluice gpu-selftest` on the stand-in: sound, with a launch that is refused, and with a device that is lost.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::standin::Findings;
use super::{prepared, standin};
use crate::setup::Tools;
use crate::shell;

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// A device, and what must come of the selftest on it.
struct Device {
    faults: &'static str,
    code: i32,
    says: &'static [&'static str],
}

const DEVICES: &[Device] = &[
    Device { faults: "", code: 0, says: &["failed=0", "simulated", "not measured", "0 failed"] },
    // One of the kernels' cases, and not the server's start.
    Device { faults: "launch=3:701", code: 3, says: &["WRONG", "failed=1"] },
    Device { faults: "lost=3", code: 4, says: &["WRONG", "the device is lost"] },
    // It cannot even be opened.
    Device { faults: "allocation=1+", code: 3, says: &["WRONG the device can be opened", "failed=1"] },
];

pub(super) fn check(root: &Path, tools: &mut Tools) -> Result<()> {
    let (_, built) = prepared(root, tools)?;
    let standin = standin::folder(root)?;
    for Device { faults, code, says } in DEVICES {
        let (work, findings) = (tempfile::tempdir().context("cannot make a temporary folder")?, Findings::new()?);
        let mut selftest = shell::program(&built.program, work.path());
        selftest.args(["gpu-selftest", "--allow-simulated-device"]).env("LD_LIBRARY_PATH", &standin);
        findings.of(&mut selftest).env("CUDA_STANDIN_FAULTS", faults);
        let (said, status) = shell::read(&mut selftest, LIMIT)?;
        println!("{}\n", said.trim_end());
        ensure!(status.code() == Some(*code), "with faults `{faults}` it ended with {status}, not with {code}");
        for words in *says {
            ensure!(said.contains(words), "with faults `{faults}` nothing says `{words}`");
        }
        if faults.is_empty() {
            findings.none()?;
        }
    }
    Ok(())
}
