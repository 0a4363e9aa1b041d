//! How many numbers of a buffer are NaN or infinite. Buffers are little-endian bytes of any alignment.
//!
//! A float is not finite where all bits of its exponent are set, which is one mask and one comparison in integers.

#[cfg(feature = "cuda")]
mod launch;
mod reference;
#[cfg(feature = "cuda")]
mod suite;

#[cfg(feature = "cuda")]
pub use launch::count_on_device;
#[cfg(feature = "cuda")]
pub(crate) use suite::CASES;

macro_rules! counter {
    ($name:ident, $bits:ty, $exponent:literal, $what:literal) => {
        #[doc = concat!("NaN and infinite elements of a buffer of ", $what, "; bytes past the last whole one are ignored.")]
        #[must_use]
        pub fn $name(bytes: &[u8]) -> usize {
            // Blocks of a narrow counter let the loop vectorise; a block is short enough not to overflow it.
            const WIDTH: usize = size_of::<$bits>();
            let (elements, _) = bytes.as_chunks::<WIDTH>();
            let block = |block: &[[u8; WIDTH]]| {
                let wrong = |e: &[u8; WIDTH]| <$bits>::from(<$bits>::from_le_bytes(*e) & $exponent == $exponent);
                block.iter().fold(0, |count: $bits, e| count + wrong(e)) as usize
            };
            elements.chunks(1024).map(block).sum()
        }
    };
}

counter!(non_finite_f16, u16, 0x7c00, "IEEE half precision");
counter!(non_finite_bf16, u16, 0x7f80, "bfloat16");
counter!(non_finite_f32, u32, 0x7f80_0000, "single precision");
counter!(non_finite_f64, u64, 0x7ff0_0000_0000_0000, "double precision");

#[cfg(test)]
mod tests;
