//! cuRAND's default generator, XORWOW with 4096 subsequences, so that a seed gives here what it gives on a card.
//!
//! Element i is the (i ÷ 4096)th of subsequence i mod 4096: a *row* holds the next element of every subsequence.

pub(crate) mod abi;
mod numbers;
mod xorwow;

use numbers::Draw;
use xorwow::{Row, Rows};

/// A generator as a caller made it.
#[derive(Debug)]
pub(crate) struct Generator {
    pub(crate) stream: u64,
    seed: u64,
    /// The next element's number.
    position: u64,
    /// The rows behind `position`, as far as they were made.
    rows: Option<Rows>,
}

/// The seed of a generator that was given none.
const SEED: u64 = 0;

impl Generator {
    pub(crate) fn new() -> Self {
        Self { stream: 0, seed: SEED, position: 0, rows: None }
    }

    pub(crate) fn set_seed(&mut self, seed: u64) {
        *self = Self { stream: self.stream, ..Self::new() };
        self.seed = seed;
    }

    /// Elements before `offset` are passed over.
    pub(crate) fn set_offset(&mut self, offset: u64) {
        self.position = offset;
        self.rows = None;
    }

    /// The next `count` numbers of a sort, little endian.
    fn draw(&mut self, draw: Draw, count: usize) -> Vec<u8> {
        let (rows, per_row) = draw.takes();
        let mut out = Vec::with_capacity(count * draw.width());
        let mut group: Vec<Row> = Vec::new();
        let mut group_number = u64::MAX;
        let end = self.position + count as u64;
        while self.position < end {
            let number = self.position / per_row;
            if number != group_number {
                group = (0..rows).map(|row| self.row(number * rows + row)).collect();
                group_number = number;
            }
            let last = end.min((number + 1) * per_row);
            let within = (self.position % per_row) as usize;
            draw.put(&group, within..within + (last - self.position) as usize, &mut out);
            self.position = last;
        }
        out
    }

    /// A row by its number. They are made in order; one before the last that was made begins anew.
    fn row(&mut self, number: u64) -> Row {
        let rows = self.rows.take().filter(|rows| rows.made() <= number + 1).unwrap_or_else(|| Rows::of(self.seed));
        self.rows.insert(rows).at(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANDLES_SEED: u64 = 299_792_458;

    fn generator(seed: u64) -> Generator {
        let mut generator = Generator::new();
        generator.set_seed(seed);
        generator
    }

    fn recorded(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/recorded/curand/{name}.bin", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn bits_are_those_of_the_library() {
        for seed in [CANDLES_SEED, 0, 1, u64::MAX] {
            let want = recorded(&format!("{seed}-bits"));
            assert!(generator(seed).draw(Draw::Bits, want.len() / 4) == want, "seed {seed}");
        }
    }

    #[test]
    fn uniform_numbers_are_those_of_the_library() {
        let want = recorded("299792458-uniform");
        assert!(generator(CANDLES_SEED).draw(Draw::Uniform, want.len() / 4) == want);
        let want = recorded("299792458-uniform-double");
        assert!(generator(CANDLES_SEED).draw(Draw::UniformDouble, want.len() / 8) == want);
    }

    #[test]
    fn several_calls_go_on_where_the_last_ended() {
        let mut generator = generator(CANDLES_SEED);
        let parts: Vec<u8> = [1000, 24, 7, 1].iter().flat_map(|count| generator.draw(Draw::Uniform, *count)).collect();
        assert!(parts == recorded("299792458-uniform-1000-24-7-1"));
    }

    /// The card's sine and cosine are within 2^−21.4 and a normal is at most seven times that: not repeated to the bit.
    fn near(got: &[u8], want: &[u8]) {
        assert_eq!(got.len(), want.len());
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
        };
        for (index, (got, want)) in floats(got).iter().zip(floats(want)).enumerate() {
            assert!((got - want).abs() <= 4e-6, "{index}: {got} instead of {want}");
        }
    }

    #[test]
    fn normal_numbers_are_near_those_of_the_library() {
        for seed in [CANDLES_SEED, 0, 1, u64::MAX] {
            let want = recorded(&format!("{seed}-normal"));
            near(&generator(seed).draw(Draw::Normal { mean: 0.0, deviation: 1.0 }, want.len() / 4), &want);
        }
        let mut generator = generator(CANDLES_SEED);
        let draw = Draw::Normal { mean: 0.0, deviation: 1.0 };
        let parts: Vec<u8> = [1000, 24, 8, 2].iter().flat_map(|count| generator.draw(draw, *count)).collect();
        near(&parts, &recorded("299792458-normal-1000-24-8-2"));
    }

    #[test]
    fn normal_doubles_are_near_those_of_the_library() {
        let want = recorded("299792458-normal-double");
        let got = generator(CANDLES_SEED).draw(Draw::NormalDouble { mean: 0.0, deviation: 1.0 }, want.len() / 8);
        for (got, want) in got.chunks_exact(8).zip(want.chunks_exact(8)) {
            let [got, want] = [got, want].map(|it| f64::from_le_bytes(it.try_into().unwrap()));
            assert!((got - want).abs() < 1e-14, "{got} instead of {want}");
        }
    }

    #[test]
    fn an_offset_passes_over_elements() {
        let all = generator(7).draw(Draw::Bits, 10_000);
        let mut later = generator(7);
        later.set_offset(5000);
        assert!(later.draw(Draw::Bits, 5000) == all[5000 * 4..]);
        later.set_offset(3);
        assert!(later.draw(Draw::Bits, 1) == all[12..16]);
    }
}
