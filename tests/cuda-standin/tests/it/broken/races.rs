//! Shared memory that two threads touch with nothing between.

use cuda_standin::report::Kind;

use super::{case, fires, passes};

/// A word of shared memory for each thread: its address in `%r2`; that of thread `tid ^ 32` in `%r3`, `tid ^ 1` in `%r4`.
macro_rules! shared {
    ($rest:literal) => {
        concat!(
            ".shared .align 4 .b32 s[128]; mov.u32 %r5, s; mad.lo.u32 %r2, %r1, 4, %r5;
            xor.b32 %r3, %r1, 32; mad.lo.u32 %r3, %r3, 4, %r5; xor.b32 %r4, %r1, 1; mad.lo.u32 %r4, %r4, 4, %r5;\n",
            $rest
        )
    };
}

#[test]
fn a_read_after_a_write() {
    let broken = shared!(
        "setp.lt.u32 %p1, %r1, 32; st.shared.u32 [%r2], %r1; bar.sync 0; @%p1 st.shared.u32 [%r2], 7;
        @!%p1 ld.shared.u32 %r6, [%r3]; // here"
    );
    let words = fires(&case(64, broken), Kind::SharedRace, 32, None);
    assert!(words.starts_with("a read at 0x0 of shared memory, and a write by thread [0, 0, 0] in line"), "{words}");
    passes(&case(64, shared!("st.shared.u32 [%r2], %r1; bar.sync 0; ld.shared.u32 %r6, [%r3];")));
}

#[test]
fn a_write_after_a_read() {
    let broken = shared!(
        "setp.lt.u32 %p1, %r1, 32; st.shared.u32 [%r2], %r1; bar.sync 0; @%p1 ld.shared.u32 %r6, [%r3];
        @!%p1 st.shared.u32 [%r2], 7; // here"
    );
    let words = fires(&case(64, broken), Kind::SharedRace, 32, None);
    assert!(words.starts_with("a write at 0x80 of shared memory, and a read by thread [0, 0, 0]"), "{words}");
    let right = shared!(
        "setp.lt.u32 %p1, %r1, 32; st.shared.u32 [%r2], %r1; bar.sync 0; @%p1 ld.shared.u32 %r6, [%r3]; bar.sync 0;
        @!%p1 st.shared.u32 [%r2], 7;"
    );
    passes(&case(64, right));
}

#[test]
fn two_writes() {
    let broken = shared!(
        "setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 32; or.pred %p1, %p1, %p2;\n@%p1 st.shared.u32 [%r5], %r1; // here"
    );
    fires(&case(64, broken), Kind::SharedRace, 32, None);
    passes(&case(64, shared!("st.shared.u32 [%r5], 3; bar.sync 0; ld.shared.u32 %r6, [%r5];")));
}

#[test]
fn lanes_of_one_warp_without_a_meeting() {
    let broken = shared!("st.shared.u32 [%r2], %r1;\nld.shared.u32 %r6, [%r4]; // here");
    fires(&case(32, broken), Kind::SharedRace, 0, None);
    passes(&case(32, shared!("st.shared.u32 [%r2], %r1; bar.warp.sync -1; ld.shared.u32 %r6, [%r4];")));
}

#[test]
fn an_atomic_and_a_read() {
    let broken = shared!(
        "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r5], 0; bar.sync 0; atom.shared.add.u32 %r6, [%r5], 1;
        setp.eq.u32 %p2, %r1, 63;\n@%p2 ld.shared.u32 %r7, [%r5]; // here"
    );
    fires(&case(64, broken), Kind::SharedRace, 63, None);
    passes(&case(
        64,
        shared!(
            "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r5], 0; bar.sync 0; atom.shared.add.u32 %r6, [%r5], 1;
            bar.sync 0; ld.shared.u32 %r7, [%r5];"
        ),
    ));
}

#[test]
fn bytes_beside_each_other_are_no_race() {
    passes(&case(
        64,
        shared!("cvt.u16.u32 %h1, %r1; add.u32 %r6, %r5, %r1; st.shared.u8 [%r6], %h1; ld.shared.u8 %h2, [%r6];"),
    ));
}

#[test]
fn a_tree_of_sums_is_right_with_its_barriers() {
    let body = shared!(
        "st.shared.u32 [%r2], %r1; bar.sync 0; mov.u32 %r6, 32;
        again: setp.ge.u32 %p1, %r1, %r6; @%p1 bra skip;
        shl.b32 %r7, %r6, 2; add.u32 %r8, %r2, %r7; ld.shared.u32 %r9, [%r8]; ld.shared.u32 %r10, [%r2];
        add.u32 %r9, %r9, %r10; st.shared.u32 [%r2], %r9;
        skip: bar.sync 0; shr.u32 %r6, %r6, 1; setp.ne.u32 %p2, %r6, 0; @%p2 bra again;"
    );
    assert_eq!(passes(&case(64, body)).barriers, 7);
}
