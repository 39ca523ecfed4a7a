//! The normal distribution's quantiles.
//!
//! Made from the four basic operations, the square root and `libm`'s logarithm,
//! which is made from these: IEEE 754 defines them to the last bit, so that a
//! table is the same on every machine. The standard library's logarithm is the
//! system's, and systems differ.

use libm::log;

/// The value that a standard normal variable exceeds with probability `p`,
/// which must lie between 0 and 1.
///
/// Source: Wichura, algorithm AS 241 (1988), PPND16.
pub(super) fn normal_upper(p: f64) -> f64 {
    let q = 0.5 - p;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { 1.0 - p } else { p };
    let r = (-log(tail)).sqrt();
    let value = if r <= 5.0 {
        ratio(r - 1.6, &TAIL)
    } else {
        ratio(r - 5.0, &FAR_TAIL)
    };
    if q < 0.0 { -value } else { value }
}

/// Two polynomials, highest coefficients first, one by the other.
fn ratio(r: f64, coefficients: &[[f64; 2]; 8]) -> f64 {
    let (mut above, mut below) = (0.0, 0.0);
    for [a, b] in coefficients {
        above = above * r + a;
        below = below * r + b;
    }
    above / below
}

const CENTRE: [[f64; 2]; 8] = [
    [2_509.080_928_730_122_7, 5_226.495_278_852_854],
    [33_430.575_583_588_13, 28_729.085_735_721_943],
    [67_265.770_927_008_7, 39_307.895_800_092_71],
    [45_921.953_931_549_87, 21_213.794_301_586_597],
    [13_731.693_765_509_46, 5_394.196_021_424_751],
    [1_971.590_950_306_551_3, 687.187_007_492_057_9],
    [133.141_667_891_784_38, 42.313_330_701_600_91],
    [3.387_132_872_796_366_5, 1.0],
];
const TAIL: [[f64; 2]; 8] = [
    [7.745_450_142_783_414e-4, 1.050_750_071_644_416_9e-9],
    [0.022_723_844_989_269_184, 5.475_938_084_995_345e-4],
    [0.241_780_725_177_450_6, 0.015_198_666_563_616_457],
    [1.270_458_252_452_368_4, 0.148_103_976_427_480_08],
    [3.647_848_324_763_204_5, 0.689_767_334_985_1],
    [5.769_497_221_460_691, 1.676_384_830_183_803_8],
    [4.630_337_846_156_546, 2.053_191_626_637_759],
    [1.423_437_110_749_683_5, 1.0],
];
const FAR_TAIL: [[f64; 2]; 8] = [
    [2.010_334_399_292_288_1e-7, 2.044_263_103_389_939_8e-15],
    [2.711_555_568_743_487_6e-5, 1.421_511_758_316_446e-7],
    [0.001_242_660_947_388_078_4, 1.846_318_317_510_054_8e-5],
    [0.026_532_189_526_576_124, 7.868_691_311_456_133e-4],
    [0.296_560_571_828_504_87, 0.014_875_361_290_850_615],
    [1.784_826_539_917_291_3, 0.136_929_880_922_735_8],
    [5.463_784_911_164_114, 0.599_832_206_555_888],
    [6.657_904_643_501_103, 1.0],
];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_tables_of_the_normal_distribution() {
        for (p, z) in [
            (0.5, 0.0),
            (0.25, 0.674_489_750_196_081_7),
            (0.01, 2.326_347_874_040_841),
            (0.999, -3.090_232_306_167_813_5),
            (1e-5, 4.264_890_793_922_825),
            (1e-20, 9.262_340_089_798_408),
        ] {
            assert!(
                (normal_upper(p) - z).abs() < 1e-9,
                "{p}: {}",
                normal_upper(p)
            );
        }
    }
}
