//! What an opcode with its modifiers means: the operation, and the types of its operands. Knows no registers.

mod float;
mod integer;

use crate::arith::Pure;
use crate::ptx::Type;

use super::modifiers::Modifiers;

/// Every instruction of PTX, up to its first dot: what is none is an error, and the others may be unsupported.
const INSTRUCTIONS: &str = " abs activemask add addc alloca and applypriority atom bar barrier bfe bfi bfind bmsk bra brev \
    brkpt brx call clusterlaunchcontrol clz cnot copysign cos cp createpolicy cvt cvta discard div dp2a dp4a elect ex2 exit \
    fence fma fns getctarank griddepcontrol isspacep istypep ld ldmatrix ldu lg2 lop3 mad mad24 madc mapa match max mbarrier \
    membar min mma mov movmatrix mul mul24 multimem nanosleep neg not or pmevent popc prefetch prefetchu prmt rcp red redux \
    rem ret rsqrt sad selp set setmaxnreg setp shf shfl shl shr sin slct sqrt st stackrestore stacksave stmatrix sub subc \
    suld suq sured sust szext tanh tcgen05 tensormap testp tex tld4 trap txq vabsdiff vabsdiff2 vabsdiff4 vadd vadd2 vadd4 \
    vavrg2 vavrg4 vmad vmax vmax2 vmax4 vmin vmin2 vmin4 vote vset vset2 vset4 vshl vshr vsub vsub2 vsub4 wgmma wmma xor ";

/// Whether PTX has an instruction of this name, for whatever device.
pub(super) fn is_instruction(opcode: &str) -> bool {
    INSTRUCTIONS.split_whitespace().any(|it| it == opcode)
}

/// An operation on values only.
pub(super) struct Shape {
    pub(super) run: Pure,
    pub(super) to: Type,
    pub(super) from: Vec<Type>,
}

fn shape(run: Pure, to: Type, from: &[Type]) -> Shape {
    Shape { run, to, from: from.to_vec() }
}

/// The operation, if it is one on values and known.
pub(super) fn operation(opcode: &str, modifiers: &Modifiers<'_>) -> Option<Shape> {
    // A type that is a float makes it another instruction of the same name.
    let try_with = |decode: fn(&str, &mut Modifiers<'_>) -> Option<Shape>| {
        let mut modifiers = modifiers.clone();
        decode(opcode, &mut modifiers).filter(|_| modifiers.done())
    };
    try_with(integer::arithmetic).or_else(|| try_with(integer::bits)).or_else(|| try_with(float::arithmetic))
}
