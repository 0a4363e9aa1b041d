//! Barriers that threads reach in different places, after others have left, or never.

use cuda_standin::exec::FaultCode::LaunchFailed;
use cuda_standin::report::Kind;

use super::{case, fires, passes};

#[test]
fn two_warps_at_two_places() {
    let broken = "setp.lt.u32 %p1, %r1, 32; @%p1 bra low; bar.sync 0; // here
        bra end;\nlow: bar.sync 0;\nend:";
    fires(&case(64, broken), Kind::DivergentBarrier, 32, None);
    passes(&case(64, "setp.lt.u32 %p1, %r1, 32; @%p1 bra low; add.u32 %r2, %r1, 1; low: bar.sync 0;"));
}

#[test]
fn two_halves_of_a_warp_at_two_places() {
    let broken = "setp.lt.u32 %p1, %r1, 16; @%p1 bra low;\nbar.sync 0;\nbra end;\nlow:\nbar.sync 0; // here\nend:";
    fires(&case(32, broken), Kind::DivergentBarrier, 0, None);
}

#[test]
fn after_some_have_left() {
    let broken = "setp.ge.u32 %p1, %r1, 40; @%p1 ret;\nbar.sync 0; // here";
    let words = fires(&case(64, broken), Kind::BarrierAfterExit, 0, None);
    assert_eq!(words, "24 of the 64 threads of the block have left the kernel");
    passes(&case(64, "setp.ge.u32 %p1, %r1, 40; bar.sync 0; @%p1 ret; add.u32 %r2, %r1, 1;"));
}

#[test]
fn more_threads_wanted_than_there_are() {
    let broken = "bar.sync 1, 128; // here";
    fires(&case(64, broken), Kind::Deadlock, 0, Some(LaunchFailed));
    passes(&case(128, broken));
}

#[test]
fn two_barriers_that_wait_for_each_other() {
    let broken = "setp.lt.u32 %p1, %r1, 32; @%p1 bra low; bar.sync 1; bra end;\nlow: bar.sync 2; // here\nend:";
    fires(&case(64, broken), Kind::Deadlock, 0, Some(LaunchFailed));
}

#[test]
fn a_part_of_the_block_may_have_its_own() {
    passes(&case(
        64,
        "setp.lt.u32 %p1, %r1, 32; @%p1 bra low; bar.sync 1, 32; bra end; low: bar.sync 2, 32; end: bar.sync 0;",
    ));
}

#[test]
fn a_reduction_counts_all_threads() {
    let body = "setp.lt.u32 %p1, %r1, 10; bar.red.popc.u32 %r2, 0, %p1; setp.ne.u32 %p2, %r2, 10; @%p2 trap;
        bar.red.and.pred %p3, 0, %p1; @%p3 trap; bar.red.or.pred %p4, 0, !%p1; @!%p4 trap;";
    assert_eq!(passes(&case(96, body)).barriers, 3);
}
