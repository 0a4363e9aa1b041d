//! Arithmetic and comparisons of floating-point numbers.

use super::{FLUSH, List, ROUNDINGS, SATURATE};
use crate::inputs::Kind::{B32, F16, F16x2, F32, F64};

const FLOAT_COMPARISONS: [&str; 14] =
    ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"];

pub(super) fn f32_ops(list: &mut List) {
    for ftz in FLUSH {
        for rounding in ROUNDINGS {
            for sat in SATURATE {
                for op in ["add", "sub", "mul"] {
                    list.plain(format!("{op}.{rounding}{ftz}{sat}.f32"), &[F32, F32], 32);
                }
                list.plain(format!("fma.{rounding}{ftz}{sat}.f32"), &[F32; 3], 32);
            }
            list.plain(format!("div.{rounding}{ftz}.f32"), &[F32, F32], 32);
            list.plain(format!("rcp.{rounding}{ftz}.f32"), &[F32], 32);
            list.plain(format!("sqrt.{rounding}{ftz}.f32"), &[F32], 32);
        }
        for op in ["add", "mul"] {
            list.plain(format!("{op}{ftz}.f32"), &[F32, F32], 32);
        }
        list.plain(format!("mad.rn{ftz}.f32"), &[F32; 3], 32);
        list.plain(format!("div.approx{ftz}.f32"), &[F32, F32], 32);
        list.plain(format!("div.full{ftz}.f32"), &[F32, F32], 32);
        for op in ["rcp", "sqrt", "rsqrt", "sin", "cos", "lg2", "ex2"] {
            list.plain(format!("{op}.approx{ftz}.f32"), &[F32], 32);
        }
        for op in ["abs", "neg"] {
            list.plain(format!("{op}{ftz}.f32"), &[F32], 32);
        }
        for op in ["min", "max"] {
            list.plain(format!("{op}{ftz}.f32"), &[F32, F32], 32);
        }
        for comparison in FLOAT_COMPARISONS {
            list.predicate(format!("setp.{comparison}{ftz}.f32"), &[F32, F32]);
        }
        for comparison in ["lt", "neu"] {
            list.plain(format!("set.{comparison}{ftz}.u32.f32"), &[F32, F32], 32);
            list.plain(format!("set.{comparison}{ftz}.f32.f32"), &[F32, F32], 32);
        }
        list.plain(format!("slct{ftz}.f32.f32"), &[F32; 3], 32);
    }
    list.plain("tanh.approx.f32", &[F32], 32);
    list.plain("sub.f32", &[F32, F32], 32);
    // Without a rounding the assembler may fuse the two; with one it must not.
    list.add("mul.f32 add.f32", &[F32; 3], 32, "mul.f32 t, a, b; add.f32 d, t, c;");
    list.add("mul.f32 sub.f32", &[F32; 3], 32, "mul.f32 t, a, b; sub.f32 d, t, c;");
    list.add("mul.rn.f32 add.rn.f32", &[F32; 3], 32, "mul.rn.f32 t, a, b; add.rn.f32 d, t, c;");
    list.add("mul.rn.f32 add.f32", &[F32; 3], 32, "mul.rn.f32 t, a, b; add.f32 d, t, c;");
    list.plain("copysign.f32", &[F32, F32], 32);
    for what in ["finite", "infinite", "number", "notanumber", "normal", "subnormal"] {
        list.predicate(format!("testp.{what}.f32"), &[F32]);
    }
    list.plain("slct.f32.s32", &[F32, F32, B32], 32);
    list.add("setp.lt.and.f32", &[F32, F32], 32, "setp.lt.f32 q, b, 0f3F800000; setp.lt.and.f32 p|q, a, b, q; selp.b32 d, 1, 0, p; selp.b32 t, 2, 0, q; or.b32 d, d, t;");
    list.add("setp.gt.xor.f32", &[F32, F32], 32, "setp.lt.f32 q, b, 0f3F800000; setp.gt.xor.f32 p|q, a, b, !q; selp.b32 d, 1, 0, p; selp.b32 t, 2, 0, q; or.b32 d, d, t;");
}

pub(super) fn f64_ops(list: &mut List) {
    for rounding in ROUNDINGS {
        for op in ["add", "sub", "mul", "div"] {
            list.plain(format!("{op}.{rounding}.f64"), &[F64, F64], 64);
        }
        list.plain(format!("fma.{rounding}.f64"), &[F64; 3], 64);
        list.plain(format!("rcp.{rounding}.f64"), &[F64], 64);
        list.plain(format!("sqrt.{rounding}.f64"), &[F64], 64);
    }
    for op in ["add", "sub", "mul"] {
        list.plain(format!("{op}.f64"), &[F64, F64], 64);
    }
    list.add("mul.f64 add.f64", &[F64; 3], 64, "mul.f64 x, a, b; add.f64 d, x, c;");
    list.plain("rcp.approx.ftz.f64", &[F64], 64);
    list.plain("rsqrt.approx.f64", &[F64], 64);
    list.plain("rsqrt.approx.ftz.f64", &[F64], 64);
    for op in ["abs", "neg"] {
        list.plain(format!("{op}.f64"), &[F64], 64);
    }
    for op in ["min", "max", "copysign"] {
        list.plain(format!("{op}.f64"), &[F64, F64], 64);
    }
    for comparison in FLOAT_COMPARISONS {
        list.predicate(format!("setp.{comparison}.f64"), &[F64, F64]);
    }
    for what in ["finite", "infinite", "number", "notanumber", "normal", "subnormal"] {
        list.predicate(format!("testp.{what}.f64"), &[F64]);
    }
}

pub(super) fn f16_ops(list: &mut List) {
    list.add("mul.f16 add.f16", &[F16; 3], 16, "{ .reg .b16 h; mul.f16 h, a, b; add.f16 d, h, c; }");
    list.add("mul.f16x2 add.f16x2", &[F16x2; 3], 32, "mul.f16x2 t, a, b; add.f16x2 d, t, c;");
    for (suffix, kind) in [("f16", F16), ("f16x2", F16x2)] {
        let bits = kind.bits();
        for ftz in FLUSH {
            for sat in SATURATE {
                for op in ["add", "sub", "mul"] {
                    list.plain(format!("{op}{ftz}{sat}.{suffix}"), &[kind, kind], bits);
                }
                list.plain(format!("fma.rn{ftz}{sat}.{suffix}"), &[kind; 3], bits);
            }
            for op in ["abs", "neg"] {
                list.plain(format!("{op}{ftz}.{suffix}"), &[kind], bits);
            }
        }
        list.plain(format!("add.rn.{suffix}"), &[kind, kind], bits);
        for op in ["tanh.approx", "ex2.approx"] {
            list.plain(format!("{op}.{suffix}"), &[kind], bits);
        }
    }
    for ftz in FLUSH {
        for comparison in FLOAT_COMPARISONS {
            list.predicate(format!("setp.{comparison}{ftz}.f16"), &[F16, F16]);
            list.add(
                format!("setp.{comparison}{ftz}.f16x2"),
                &[F16x2, F16x2],
                32,
                format!(
                    "setp.{comparison}{ftz}.f16x2 p|q, a, b; selp.b32 d, 1, 0, p; selp.b32 t, 2, 0, q; or.b32 d, d, t;"
                ),
            );
        }
        for comparison in ["eq", "lt", "neu"] {
            list.plain(format!("set.{comparison}{ftz}.f16.f16"), &[F16, F16], 16);
            list.plain(format!("set.{comparison}{ftz}.u32.f16"), &[F16, F16], 32);
            list.plain(format!("set.{comparison}{ftz}.f16x2.f16x2"), &[F16x2, F16x2], 32);
        }
    }
}
