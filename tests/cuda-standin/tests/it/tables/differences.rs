//! Where the interpreter and the card may differ, and why.

/// How an instruction is held against the card.
pub(super) enum Rule {
    /// Bit for bit.
    Exact,
    /// Another instruction does what the card did.
    Instead(&'static str),
    /// A NaN may carry another payload: PTX leaves it open.
    NanPayload,
    /// Approximate, relative to the card's value. PTX promises twice this of each of the two at most.
    Relative(f64),
    /// Approximate, absolutely or, of large results, by two units in the last place.
    Absolute(f64),
    /// As before, for arguments within two turns; beyond, nothing is promised.
    Angle(f64),
    /// Approximate in 16 bits, relatively or absolutely below one.
    Halves(f64),
    /// Approximate in 64 bits, relatively; NaN payloads are open.
    Doubles(f64),
    /// This offset has no absolute value.
    LowestOffset,
}

fn single(bits: u64) -> f64 {
    f64::from(f32::from_bits(bits as u32))
}

/// A 16-bit float, by its definition.
fn half(bits: u64) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 31, (bits & 0x3ff) as f64);
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent as i32 - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

fn near(found: f64, expected: f64, error: f64) -> bool {
    found == expected || (found - expected).abs() <= error * expected.abs()
}

fn both_nan(found: u64, expected: u64, fraction: u32, bits: u32) -> bool {
    let most = ((1u64 << (bits - 1 - fraction)) - 1) << fraction;
    let nan = |value: u64| value & (u64::MAX >> (65 - bits)) > most;
    nan(found) && nan(expected)
}

impl Rule {
    /// Whether a difference is one of these.
    pub(super) fn allows(&self, operands: &[u64], found: u64, expected: u64, width: usize) -> bool {
        match self {
            Self::Exact | Self::Instead(_) => false,
            Self::NanPayload => match width {
                2 => both_nan(found, expected, 10, 16),
                4 => both_nan(found, expected, 23, 32),
                _ => both_nan(found, expected, 52, 64),
            },
            Self::Relative(error) => {
                // Around the smallest normal number, flushed before rounding or after.
                let edge = found & 0x7fff_ffff == 0x0080_0000 && expected & 0x7fff_ffff == 0;
                let (found, expected) = (single(found), single(expected));
                edge || near(found, expected, *error) || (found - expected).abs() <= f64::from(f32::from_bits(1))
            }
            Self::Absolute(error) => {
                let (found, expected) = (single(found), single(expected));
                (found - expected).abs() <= *error || near(found, expected, 2f64.powi(-22))
            }
            Self::Angle(error) => {
                single(operands[0]).abs() > 4.0 * std::f64::consts::PI
                    || (single(found) - single(expected)).abs() <= *error
            }
            Self::Halves(error) => (0..width / 2).all(|index| {
                let (found, expected) = (half(found >> (16 * index)), half(expected >> (16 * index)));
                found.is_nan() && expected.is_nan()
                    || (found - expected).abs() <= error * expected.abs().max(1.0)
                    || found == expected
            }),
            Self::Doubles(error) => {
                both_nan(found, expected, 52, 64) || near(f64::from_bits(found), f64::from_bits(expected), *error)
            }
            Self::LowestOffset => operands[2] == 0x8000_0000,
        }
    }
}

/// The rule of an instruction, by its recorded name.
pub(super) fn rule(name: &str) -> Rule {
    match name {
        // The assembler fused them in every row. Here each rounds, which PTX allows as well.
        "mul.f32 add.f32" => Rule::Instead("fma.rn.f32 d, a, b, c;"),
        "mul.f32 sub.f32" => Rule::Instead("neg.f32 t, c; fma.rn.f32 d, a, b, t;"),
        "mul.f64 add.f64" => Rule::Instead("fma.rn.f64 d, a, b, c;"),
        "mul.f16 add.f16" => Rule::Instead("fma.rn.f16 d, a, b, c;"),
        "mul.f16x2 add.f16x2" => Rule::Instead("fma.rn.f16x2 d, a, b, c;"),
        "abs.f64" | "neg.f64" => Rule::NanPayload,
        "atom.global.add.f64" | "atom.shared.add.f64" => Rule::NanPayload,
        "fns.b32" => Rule::LowestOffset,
        "rcp.approx.ftz.f64" | "rsqrt.approx.ftz.f64" => Rule::Doubles(2f64.powi(-19)),
        "rsqrt.approx.f64" => Rule::Doubles(2f64.powi(-22)),
        _ if name.starts_with("cvt.") && floats_only(name) => Rule::NanPayload,
        _ => approximate(name).unwrap_or(Rule::Exact),
    }
}

/// A conversion between floats.
fn floats_only(name: &str) -> bool {
    name.split('.').filter(|word| matches!(*word, "f16" | "f32" | "f64")).count() == 2
}

fn approximate(name: &str) -> Option<Rule> {
    let ulp = 2f64.powi(-23);
    let stem = name.split('.').next()?;
    let half = name.ends_with("f16") || name.ends_with("f16x2");
    if !name.contains(".approx") && !name.contains(".full") {
        return None;
    }
    Some(match stem {
        "tanh" if half => Rule::Halves(2f64.powi(-10)),
        "ex2" if half => Rule::Halves(2f64.powi(-9)),
        "div" => Rule::Relative(4.0 * ulp),
        "rcp" | "sqrt" => Rule::Relative(2.0 * ulp),
        "rsqrt" | "ex2" => Rule::Relative(4.0 * ulp),
        "tanh" => Rule::Relative(2f64.powi(-10)),
        "lg2" => Rule::Absolute(2f64.powi(-21)),
        "sin" | "cos" => Rule::Angle(2f64.powi(-19)),
        _ => return None,
    })
}
