//! XORWOW (Marsaglia 2003): five words shifted and a counter, in 4096 places of one sequence that are 2^67 steps apart.

use std::sync::LazyLock;

pub(super) const SUBSEQUENCES: usize = 4096;
/// The distance of two subsequences, as a power of two.
const DISTANCE: u32 = 67;
const WORDS: usize = 5;
const BITS: usize = WORDS * 32;
const COUNTER_STEP: u32 = 362_437;

type Words = [u32; WORDS];
/// The next element of every subsequence.
pub(super) type Row = Vec<u32>;

/// How the words after many steps come from those before: a matrix over bits, a column for each bit.
type Matrix = Vec<Words>;

/// The matrix of 2^67 steps. The counter comes round in that many, so the words alone are moved.
static JUMP: LazyLock<Matrix> = LazyLock::new(|| {
    let one: Matrix = (0..BITS)
        .map(|bit| {
            let mut words = [0; WORDS];
            words[bit / 32] = 1 << (bit % 32);
            step(&mut words);
            words
        })
        .collect();
    (0..DISTANCE).fold(one, |matrix, _| matrix.iter().map(|column| product(&matrix, *column)).collect())
});

fn product(matrix: &Matrix, words: Words) -> Words {
    let mut sum = [0; WORDS];
    for (bit, column) in matrix.iter().enumerate() {
        if words[bit / 32] >> (bit % 32) & 1 == 1 {
            (0..WORDS).for_each(|word| sum[word] ^= column[word]);
        }
    }
    sum
}

fn step(words: &mut Words) {
    let first = words[0] ^ words[0] >> 2;
    words.rotate_left(1);
    words[4] = words[3] ^ words[3] << 4 ^ first ^ first << 1;
}

/// The rows of one seed, made in order.
#[derive(Debug)]
pub(super) struct Rows {
    places: Vec<Words>,
    counter: u32,
    made: u64,
    last: Row,
}

impl Rows {
    pub(super) fn of(seed: u64) -> Self {
        let low = 1_099_087_573u32.wrapping_mul(seed as u32 ^ 0xAAD2_6B49);
        let high = 2_591_861_531u32.wrapping_mul((seed >> 32) as u32 ^ 0xF7DC_EFDD);
        let first: Words = [
            123_456_789u32.wrapping_add(low),
            362_436_069 ^ low,
            521_288_629u32.wrapping_add(high),
            88_675_123 ^ high,
            5_783_321u32.wrapping_add(low),
        ];
        let counter = 6_615_241u32.wrapping_add(high).wrapping_add(low);
        let places =
            std::iter::successors(Some(first), |words| Some(product(&JUMP, *words))).take(SUBSEQUENCES).collect();
        Self { places, counter, made: 0, last: Vec::new() }
    }

    /// How many rows were made.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// The row of that number, which is the last one made or a later one.
    pub(super) fn at(&mut self, number: u64) -> Row {
        while self.made <= number {
            self.counter = self.counter.wrapping_add(COUNTER_STEP);
            let counter = self.counter;
            self.last = self
                .places
                .iter_mut()
                .map(|words| {
                    step(words);
                    words[4].wrapping_add(counter)
                })
                .collect();
            self.made += 1;
        }
        self.last.clone()
    }
}
