//! What lanes of a warp make of each other's values. Pure: masks and rows in, masks and rows out.

use crate::arith::{LANES, Row};
use crate::program::instruction::{Shuffle, Vote};

use super::lanes::each;

/// The lane that a lane reads from, and whether that is within its part of the warp.
pub(super) fn source(mode: Shuffle, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (b, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let most = (lane & segment) | (clamp & !segment);
    let (from, within) = match mode {
        Shuffle::Up => (lane.wrapping_sub(b), lane.wrapping_sub(b).cast_signed() >= most.cast_signed()),
        Shuffle::Down => (lane + b, lane + b <= most),
        Shuffle::Butterfly => (lane ^ b, lane ^ b <= most),
        Shuffle::Index => {
            let from = (lane & segment) | (b & !segment);
            (from, from <= most)
        }
    };
    if within { (from & 31, true) } else { (lane, false) }
}

/// The answer of a vote among the lanes that take part; a ballot's is the mask itself.
pub(super) fn vote(vote: Vote, truth: u32, present: u32) -> u32 {
    let yes = truth & present;
    let holds = match vote {
        Vote::All => yes == present,
        Vote::Any => yes != 0,
        Vote::Uniform => yes == 0 || yes == present,
        Vote::Ballot => return yes,
    };
    if holds { u32::MAX } else { 0 }
}

/// `match`: for each lane the lanes with the same value, and whether all have it.
pub(super) fn matches(values: &Row, present: u32, all: bool) -> (Row, bool) {
    let mut found = [0; LANES];
    for lane in each(present) {
        let same = each(present).filter(|other| values[*other] == values[lane]).fold(0, |mask, it| mask | 1 << it);
        found[lane] = same;
    }
    let uniform = each(present).all(|lane| found[lane] == u64::from(present));
    if all && !uniform {
        found = [0; LANES];
    }
    (found, uniform)
}
