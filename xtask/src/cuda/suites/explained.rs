//! Failures that are no news, each with its reason.

use super::outcome::{Reason, Why};

/// A suite, a test's name (or where it ends with `_`, the beginning of several), and why it fails.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "candle",
        "ones_gpu",
        "asks for const_set_bf16, which candle compiles for sm_80 and later only: fails on a T4 too",
    ),
    (
        "cudarc",
        "driver::safe::launch::tests::test_launch_with_half",
        "asks nvrtc for compute_53, which nvrtc 13 no longer knows: fails on a card too",
    ),
    (
        "cudarc",
        "driver::safe::core::tests::test_default_pinned_host_reads_are_faster_than_write_combined",
        "compares two times; the stand-in has none, and on a card it failed too",
    ),
    (
        "cudarc",
        "driver::safe::core::tests::test_pinned_copy_is_faster",
        "compares two times; the stand-in has none, and on a card it failed too",
    ),
    (
        "cudarc",
        "driver::safe::launch::tests::test_par_launch",
        "compares two times; the stand-in has none, and on a card it failed too",
    ),
    (
        "cudarc",
        "driver::safe::launch::tests::test_multi_stream_",
        "compares two times, of kernels that take a card a while and an interpreter minutes",
    ),
    (
        "cudarc",
        "driver::safe::core::tests::test_event_try_is_complete",
        "asks about work that still runs; on the stand-in it has ended when the call returns",
    ),
    (
        "cudarc",
        "cublas::safe::grouped_gemm::tests::test_grouped_gemm_",
        "its arrays of addresses are the host's; on a card it ended with EXECUTION_FAILED too",
    ),
];

/// What the linker was told that sluice calls.
const CALLED: &str = include_str!("../../../../kernels/cuda-lazy/symbols.txt");

/// Why a test fails.
pub(super) fn reason(suite: &str, test: &str, why: &Why) -> Reason {
    // A whole name, or the beginning of several.
    let meant = |name: &str| test == name || (name.ends_with('_') && test.starts_with(name));
    let known = KNOWN.iter().find(|(of, name, _)| *of == suite && meant(name));
    match (known, why) {
        (Some((_, _, words)), _) => Reason::Known(words),
        (None, Why::Missing(name)) if CALLED.lines().all(|line| line != name) => Reason::Missing(name.clone()),
        (None, why) => Reason::Unknown(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sluice_calls_too_is_not_explained_away() {
        let missing = |name: &str| reason("cudarc", "a_test", &Why::Missing(name.to_owned()));
        assert_eq!(missing("cuNotCalled"), Reason::Missing("cuNotCalled".to_owned()));
        assert_eq!(missing("cuLaunchKernel"), Reason::Unknown(Why::Missing("cuLaunchKernel".to_owned())));
    }

    #[test]
    fn a_known_failure_is_known_in_its_suite_only() {
        assert!(matches!(reason("candle", "ones_gpu", &Why::Late), Reason::Known(_)));
        assert_eq!(reason("cudarc", "ones_gpu", &Why::Late), Reason::Unknown(Why::Late));
    }
}
