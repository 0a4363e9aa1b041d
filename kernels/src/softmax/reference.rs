//! The plain version, from the definition: fit for small numbers only.
#![cfg(test)]

pub(super) fn softmax(row: &[f64]) -> Vec<f64> {
    let total: f64 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x.exp() / total).collect()
}
