//! Integers, bits and atomics.

use super::{INTEGERS, List, Space};
use crate::inputs::Kind::{B16, B32, B64, F16, F16x2, F32, F64};

pub(super) fn integer_ops(list: &mut List) {
    for (name, kind, bits) in INTEGERS.into_iter().filter(|(_, _, bits)| *bits > 8) {
        for op in ["add", "sub", "mul.lo", "mul.hi", "div", "rem", "min", "max"] {
            list.plain(format!("{op}.{name}"), &[kind, kind], bits);
        }
        list.plain(format!("mad.lo.{name}"), &[kind; 3], bits);
        list.plain(format!("mad.hi.{name}"), &[kind; 3], bits);
        list.plain(format!("sad.{name}"), &[kind; 3], bits);
        if bits < 64 {
            let wide = if bits == 16 { B32 } else { B64 };
            list.plain(format!("mul.wide.{name}"), &[kind, kind], bits * 2);
            list.plain(format!("mad.wide.{name}"), &[kind, kind, wide], bits * 2);
        }
        if name.starts_with('s') {
            list.plain(format!("abs.{name}"), &[kind], bits);
            list.plain(format!("neg.{name}"), &[kind], bits);
        }
        let comparisons: &[&str] = if name.starts_with('s') {
            &["eq", "ne", "lt", "le", "gt", "ge"]
        } else {
            &["eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"]
        };
        for comparison in comparisons {
            list.predicate(format!("setp.{comparison}.{name}"), &[kind, kind]);
        }
        list.plain(format!("set.lt.u32.{name}"), &[kind, kind], 32);
        list.plain(format!("set.ge.f32.{name}"), &[kind, kind], 32);
        if bits > 16 {
            list.plain(format!("bfind.{name}"), &[kind], 32);
            list.plain(format!("bfind.shiftamt.{name}"), &[kind], 32);
            list.plain(format!("bfe.{name}"), &[kind, B32, B32], bits);
        }
        list.plain(format!("shr.{name}"), &[kind, B32], bits);
        list.plain(format!("slct.{name}.s32"), &[kind, kind, B32], bits);
    }
    for (name, signed) in [("u32", false), ("s32", true)] {
        for op in ["mul24.lo", "mul24.hi"] {
            list.plain(format!("{op}.{name}"), &[B32, B32], 32);
        }
        for op in ["mad24.lo", "mad24.hi"] {
            list.plain(format!("{op}.{name}"), &[B32; 3], 32);
        }
        if signed {
            list.plain("add.sat.s32", &[B32, B32], 32);
            list.plain("sub.sat.s32", &[B32, B32], 32);
            list.plain("mad.hi.sat.s32", &[B32; 3], 32);
            list.plain("mad24.hi.sat.s32", &[B32; 3], 32);
        }
        for other in ["u32", "s32"] {
            list.plain(format!("dp4a.{name}.{other}"), &[B32; 3], 32);
            list.plain(format!("dp2a.lo.{name}.{other}"), &[B32; 3], 32);
            list.plain(format!("dp2a.hi.{name}.{other}"), &[B32; 3], 32);
        }
    }
    for ty in ["u32", "s32"] {
        list.add(
            format!("add.cc.{ty} addc.{ty}"),
            &[B32, B32],
            64,
            format!("add.cc.{ty} t, a, b; addc.{ty} u, a, 0; mov.b64 d, {{t, u}};"),
        );
        list.add(
            format!("add.cc.{ty} addc.cc.{ty} addc.{ty}"),
            &[B32, B32, B32],
            64,
            format!("add.cc.{ty} t, a, b; addc.cc.{ty} t, b, c; addc.{ty} u, 0, 0; mov.b64 d, {{t, u}};"),
        );
        list.add(
            format!("sub.cc.{ty} subc.{ty}"),
            &[B32, B32],
            64,
            format!("sub.cc.{ty} t, a, b; subc.{ty} u, b, 0; mov.b64 d, {{t, u}};"),
        );
        list.add(
            format!("sub.cc.{ty} subc.cc.{ty} subc.{ty}"),
            &[B32, B32, B32],
            64,
            format!("sub.cc.{ty} t, a, b; subc.cc.{ty} t, b, c; subc.{ty} u, 0, 0; mov.b64 d, {{t, u}};"),
        );
        list.add(
            format!("mad.lo.cc.{ty} madc.hi.{ty}"),
            &[B32, B32, B32],
            64,
            format!("mad.lo.cc.{ty} t, a, b, c; madc.hi.{ty} u, a, b, c; mov.b64 d, {{t, u}};"),
        );
        list.add(
            format!("mad.lo.cc.{ty} madc.hi.cc.{ty} addc.{ty}"),
            &[B32, B32, B32],
            64,
            format!("mad.lo.cc.{ty} t, a, b, c; madc.hi.cc.{ty} t, a, b, c; addc.{ty} u, 0, 0; mov.b64 d, {{t, u}};"),
        );
        list.add(
            format!("mad.hi.cc.{ty} madc.lo.cc.{ty} addc.{ty}"),
            &[B32, B32, B32],
            64,
            format!("mad.hi.cc.{ty} t, a, b, c; madc.lo.cc.{ty} t, b, c, a; addc.{ty} u, 0, 0; mov.b64 d, {{t, u}};"),
        );
    }
    list.add("add.cc.u64 addc.u64", &[B64, B64], 64, "add.cc.u64 x, a, b; addc.u64 d, x, 0;");
    list.add("sub.cc.u64 subc.u64", &[B64, B64], 64, "sub.cc.u64 x, a, b; subc.u64 d, x, 0;");
    list.plain("abs.s64", &[B64], 64);
}

pub(super) fn bit_ops(list: &mut List) {
    for (name, kind, bits) in [("b16", B16, 16), ("b32", B32, 32), ("b64", B64, 64)] {
        for op in ["and", "or", "xor"] {
            list.plain(format!("{op}.{name}"), &[kind, kind], bits);
        }
        list.plain(format!("not.{name}"), &[kind], bits);
        list.plain(format!("cnot.{name}"), &[kind], bits);
        list.plain(format!("shl.{name}"), &[kind, B32], bits);
        list.plain(format!("shr.{name}"), &[kind, B32], bits);
        if bits > 16 {
            list.plain(format!("popc.{name}"), &[kind], 32);
            list.plain(format!("clz.{name}"), &[kind], 32);
            list.plain(format!("brev.{name}"), &[kind], bits);
            // Insert `a` into the complement of itself at `b` with length `c`.
            list.add(
                format!("bfi.{name}"),
                &[kind, B32, B32],
                bits,
                format!("not.{name} {n}, a; bfi.{name} d, a, {n}, b, c;", n = if bits == 32 { "t" } else { "x" }),
            );
        }
    }
    for lut in [0x00, 0x01, 0x1E, 0x2D, 0x40, 0x78, 0x80, 0x96, 0xCA, 0xE8, 0xF8, 0xFE, 0xFF] {
        list.add(format!("lop3.b32 {lut:#04x}"), &[B32; 3], 32, format!("lop3.b32 d, a, b, c, {lut};"));
    }
    for direction in ["l", "r"] {
        for mode in ["clamp", "wrap"] {
            list.plain(format!("shf.{direction}.{mode}.b32"), &[B32; 3], 32);
        }
    }
    list.plain("prmt.b32", &[B32; 3], 32);
    for mode in ["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"] {
        list.plain(format!("prmt.b32.{mode}"), &[B32; 3], 32);
    }
    list.add("fns.b32", &[B32, B32, B32], 32, "fns.b32 d, a, b, c;");
    for mode in ["clamp", "wrap"] {
        list.plain(format!("bmsk.{mode}.b32"), &[B32, B32], 32);
        list.plain(format!("szext.{mode}.u32"), &[B32, B32], 32);
        list.plain(format!("szext.{mode}.s32"), &[B32, B32], 32);
    }
    list.add("mov.b32 from two b16", &[B16, B16], 32, "mov.b32 d, {a, b};");
    list.add("mov.b64 from two b32", &[B32, B32], 64, "mov.b64 d, {a, b};");
    list.add("mov.b64 to two b32, swapped", &[B64], 64, "mov.b64 {t, u}, a; mov.b64 d, {u, t};");
    for (name, kind, bits) in [("b16", B16, 16), ("b32", B32, 32), ("b64", B64, 64)] {
        list.predicate(format!("setp.eq.{name}"), &[kind, kind]);
        list.predicate(format!("setp.ne.{name}"), &[kind, kind]);
        list.add(
            format!("selp.{name}"),
            &[kind, kind],
            bits,
            format!("setp.gt.u{bits} p, a, b; selp.{name} d, a, b, p;"),
        );
    }
    list.add("selp.f32", &[F32, F32], 32, "setp.gt.f32 p, a, b; selp.f32 d, a, b, p;");
    list.add("selp.f64", &[F64, F64], 64, "setp.gt.f64 p, a, b; selp.f64 d, a, b, p;");
    for op in ["and", "or", "xor"] {
        list.add(
            format!("{op}.pred"),
            &[B32, B32],
            32,
            format!("setp.lt.u32 p, a, 64; setp.lt.u32 q, b, 64; {op}.pred p, p, q; selp.b32 d, 1, 0, p;"),
        );
    }
    list.add("not.pred", &[B32], 32, "setp.lt.u32 p, a, 64; not.pred p, p; selp.b32 d, 1, 0, p;");
    for narrow in ["s8", "u8", "s16", "u16"] {
        list.add(
            format!("ld.shared.{narrow} into 32 bits"),
            &[B32],
            32,
            format!(
                "mov.u32 t, slots; shl.b32 u, g, 3; add.u32 t, t, u; st.shared.b32 [t], a; ld.shared.{narrow} d, [t+2];"
            ),
        );
        list.add(
            format!("ld.shared.{narrow} into 64 bits"),
            &[B32],
            64,
            format!(
                "mov.u32 t, slots; shl.b32 u, g, 3; add.u32 t, t, u; st.shared.b32 [t], a; ld.shared.{narrow} d, [t];"
            ),
        );
        list.add(format!("st.shared.{narrow} of 32 bits"), &[B32], 32, format!("mov.u32 t, slots; shl.b32 u, g, 3; add.u32 t, t, u; st.shared.b32 [t], 0; st.shared.{narrow} [t+2], a; ld.shared.b32 d, [t];"));
    }
    list.add(
        "shared and back, b32",
        &[B32],
        32,
        "mov.u32 t, slots; shl.b32 u, g, 3; add.u32 t, t, u; st.shared.b32 [t], a; ld.shared.b32 d, [t];",
    );
}

pub(super) fn atomics(list: &mut List) {
    for space in [Space::Global, Space::Shared] {
        for ty in ["u32", "s32"] {
            for op in ["add", "min", "max"] {
                list.atomic(space, &format!("{op}.{ty}"), B32, "b");
            }
        }
        for op in ["inc.u32", "dec.u32", "exch.b32", "and.b32", "or.b32", "xor.b32"] {
            list.atomic(space, op, B32, "b");
        }
        for op in ["add.u64", "min.u64", "max.u64", "min.s64", "max.s64", "exch.b64", "and.b64", "or.b64", "xor.b64"] {
            list.atomic(space, op, B64, "b");
        }
        list.atomic(space, "cas.b32", B32, "b, c");
        list.atomic(space, "cas.b64", B64, "b, c");
        list.atomic(space, "cas.b16", B16, "b, c");
        list.atomic(space, "add.f32", F32, "b");
        list.atomic(space, "add.f64", F64, "b");
        list.atomic(space, "add.noftz.f16", F16, "b");
        list.atomic(space, "add.noftz.f16x2", F16x2, "b");
    }
}
