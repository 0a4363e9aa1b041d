//! Half precision from and to what the machine has.

pub(crate) fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = value.abs();
    if magnitude.is_nan() {
        return 0x7FFF;
    }
    if magnitude >= 65520.0 {
        return sign | 0x7C00;
    }
    // The spacing of halves near the value; dividing by it is exact, and rounds to even by adding 1.5·2^23.
    let exponent = ((bits >> 23 & 0xFF) as i32 - 127).max(-14);
    let units = (f64::from(magnitude) * 2f64.powi(10 - exponent)).round_ties_even() as u32;
    let biased = (exponent + 14) as u32;
    sign | (biased * 1024 + units) as u16
}

pub(crate) fn from_half(half: u16) -> f64 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(half >> 10 & 31), f64::from(half & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}
