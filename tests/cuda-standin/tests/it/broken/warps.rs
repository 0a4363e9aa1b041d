//! Shuffles from lanes that are not there, and masks that name the wrong ones.

use cuda_standin::report::Kind;

use super::{case, fires, passes};

#[test]
fn a_shuffle_from_a_lane_that_does_not_take_part() {
    let broken = "setp.ge.u32 %p1, %r1, 16; @%p1 bra end;
        shfl.sync.idx.b32 %r2, %r1, 20, 31, 0xffff; // here
        end:";
    fires(&case(32, broken), Kind::InactiveLane, 0, None);
    passes(&case(32, "shfl.sync.idx.b32 %r2, %r1, 20, 31, 0xffffffff;"));
}

#[test]
fn a_shuffle_from_a_lane_that_has_no_thread() {
    let broken = "shfl.sync.bfly.b32 %r2, %r1, 16, 31, 0xffffffff; // here";
    let words = fires(&case(24, broken), Kind::InactiveLane, 8, None);
    assert_eq!(words, "lane 8 reads from lane 24, which is not there any more");
    passes(&case(32, broken));
}

#[test]
fn a_mask_that_names_lanes_elsewhere() {
    let broken = "setp.ge.u32 %p1, %r1, 16; @%p1 bra end;
        vote.sync.ballot.b32 %r2, %p1, 0xffffffff; // here
        end: bar.sync 0;";
    let words = fires(&case(32, broken), Kind::MemberMask, 0, None);
    assert!(words.contains("names lane 16, which is elsewhere"), "{words}");
    passes(&case(
        32,
        "setp.ge.u32 %p1, %r1, 16; @%p1 bra end; vote.sync.ballot.b32 %r2, %p1, 0xffff; end: bar.sync 0;",
    ));
}

#[test]
fn a_mask_that_leaves_its_own_lane_out() {
    let broken = "vote.sync.any.pred %p2, %p1, 0xfffffffe; // here";
    let prepared = "setp.ge.u32 %p1, %r1, 16;";
    let body: &'static str = Box::leak(format!("{prepared}\n{broken}").into_boxed_str());
    fires(&case(32, body), Kind::MemberMask, 0, None);
}

#[test]
fn lanes_that_part_meet_again_at_the_mask() {
    let body = "setp.lt.u32 %p1, %r1, 7; @%p1 bra other; mul.lo.u32 %r3, %r1, 3; bra join;
        other: mul.lo.u32 %r3, %r1, 5;
        join: vote.sync.ballot.b32 %r2, %p1, 0xffffffff; setp.ne.u32 %p2, %r2, 0x7f; @%p2 trap;
        match.any.sync.b32 %r4, %r2, 0xffffffff; setp.ne.s32 %p3, %r4, -1; @%p3 trap;";
    passes(&case(32, body));
}

#[test]
fn lanes_at_two_places_of_a_warp_barrier_meet() {
    passes(&case(
        32,
        "setp.lt.u32 %p1, %r1, 7; @%p1 bra other; bar.warp.sync -1; bra join; other: bar.warp.sync -1; join:",
    ));
}

#[test]
fn a_lock_that_a_later_instruction_frees() {
    // The holder stands behind the loop in which the other lanes of its warp wait.
    let body = "setp.ne.u32 %p1, %r1, 0; @!%p1 st.global.u32 [%d2], 0; bar.sync 0;
        again: atom.global.cas.b32 %r2, [%d2], 0, 1; setp.ne.u32 %p2, %r2, 0; @%p2 bra again;
        ld.global.u32 %r3, [%d1]; add.u32 %r3, %r3, 1; st.global.u32 [%d1], %r3;
        atom.global.exch.b32 %r4, [%d2], 0;";
    passes(&case(64, body));
}
