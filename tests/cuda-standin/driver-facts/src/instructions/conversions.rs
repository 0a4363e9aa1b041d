//! Conversions between all kinds of numbers.

use super::{FLUSH, INTEGERS, List, ROUNDINGS, SATURATE};
use crate::inputs::Kind::{B32, F16, F32, F64};

const INTEGER_ROUNDINGS: [&str; 4] = ["rni", "rzi", "rmi", "rpi"];

pub(super) fn conversions(list: &mut List) {
    // Integer to integer. A narrow result is widened to the register, so it is recorded as 32 bits.
    for (to, _, to_bits) in INTEGERS {
        for (from, kind, from_bits) in INTEGERS {
            if to == from {
                continue;
            }
            // ptxas refuses `.sat` where every value of the source fits.
            let (to_signed, from_signed) = (to.starts_with('s'), from.starts_with('s'));
            let fits = match (to_signed, from_signed) {
                (true, false) => to_bits > from_bits,
                (false, true) => false,
                _ => to_bits >= from_bits,
            };
            for sat in &SATURATE[..if fits { 1 } else { 2 }] {
                list.plain(format!("cvt{sat}.{to}.{from}"), &[kind], to_bits.max(32));
            }
        }
    }
    for (integer, kind, bits) in INTEGERS {
        for (float, float_kind, float_bits) in [("f16", F16, 16), ("f32", F32, 32), ("f64", F64, 64)] {
            for rounding in ROUNDINGS {
                list.plain(format!("cvt.{rounding}.{float}.{integer}"), &[kind], float_bits);
            }
            for rounding in INTEGER_ROUNDINGS {
                list.plain(format!("cvt.{rounding}.{integer}.{float}"), &[float_kind], bits.max(32));
            }
            if float == "f32" {
                list.plain(format!("cvt.rzi.ftz.{integer}.{float}"), &[float_kind], bits.max(32));
                list.plain(format!("cvt.rpi.ftz.{integer}.{float}"), &[float_kind], bits.max(32));
            }
            if float == "f32" && bits <= 32 {
                list.plain(format!("cvt.rni.sat.{integer}.{float}"), &[float_kind], 32);
            }
        }
    }
    for ftz in FLUSH {
        list.plain(format!("cvt{ftz}.f32.f16"), &[F16], 32);
        list.plain(format!("cvt{ftz}.f64.f32"), &[F32], 64);
        for sat in SATURATE {
            for rounding in ROUNDINGS {
                list.plain(format!("cvt.{rounding}{ftz}{sat}.f16.f32"), &[F32], 16);
                list.plain(format!("cvt.{rounding}{ftz}{sat}.f32.f64"), &[F64], 32);
            }
            for rounding in INTEGER_ROUNDINGS {
                list.plain(format!("cvt.{rounding}{ftz}{sat}.f32.f32"), &[F32], 32);
            }
            list.plain(format!("cvt{ftz}{sat}.f32.f32"), &[F32], 32);
        }
    }
    list.plain("cvt.f64.f16", &[F16], 64);
    list.plain("cvt.sat.f32.f16", &[F16], 32);
    list.plain("cvt.sat.f64.f64", &[F64], 64);
    list.plain("cvt.sat.f16.f16", &[F16], 16);
    for rounding in ROUNDINGS {
        list.plain(format!("cvt.{rounding}.f16.f64"), &[F64], 16);
    }
    for rounding in INTEGER_ROUNDINGS {
        list.plain(format!("cvt.{rounding}.f64.f64"), &[F64], 64);
        list.plain(format!("cvt.{rounding}.f16.f16"), &[F16], 16);
    }
    for to in ["u16", "s16"] {
        list.plain(format!("cvt.pack.sat.{to}.s32"), &[B32, B32], 32);
    }
    for to in ["u8", "s8"] {
        list.plain(format!("cvt.pack.sat.{to}.s32.b32"), &[B32; 3], 32);
    }
}
