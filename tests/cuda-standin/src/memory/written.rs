//! One bit for each byte of a block: whether anything wrote it.

/// Which bytes were written.
#[derive(Debug)]
pub(crate) struct Written {
    words: Vec<u64>,
    /// How many were not; at zero nothing needs to be looked up.
    missing: usize,
}

impl Written {
    /// None of `len` bytes.
    pub(crate) fn nothing(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], missing: len }
    }

    /// All bytes were.
    pub(crate) fn complete(&self) -> bool {
        self.missing == 0
    }

    /// Marks bytes as written.
    pub(crate) fn mark(&mut self, at: usize, len: usize) {
        if self.missing == 0 {
            return;
        }
        for (index, mask) in masks(at, len) {
            self.missing -= (mask & !self.words[index]).count_ones() as usize;
            self.words[index] |= mask;
        }
    }

    /// The first byte of these that nothing wrote.
    pub(crate) fn first_missing(&self, at: usize, len: usize) -> Option<usize> {
        if self.missing == 0 {
            return None;
        }
        masks(at, len).find_map(|(index, mask)| {
            let open = mask & !self.words[index];
            (open != 0).then(|| index * 64 + open.trailing_zeros() as usize)
        })
    }

    /// Of each byte, whether it was.
    pub(crate) fn of(&self, at: usize, len: usize) -> impl Iterator<Item = bool> + '_ {
        (at..at + len).map(|byte| self.words[byte / 64] >> (byte % 64) & 1 == 1)
    }

    /// Says it of each byte anew.
    pub(crate) fn set(&mut self, at: usize, known: &[bool]) {
        for (byte, known) in (at..).zip(known) {
            let bit = 1 << (byte % 64);
            let had = self.words[byte / 64] & bit != 0;
            match (had, known) {
                (false, true) => self.missing -= 1,
                (true, false) => self.missing += 1,
                _ => continue,
            }
            self.words[byte / 64] ^= bit;
        }
    }
}

/// The words that hold these bits, each with a mask of them.
fn masks(at: usize, len: usize) -> impl Iterator<Item = (usize, u64)> {
    let end = at + len;
    let last = if len == 0 { at / 64 } else { end.div_ceil(64) };
    (at / 64..last).map(move |index| {
        let (from, to) = (at.max(index * 64) - index * 64, end.min(index * 64 + 64) - index * 64);
        (index, (u64::MAX >> (64 - (to - from))) << from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_across_words() {
        let mut written = Written::nothing(200);
        written.mark(60, 70);
        assert_eq!(written.first_missing(60, 71), Some(130));
        assert_eq!(written.first_missing(60, 70), None);
        assert_eq!(written.first_missing(0, 200), Some(0));
        written.mark(0, 200);
        assert!(written.complete());
        written.set(3, &[false, true]);
        assert_eq!(written.first_missing(0, 200), Some(3));
        assert_eq!(written.first_missing(3, 0), None);
    }
}
