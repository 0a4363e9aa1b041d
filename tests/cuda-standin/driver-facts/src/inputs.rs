//! The operands of the instruction tables: every pair (or triple) of edge cases, then pseudo-random ones.

mod edges;
mod half;

use std::fmt;

use edges::{edges, few_edges};
pub(crate) use half::{from_half, to_half};

/// How many pseudo-random operands follow the edge cases.
pub(crate) const RANDOM: usize = 4096;

/// What an operand holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    F16,
    /// Two halves in a word.
    F16x2,
    F32,
    F64,
    B16,
    B32,
    B64,
}

impl Kind {
    pub(crate) fn width(self) -> usize {
        match self {
            Kind::F16 | Kind::B16 => 2,
            Kind::F16x2 | Kind::F32 | Kind::B32 => 4,
            Kind::F64 | Kind::B64 => 8,
        }
    }

    pub(crate) fn bits(self) -> usize {
        self.width() * 8
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::F16 => "f16",
            Kind::F16x2 => "f16x2",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
            Kind::B16 => "b16",
            Kind::B32 => "b32",
            Kind::B64 => "b64",
        })
    }
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A float in (-1, 1).
    pub(crate) fn unit(&mut self) -> f32 {
        ((self.next() >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }
}

fn mask(kind: Kind) -> u64 {
    if kind.width() == 8 { u64::MAX } else { (1 << kind.bits()) - 1 }
}

/// One pseudo-random operand: any bits, or a number of ordinary size.
fn random(kind: Kind, style: usize, rng: &mut Random) -> u64 {
    let bits = rng.next();
    if style < 2 {
        return bits & mask(kind);
    }
    let spread = rng.next() % 40;
    match kind {
        Kind::F16 => bits & 0x83FF | (5 + spread % 21) << 10,
        Kind::F16x2 => {
            let high = random(Kind::F16, style, rng);
            random(Kind::F16, style, rng) | high << 16
        }
        Kind::F32 => bits & 0x807F_FFFF | (107 + spread) << 23,
        Kind::F64 => bits & 0x800F_FFFF_FFFF_FFFF | (1003 + spread) << 52,
        Kind::B16 | Kind::B32 | Kind::B64 => (bits & mask(kind)) >> (rng.next() % kind.bits() as u64),
    }
}

/// The operands of one shape: a column for each place.
pub(crate) fn columns(kinds: &[Kind]) -> Vec<Vec<u64>> {
    let mut columns: Vec<Vec<u64>> = vec![Vec::new(); kinds.len()];
    let mut rng = Random::new(kinds.iter().fold(kinds.len() as u64, |seed, kind| seed * 16 + *kind as u64));
    match kinds {
        [kind] if kind.width() == 2 => {
            columns[0] = (0..=0xFFFF).collect();
            return columns;
        }
        [kind] => columns[0] = edges(*kind),
        [first, second] => {
            for a in edges(*first) {
                for b in edges(*second) {
                    columns[0].push(a);
                    columns[1].push(b);
                }
            }
        }
        [first, second, third] => {
            for a in few_edges(*first) {
                for b in few_edges(*second) {
                    for c in few_edges(*third) {
                        columns[0].push(a);
                        columns[1].push(b);
                        columns[2].push(c);
                    }
                }
            }
        }
        _ => unreachable!("an instruction has one to three operands"),
    }
    for index in 0..RANDOM {
        let style = index % 4;
        let mut row: Vec<u64> = kinds.iter().map(|kind| random(*kind, style, &mut rng)).collect();
        if style == 3 {
            related(kinds, &mut row, &mut rng);
        }
        columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    columns
}

/// Makes the last operand nearly cancel the others, where that means something.
fn related(kinds: &[Kind], row: &mut [u64], rng: &mut Random) {
    let nudge = rng.next() % 7;
    match kinds {
        [Kind::F32, Kind::F32] => row[1] = (row[0] ^ 0x8000_0000).wrapping_add(nudge) & 0xFFFF_FFFF,
        [Kind::F64, Kind::F64] => row[1] = (row[0] ^ 1 << 63).wrapping_add(nudge),
        [Kind::F16, Kind::F16] => row[1] = (row[0] ^ 0x8000).wrapping_add(nudge) & 0xFFFF,
        [Kind::F32, Kind::F32, Kind::F32] => {
            let product = f32::from_bits(row[0] as u32) * f32::from_bits(row[1] as u32);
            row[2] = (u64::from(product.to_bits()) ^ 0x8000_0000).wrapping_add(nudge) & 0xFFFF_FFFF;
        }
        [Kind::F64, Kind::F64, Kind::F64] => {
            let product = f64::from_bits(row[0]) * f64::from_bits(row[1]);
            row[2] = (product.to_bits() ^ 1 << 63).wrapping_add(nudge);
        }
        [Kind::F16, Kind::F16, Kind::F16] => {
            let product = from_half(row[0] as u16) * from_half(row[1] as u16);
            row[2] = (u64::from(to_half(product as f32)) ^ 0x8000).wrapping_add(nudge) & 0xFFFF;
        }
        _ => {}
    }
}
