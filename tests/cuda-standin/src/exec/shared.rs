//! Shared memory of a block, and who touched which piece of it since when: races and reads of what nobody wrote.

use crate::arith::LANES;

/// How a piece is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Read,
    /// Whether it leaves the bytes as they were: two threads that write the same are no race.
    Write {
        same: bool,
    },
    Atomic,
}

/// Who touches: warp, lane, and what the warp knows of its meetings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Toucher<'w> {
    pub(super) warp: u32,
    pub(super) lane: u32,
    pub(super) meetings: u32,
    pub(super) met: &'w [u32; LANES],
    /// The line of the PTX, for the other side of a race.
    pub(super) line: u32,
}

/// What is remembered of one piece.
#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    /// Epochs begin at 1.
    written: u32,
    writer: Writer,
    /// Another thread that wrote in the same epoch: atomics, and writes of the same value.
    earlier: Option<Writer>,
    read: u32,
    reader_warp: u32,
    /// Lanes of that warp.
    readers: u32,
    reader_meetings: u32,
    reader_line: u32,
    /// Lanes of more than one warp read it.
    many: bool,
}

/// Who wrote a piece.
#[derive(Debug, Clone, Copy, Default)]
struct Writer {
    warp: u32,
    lane: u32,
    meetings: u32,
    line: u32,
    atomic: bool,
}

impl Writer {
    /// The race with it, if nothing orders the two.
    fn race(&self, touch: Touch, who: Toucher<'_>) -> Option<Trouble> {
        let both_atomic = touch == Touch::Atomic && self.atomic;
        let own = self.warp == who.warp;
        let before = own && (self.lane == who.lane || ordered(who, self.lane, self.meetings));
        let other = Other { thread: self.warp * 32 + self.lane, line: self.line, wrote: true };
        (!both_atomic && !before).then_some(Trouble::Race(other))
    }
}

/// The other side of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) thread: u32,
    pub(super) line: u32,
    pub(super) wrote: bool,
}

/// What a touch shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Race(Other),
    Unwritten,
}

/// Shared memory.
pub(super) struct Shared {
    pub(super) bytes: Vec<u8>,
    pieces: Vec<Piece>,
    granule: usize,
    /// Grows at each barrier, and is never used by two blocks.
    epoch: u32,
    /// The first of this block.
    first: u32,
}

impl Shared {
    pub(super) fn new(len: usize, granule: u32) -> Self {
        let granule = granule.max(1) as usize;
        Self { bytes: vec![0; len], pieces: vec![Piece::default(); len.div_ceil(granule)], granule, epoch: 1, first: 1 }
    }

    /// Another block begins. The bytes stay: a real one finds what was left.
    pub(super) fn restart(&mut self) {
        self.pass_barrier();
        self.first = self.epoch;
    }

    /// All threads of the block met.
    pub(super) fn pass_barrier(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
    }

    /// Notes a touch of bytes that lie inside; answers the first trouble.
    pub(super) fn touch(&mut self, at: usize, len: usize, touch: Touch, who: Toucher<'_>) -> Option<Trouble> {
        let (epoch, first) = (self.epoch, self.first);
        let pieces = at / self.granule..(at + len).div_ceil(self.granule);
        let mut trouble = None;
        for piece in &mut self.pieces[pieces] {
            let found = piece.judge(touch, who, epoch, first);
            piece.note(touch, who, epoch);
            trouble = trouble.or(found);
        }
        trouble
    }
}

/// Whether something a lane of the same warp did at a meeting comes before what this lane does.
fn ordered(who: Toucher<'_>, lane: u32, meetings: u32) -> bool {
    who.met[who.lane as usize] > meetings && who.met[lane as usize] > meetings
}

impl Piece {
    fn judge(&self, touch: Touch, who: Toucher<'_>, epoch: u32, first: u32) -> Option<Trouble> {
        let writes = matches!(touch, Touch::Write { .. });
        if !writes && self.written < first {
            return Some(Trouble::Unwritten);
        }
        if touch == (Touch::Write { same: true }) {
            return None;
        }
        if self.written == epoch {
            let earlier = || self.earlier.and_then(|it| it.race(touch, who));
            if let Some(race) = self.writer.race(touch, who).or_else(earlier) {
                return Some(race);
            }
        }
        if touch == Touch::Read || self.read != epoch {
            return None;
        }
        let others = if self.reader_warp == who.warp { self.readers & !(1 << who.lane) } else { self.readers };
        let lane = others.trailing_zeros();
        if lane > 31 {
            return self.many.then_some(Trouble::Race(self.reader(who.lane ^ 1)));
        }
        let before = self.reader_warp == who.warp && ordered(who, lane, self.reader_meetings);
        (self.many || !before).then(|| Trouble::Race(self.reader(lane)))
    }

    fn reader(&self, lane: u32) -> Other {
        Other { thread: self.reader_warp * 32 + lane, line: self.reader_line, wrote: false }
    }

    fn note(&mut self, touch: Touch, who: Toucher<'_>, epoch: u32) {
        if touch != Touch::Read {
            let writer = Writer {
                warp: who.warp,
                lane: who.lane,
                meetings: who.meetings,
                line: who.line,
                atomic: touch == Touch::Atomic,
            };
            if self.written != epoch {
                self.earlier = None;
            } else if (self.writer.warp, self.writer.lane) != (who.warp, who.lane) {
                self.earlier = Some(self.writer);
            }
            (self.written, self.writer) = (epoch, writer);
            return;
        }
        if self.read != epoch {
            (self.read, self.many, self.readers) = (epoch, false, 0);
        } else if self.reader_warp != who.warp {
            (self.many, self.readers) = (true, 0);
        } else if self.reader_meetings != who.meetings {
            // Older readers of this warp are in order with whoever meets from here on.
            self.readers = 0;
        }
        self.readers |= 1 << who.lane;
        (self.reader_warp, self.reader_line, self.reader_meetings) = (who.warp, who.line, who.meetings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: [u32; LANES] = [0; LANES];

    fn who(warp: u32, lane: u32) -> Toucher<'static> {
        Toucher { warp, lane, meetings: 0, met: &NEVER, line: 7 }
    }

    const WRITE: Touch = Touch::Write { same: false };

    fn race(thread: u32, wrote: bool) -> Option<Trouble> {
        Some(Trouble::Race(Other { thread, line: 7, wrote }))
    }

    #[test]
    fn a_read_after_a_write_of_another_warp_is_a_race_until_a_barrier() {
        let mut shared = Shared::new(64, 4);
        assert_eq!(shared.touch(0, 4, WRITE, who(0, 1)), None);
        assert_eq!(shared.touch(0, 4, Touch::Read, who(0, 1)), None);
        assert_eq!(shared.touch(0, 4, Touch::Read, who(1, 0)), race(1, true));
        shared.pass_barrier();
        assert_eq!(shared.touch(0, 4, Touch::Read, who(1, 0)), None);
        assert_eq!(shared.touch(0, 4, WRITE, who(0, 3)), race(32, false));
    }

    #[test]
    fn atomics_do_not_race_with_each_other() {
        let mut shared = Shared::new(64, 4);
        shared.touch(0, 4, WRITE, who(0, 0));
        shared.pass_barrier();
        assert_eq!(shared.touch(0, 4, Touch::Atomic, who(0, 0)), None);
        assert_eq!(shared.touch(0, 4, Touch::Atomic, who(1, 0)), None);
        assert_eq!(shared.touch(0, 4, Touch::Read, who(2, 0)), race(32, true));
    }

    #[test]
    fn a_meeting_orders_lanes_of_one_warp() {
        let mut shared = Shared::new(64, 4);
        shared.touch(0, 4, WRITE, who(0, 0));
        assert_eq!(shared.touch(0, 4, Touch::Read, who(0, 1)), race(0, true));
        let met = [1; LANES];
        let later = Toucher { meetings: 1, met: &met, ..who(0, 1) };
        assert_eq!(shared.touch(0, 4, Touch::Read, later), None);
        assert_eq!(shared.touch(0, 4, WRITE, Toucher { lane: 2, ..later }), race(1, false));
    }

    #[test]
    fn what_another_block_wrote_counts_as_unwritten() {
        let mut shared = Shared::new(64, 4);
        shared.touch(0, 8, WRITE, who(0, 0));
        shared.restart();
        assert_eq!(shared.touch(4, 4, Touch::Read, who(0, 0)), Some(Trouble::Unwritten));
        shared.touch(4, 4, WRITE, who(0, 0));
        assert_eq!(shared.touch(4, 4, Touch::Read, who(0, 0)), None);
    }

    #[test]
    fn a_reader_after_its_own_atomic_races_with_the_others() {
        let mut shared = Shared::new(64, 4);
        shared.touch(0, 4, WRITE, who(0, 0));
        shared.pass_barrier();
        shared.touch(0, 4, Touch::Atomic, who(0, 0));
        shared.touch(0, 4, Touch::Atomic, who(1, 0));
        assert_eq!(shared.touch(0, 4, Touch::Read, who(1, 0)), race(0, true));
    }

    #[test]
    fn the_same_value_twice_is_no_race() {
        let mut shared = Shared::new(64, 4);
        shared.touch(0, 4, WRITE, who(0, 0));
        assert_eq!(shared.touch(0, 4, Touch::Write { same: true }, who(1, 0)), None);
        assert_eq!(shared.touch(0, 4, WRITE, who(2, 0)), race(32, true));
    }
}
