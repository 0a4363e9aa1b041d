//! The plain version, one element at a time.
#![cfg(test)]

/// `dims` of the table are `[outer, size, inner]`; indices are within `-size..size`.
pub(super) fn gather(table: &[f32], [outer, size, inner]: [usize; 3], indices: &[i64]) -> Vec<f32> {
    let mut out = Vec::new();
    for o in 0..outer {
        for index in indices {
            let row = index.rem_euclid(size as i64) as usize;
            for i in 0..inner {
                out.push(table[(o * size + row) * inner + i]);
            }
        }
    }
    out
}
