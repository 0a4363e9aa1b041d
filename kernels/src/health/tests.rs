use half::{bf16, f16};
use proptest::prelude::*;

use super::*;

#[test]
fn every_half_precision_number_is_judged_right() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let bytes: Vec<u8> = all.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let halves: Vec<f16> = all.iter().map(|bits| f16::from_bits(*bits)).collect();
    let brains: Vec<bf16> = all.iter().map(|bits| bf16::from_bits(*bits)).collect();
    assert_eq!(non_finite_f16(&bytes), reference::f16(&halves));
    assert_eq!(non_finite_bf16(&bytes), reference::bf16(&brains));
}

#[test]
fn edges() {
    let values = [0.0, f32::MAX, f32::MIN_POSITIVE, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(non_finite_f32(&bytes), 3);
    assert_eq!(non_finite_f32(&[]), 0);
    assert_eq!(non_finite_f64(&[0xff; 7]), 0);
    let many = vec![0xff_u8; 2 * 3000];
    assert_eq!(non_finite_f16(&many), 3000);
}

proptest! {
    #[test]
    fn equals_the_reference_at_any_alignment(bits in prop::collection::vec(any::<u64>(), 0..3000), skip in 0_usize..8) {
        let mut bytes = vec![0_u8; skip];
        bytes.extend(bits.iter().flat_map(|b| b.to_le_bytes()));
        let doubles: Vec<f64> = bits.iter().map(|b| f64::from_bits(*b)).collect();
        let singles: Vec<f32> =
            bits.iter().flat_map(|b| [f32::from_bits(*b as u32), f32::from_bits((b >> 32) as u32)]).collect();
        prop_assert_eq!(non_finite_f64(&bytes[skip..]), reference::f64(&doubles));
        prop_assert_eq!(non_finite_f32(&bytes[skip..]), reference::f32(&singles));
    }
}
