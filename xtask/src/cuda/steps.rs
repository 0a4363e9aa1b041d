//! The checks of `cargo xtask test-cuda`, as data.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::standin::Findings;
use super::suites::{CANDLE, CUDARC};
use super::{elf, gate, mutants, opcodes, pinned, prepared, program, selftest, standin, start, suites, symbols};
use crate::setup::{Need, Tools};
use crate::shell;
use crate::steps::{Run, Step};

/// Compiling all of it, on a machine with one core.
const COMPILE_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Generous: it is there to end a hang.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Everything that is checked, in this order: what fails soonest comes first.
pub(super) const STEPS: &[Step] = &[
    Step {
        limit: COMPILE_LIMIT,
        ..check("build", "the program builds with the feature cuda, by the pinned compiler", &[Run::Own(build)])
    },
    check("registers", "no kernel, ours or candle's, spills or takes too much of a T4", &[Run::Own(registers)]),
    check("opcodes", "the stand-in is tested with every opcode that a kernel has", &[Run::Own(opcodes)]),
    check(
        "linked",
        "the program needs no library of CUDA, and its list of CUDA's functions is exact",
        &[Run::Own(linked)],
    ),
    Step {
        needs: &[Need::Cuda, Need::Libcuda],
        ..check("start", "the program starts with and without CUDA, and says what it found", &[Run::Own(start::check)])
    },
    check("kernels", "our kernels answer on the stand-in as their references do", &[Run::Own(kernels)]),
    check(
        "selftest",
        "`sluice gpu-selftest` passes on the stand-in, and notices a device that fails",
        &[Run::Own(selftest::check)],
    ),
    Step {
        limit: COMPILE_LIMIT,
        ..check(
            "mutants",
            "each fault that is planted in our kernels or their launches is caught",
            &[Run::Own(mutants::run)],
        )
    },
    Step {
        limit: COMPILE_LIMIT,
        ..check("server", "the server loads, swaps, fails and recovers on a device as it should", &[Run::Own(server)])
    },
    Step {
        needs: &[Need::Cuda, Need::Nvrtc],
        limit: COMPILE_LIMIT,
        ..check(
            "candle",
            "candle's own tests of its CUDA backend pass on the stand-in, or fail for a reason",
            &[Run::Own(|root, tools| suites::run(&CANDLE, root, tools))],
        )
    },
    Step {
        needs: &[Need::Cuda, Need::Nvrtc],
        limit: COMPILE_LIMIT,
        ..check(
            "cudarc",
            "cudarc's own tests pass on the stand-in, or fail for a reason",
            &[Run::Own(|root, tools| suites::run(&CUDARC, root, tools))],
        )
    },
    Step {
        limit: COMPILE_LIMIT,
        ..check("lint", "no warning in what only the feature cuda compiles", &[Run::Own(lint)])
    },
];

const fn check(name: &'static str, holds: &'static str, runs: &'static [Run]) -> Step {
    Step { name, holds, needs: &[Need::Cuda], runs, limit: LIMIT }
}

fn build(root: &Path, tools: &mut Tools) -> Result<()> {
    let (toolkit, built) = prepared(root, tools)?;
    println!("nvcc {} made {}", toolkit.version, built.program.display());
    Ok(())
}

fn registers(root: &Path, tools: &mut Tools) -> Result<()> {
    let (toolkit, built) = prepared(root, tools)?;
    gate::check(&toolkit, &built)
}

fn opcodes(root: &Path, tools: &mut Tools) -> Result<()> {
    let (_, built) = prepared(root, tools)?;
    opcodes::check(root, &built)
}

fn linked(root: &Path, tools: &mut Tools) -> Result<()> {
    let (_, built) = prepared(root, tools)?;
    println!("needs {}", elf::needs_no_cuda(&built.program)?.join(", "));
    println!("calls {} functions of CUDA, and the list has no more", symbols::check(root, &built.program)?);
    Ok(())
}

fn kernels(root: &Path, tools: &mut Tools) -> Result<()> {
    let toolkit = pinned(tools)?;
    let (standin, findings) = (standin::folder(root)?, Findings::new()?);
    let mut test = shell::cargo(root);
    toolkit.export(&mut test)?;
    test.args(["test", "--package=kernels", "--features=kernels/cuda"]).env("LD_LIBRARY_PATH", standin);
    shell::run(findings.of(&mut test), COMPILE_LIMIT)?;
    findings.none()
}

/// Of the whole workspace, so that it shares what `build` has compiled.
fn server(root: &Path, tools: &mut Tools) -> Result<()> {
    let toolkit = pinned(tools)?;
    let (standin, findings) = (standin::folder(root)?, Findings::new()?);
    let mut test = shell::cargo(root);
    toolkit.export(&mut test)?;
    test.args(["test", "--workspace", "--test=it", program::TEST_FEATURES, "--", "cuda::"]);
    shell::run(findings.of(&mut test).env("LD_LIBRARY_PATH", standin), COMPILE_LIMIT)?;
    findings.none()
}

fn lint(root: &Path, tools: &mut Tools) -> Result<()> {
    let toolkit = pinned(tools)?;
    let mut clippy = shell::cargo(root);
    toolkit.export(&mut clippy)?;
    clippy.args(["clippy", "--workspace", "--all-targets", "--keep-going", program::TEST_FEATURES]);
    shell::run(clippy.args(["--", "-D", "warnings"]), COMPILE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        assert_eq!(crate::steps::unique(STEPS), STEPS.len());
    }
}
