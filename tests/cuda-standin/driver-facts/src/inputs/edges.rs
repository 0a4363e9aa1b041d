//! The values at which arithmetic goes wrong: zeros, limits, ties, infinities, NaNs.

use super::Kind;

fn both_signs(positive: &[u64], sign: u64) -> Vec<u64> {
    positive.iter().flat_map(|bits| [*bits, *bits | sign]).collect()
}

fn f16_edges() -> Vec<u64> {
    both_signs(
        &[
            0, 1, 2, 0x1FF, 0x200, 0x3FE, 0x3FF, 0x400, 0x401, 0x7FF, 0x800, 0x1400, 0x2E66, 0x3555, 0x3800, 0x3801,
            0x3BFF, 0x3C00, 0x3C01, 0x3E00, 0x4000, 0x4100, 0x4248, 0x4900, 0x5640, 0x63FF, 0x6400, 0x6401, 0x6BFF,
            0x7800, 0x7BFE, 0x7BFF, 0x7C00, 0x7C01, 0x7D00, 0x7E00, 0x7FFF,
        ],
        0x8000,
    )
}

fn f32_edges() -> Vec<u64> {
    let mut edges = vec![
        0u32,
        1,
        2,
        0x003F_FFFF,
        0x0040_0000,
        0x007F_FFFE,
        0x007F_FFFF,
        0x0080_0000,
        0x0080_0001,
        0x00FF_FFFF,
        0x0100_0000,
        0x1F80_0000,
        0x2000_0000,
        0x3F7F_FFFF,
        0x3F80_0001,
        0x7E80_0000,
        0x7EFF_FFFF,
        0x7F00_0000,
        0x7F7F_FFFE,
        0x7F7F_FFFF,
        0x7F80_0000,
        0x7F80_0001,
        0x7FA0_0000,
        0x7FC0_0000,
        0x7FC1_2345,
        0x7FFF_FFFF,
    ];
    let values = [
        1.0f32,
        0.5,
        0.25,
        1.5,
        2.0,
        2.5,
        3.0,
        0.1,
        1.0 / 3.0,
        10.0,
        100.0,
        127.0,
        127.5,
        128.0,
        149.0,
        150.0,
        126.0,
        255.0,
        255.5,
        256.0,
        32767.5,
        32768.0,
        65504.0,
        65519.996,
        65520.0,
        65535.5,
        8_388_607.5,
        8_388_608.0,
        16_777_215.0,
        16_777_216.0,
        2_147_483_520.0,
        2_147_483_648.0,
        4_294_967_040.0,
        4_294_967_296.0,
        9.223_372e18,
        1.844_674_4e19,
        5.960_464_5e-8,
        2.980_232_2e-8,
        6.103_515_6e-5,
        6.097_555e-5,
        std::f32::consts::PI,
        std::f32::consts::FRAC_PI_2,
        std::f32::consts::E,
        88.722_84,
        104.0,
        48039.0,
        1e10,
        1e-10,
    ];
    edges.extend(values.iter().map(|value| value.to_bits()));
    both_signs(&edges.iter().map(|bits| u64::from(*bits)).collect::<Vec<_>>(), 0x8000_0000)
}

fn f64_edges() -> Vec<u64> {
    let mut edges = vec![
        0u64,
        1,
        0x000F_FFFF_FFFF_FFFF,
        0x0010_0000_0000_0000,
        0x0010_0000_0000_0001,
        0x3FEF_FFFF_FFFF_FFFF,
        0x3FF0_0000_0000_0001,
        0x7FE0_0000_0000_0000,
        0x7FEF_FFFF_FFFF_FFFF,
        0x7FF0_0000_0000_0000,
        0x7FF0_0000_0000_0001,
        0x7FF8_0000_0000_0000,
        0x7FF8_1234_5678_9ABC,
        0x7FFF_FFFF_FFFF_FFFF,
    ];
    let values = [
        1.0f64,
        0.5,
        1.5,
        2.0,
        2.5,
        3.0,
        0.1,
        1.0 / 3.0,
        255.5,
        32768.0,
        65504.0,
        65519.999,
        65520.0,
        2_147_483_647.0,
        2_147_483_647.5,
        2_147_483_648.0,
        4_294_967_295.0,
        4_294_967_295.5,
        4_294_967_296.0,
        9.223_372_036_854_775e18,
        9.223_372_036_854_776e18,
        1.844_674_407_370_955e19,
        1.844_674_407_370_955_2e19,
        4_503_599_627_370_495.5,
        9_007_199_254_740_992.0,
        5.960_464_477_539_063e-8,
        2.980_232_238_769_531e-8,
        1.401_298_464_324_817e-45,
        7.006_492_321_624_085e-46,
        1.175_494_350_822_287_5e-38,
        3.402_823_466e38,
        3.402_823_567_797_336_6e38,
        std::f64::consts::PI,
    ];
    edges.extend(values.iter().map(|value| value.to_bits()));
    both_signs(&edges, 1 << 63)
}

fn b32_edges() -> Vec<u64> {
    let mut edges: Vec<u64> = vec![
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        15,
        16,
        17,
        23,
        24,
        25,
        30,
        31,
        32,
        33,
        63,
        64,
        65,
        100,
        127,
        128,
        129,
        255,
        256,
        257,
        0x1F20,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x1_0000,
        0x00FF_FFFF,
        0x0100_0000,
        0x0100_0001,
        0x7F7F_7F7F,
        0x8080_8080,
        0x1234_5678,
        0x5555_5555,
        0xAAAA_AAAA,
        0xFEDC_BA98,
        0x7FFF_FF80,
        0x7FFF_FFFE,
        0x7FFF_FFFF,
        0x8000_0000,
        0x8000_0001,
        0xFFFF_0000,
        0xFFFF_8000,
        0xFFFF_FF00,
        0xFFFF_FF80,
    ];
    edges.extend([0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF]);
    edges
}

fn b64_edges() -> Vec<u64> {
    let mut edges = b32_edges();
    edges.extend([
        0x1_0000_0000,
        0x1_0000_0001,
        1 << 52,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        0x0123_4567_89AB_CDEF,
        0x5555_5555_5555_5555,
        0xAAAA_AAAA_AAAA_AAAA,
        0x7FFF_FFFF_FFFF_FC00,
        i64::MAX as u64 - 1,
        i64::MAX as u64,
        1 << 63,
        (1 << 63) + 1,
        0xFFFF_FFFF_0000_0000,
        0xFFFF_FFFF_7FFF_FFFF,
        0xFFFF_FFFF_8000_0000,
        u64::MAX - 1,
        u64::MAX,
    ]);
    edges
}

fn b16_edges() -> Vec<u64> {
    vec![
        0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 127, 128, 129, 255, 256, 0x1234, 0x5555, 0x7FFE, 0x7FFF, 0x8000,
        0x8001, 0xAAAA, 0xFF80, 0xFFFE, 0xFFFF,
    ]
}

pub(super) fn edges(kind: Kind) -> Vec<u64> {
    match kind {
        Kind::F16 => f16_edges(),
        Kind::F16x2 => {
            let halves = f16_edges();
            (0..halves.len()).map(|i| halves[i] | halves[(i * 29 + 11) % halves.len()] << 16).collect()
        }
        Kind::F32 => f32_edges(),
        Kind::F64 => f64_edges(),
        Kind::B16 => b16_edges(),
        Kind::B32 => b32_edges(),
        Kind::B64 => b64_edges(),
    }
}

/// Edge cases for triples: few enough that their cube is small.
pub(super) fn few_edges(kind: Kind) -> Vec<u64> {
    let thin = |list: &[u64]| list.to_vec();
    match kind {
        Kind::F16 => thin(&[
            0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x3C00, 0xBC00, 0x3C01, 0x4248, 0x6400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00,
            0x7C01, 0x7E00, 0xFFFF,
        ]),
        Kind::F16x2 => {
            let halves = few_edges(Kind::F16);
            (0..halves.len()).map(|i| halves[i] | halves[(i * 7 + 5) % halves.len()] << 16).collect()
        }
        Kind::F32 => thin(&[
            0,
            0x8000_0000,
            1,
            0x8000_0001,
            0x007F_FFFF,
            0x807F_FFFF,
            0x0080_0000,
            0x3F80_0000,
            0xBF80_0000,
            0x3F80_0001,
            0x3F7F_FFFF,
            0x1F80_0000,
            0x5F80_0000,
            0x4B80_0000,
            0x7F7F_FFFF,
            0xFF7F_FFFF,
            0x7F80_0000,
            0xFF80_0000,
            0x7F80_0001,
            0x7FC1_2345,
            0xFFFF_FFFF,
        ]),
        Kind::F64 => thin(&[
            0,
            1 << 63,
            1,
            (1 << 63) | 1,
            0x000F_FFFF_FFFF_FFFF,
            0x0010_0000_0000_0000,
            0x3FF0_0000_0000_0000,
            0xBFF0_0000_0000_0000,
            0x3FF0_0000_0000_0001,
            0x3FEF_FFFF_FFFF_FFFF,
            0x1FF0_0000_0000_0000,
            0x4340_0000_0000_0000,
            0x7FEF_FFFF_FFFF_FFFF,
            0xFFEF_FFFF_FFFF_FFFF,
            0x7FF0_0000_0000_0000,
            0xFFF0_0000_0000_0000,
            0x7FF0_0000_0000_0001,
            0x7FF8_1234_5678_9ABC,
            u64::MAX,
        ]),
        Kind::B16 => thin(&[0, 1, 2, 7, 15, 16, 0xFF, 0x1234, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF]),
        Kind::B32 => thin(&[
            0,
            1,
            2,
            5,
            8,
            15,
            16,
            31,
            32,
            33,
            63,
            64,
            127,
            255,
            256,
            0x7FFF,
            0x1234_5678,
            0xAAAA_AAAA,
            0x7FFF_FFFF,
            0x8000_0000,
            0x8080_7F7F,
            0xFFFF_FF00,
            0xFFFF_FFFE,
            0xFFFF_FFFF,
        ]),
        Kind::B64 => thin(&[
            0,
            1,
            2,
            31,
            32,
            63,
            64,
            255,
            0x7FFF_FFFF,
            0x8000_0000,
            0xFFFF_FFFF,
            0x1_0000_0000,
            0x0123_4567_89AB_CDEF,
            0xAAAA_AAAA_AAAA_AAAA,
            i64::MAX as u64,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ]),
    }
}
