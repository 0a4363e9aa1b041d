//! A decoded instruction: registers are slots, names are gone.

use crate::arith::atomic::Atomic;
use crate::arith::carry::Carry;
use crate::arith::convert::Conversion;
use crate::arith::{Pure, Test};
use crate::ptx::Space;

/// A register, or a predicate register: which of the two its place says.
pub(crate) type Slot = u32;

/// No register is written.
pub(crate) const NOWHERE: Slot = u32::MAX;

/// Where an operand comes from: a register, or the table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source(u32);

impl Source {
    const CONSTANT: u32 = 1 << 31;
    /// The first constant is zero.
    pub(crate) const ZERO: Self = Self(Self::CONSTANT);

    pub(crate) fn register(slot: Slot) -> Self {
        Self(slot & !Self::CONSTANT)
    }

    pub(crate) fn constant(index: u32) -> Self {
        Self(index | Self::CONSTANT)
    }

    /// The register, or else the index of the constant.
    pub(crate) fn read(self) -> Result<usize, usize> {
        let index = (self.0 & !Self::CONSTANT) as usize;
        if self.0 & Self::CONSTANT == 0 { Ok(index) } else { Err(index) }
    }
}

/// A constant of a kernel; some are known only at a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Constant {
    Bits(u64),
    /// Bytes of a parameter; a signed one is extended to a register of `extend` bytes.
    Parameter {
        offset: u32,
        bytes: u32,
        extend: u32,
    },
    /// The address of a variable of the module, plus bytes.
    Variable {
        index: u32,
        add: u64,
    },
    /// An address in shared memory, after what the kernel names itself: dynamic shared memory.
    DynamicShared {
        add: u64,
    },
}

/// A predicate that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Predicate {
    pub(crate) slot: Slot,
    pub(crate) negated: bool,
}

/// How a comparison is joined with a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combine {
    Alone,
    And,
    Or,
    Xor,
}

impl Combine {
    pub(crate) fn apply(self, found: u32, with: u32) -> u32 {
        match self {
            Self::Alone => found,
            Self::And => found & with,
            Self::Or => found | with,
            Self::Xor => found ^ with,
        }
    }
}

/// A register that the hardware fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// Thread, block size, block, grid size: with the axis.
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    LaneId,
    WarpId,
    WarpCount,
    SmId,
    SmCount,
    GridId,
    MaskEqual,
    MaskLessEqual,
    MaskLess,
    MaskGreaterEqual,
    MaskGreater,
    /// Counts of instructions, not of time: low 32 bits, high 32 bits, all.
    ClockLow,
    ClockHigh,
    Clock,
    DynamicShared,
    TotalShared,
}

/// How lanes exchange values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// What a barrier answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduce {
    Nothing,
    Count,
    And,
    Or,
}

/// A memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// None is generic: the address says it.
    pub(crate) space: Option<Space>,
    /// Of an element.
    pub(crate) bytes: u32,
    /// Elements.
    pub(crate) count: u32,
    /// Bytes of the register that a signed element fills; zero for others.
    pub(crate) extend: u32,
    /// Added to the address.
    pub(crate) offset: i64,
    /// Orders other accesses of its thread, or is not to be seen as a race.
    pub(crate) strong: bool,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// `to[0] = run(from)`
    Pure(Pure),
    /// `to[0] = convert(from[0])`
    Convert(Conversion),
    /// `truths[0] = run(from) ∘ with[0]`, `truths[1]` the same of the inverse.
    Test(Test, Combine),
    /// `to[0]` is `yes` where the comparison holds.
    Set(Test, Combine, u64),
    /// `to[0] = with[0] ? from[0] : from[1]`
    Select,
    /// `truths[0] = f(with[0], with[1])`
    Logic(fn(u32, u32) -> u32),
    /// With the carry flag, which is written if the second says so.
    Carry(Carry, bool),
    Special(Special),
    /// `to[0]` is the elements of `from`, so many bits each.
    Pack {
        bits: u32,
        count: u32,
    },
    /// `to` are the pieces of `from[0]`.
    Unpack {
        bits: u32,
        count: u32,
    },
    /// From `from[0]` into `to`.
    Load(Access),
    /// `from[1..]` to `from[0]`.
    Store(Access),
    /// On `from[0]` with `from[1]`, `from[2]`; the old value goes to `to[0]`. In shared memory, and in global memory.
    Atomic(Access, [Atomic; 2]),
    /// `from[0]` is which, `from[1]` how many threads (zero: all), `with[0]` what is reduced.
    Barrier(Reduce),
    /// `from[0]` is the member mask.
    WarpBarrier,
    /// a, b, c, members.
    Shuffle(Shuffle),
    /// `with[0]`, `from[0]` members.
    Vote(Vote),
    /// `from[0]` values, `from[1]` members; all equal or groups of equals.
    Match {
        all: bool,
    },
    ActiveMask,
    Branch {
        target: u32,
    },
    Exit,
    Trap,
    /// Message, file, line, function.
    Assert,
    /// A call of what is no function.
    WildCall,
    /// More calls in calls than are followed.
    TooDeep,
    /// Format, arguments; `to[0]` is how many.
    Print,
    Nothing,
}

/// Where an instruction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// In the PTX.
    pub(crate) line: u32,
    /// In the source: file number and line, zeros if not known.
    pub(crate) source: (u32, u32),
}

/// An instruction and its operands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) op: Op,
    pub(crate) guard: Option<Predicate>,
    pub(crate) to: [Slot; 4],
    pub(crate) from: [Source; 5],
    pub(crate) truths: [Slot; 2],
    pub(crate) with: [Option<Predicate>; 2],
    pub(crate) place: Place,
}

/// Whether an operand is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    Write,
}

impl Instruction {
    pub(crate) fn new(op: Op, guard: Option<Predicate>, place: Place) -> Self {
        Self { op, guard, to: [NOWHERE; 4], from: [Source::ZERO; 5], truths: [NOWHERE; 2], with: [None; 2], place }
    }

    /// Visits every register, what is read first.
    pub(crate) fn registers(&mut self, mut visit: impl FnMut(&mut Slot, Role)) {
        for source in &mut self.from {
            if source.0 & Source::CONSTANT == 0 {
                visit(&mut source.0, Role::Read);
            }
        }
        self.to.iter_mut().filter(|it| **it != NOWHERE).for_each(|it| visit(it, Role::Write));
    }

    /// Visits every predicate, what is read first.
    pub(crate) fn predicates(&mut self, mut visit: impl FnMut(&mut Slot, Role)) {
        for predicate in self.guard.iter_mut().chain(self.with.iter_mut().flatten()) {
            visit(&mut predicate.slot, Role::Read);
        }
        self.truths.iter_mut().filter(|it| **it != NOWHERE).for_each(|it| visit(it, Role::Write));
    }

    /// The next instruction may not be the one below.
    pub(crate) fn ends_block(&self) -> bool {
        matches!(self.op, Op::Branch { .. } | Op::Exit | Op::Trap | Op::TooDeep)
    }
}
