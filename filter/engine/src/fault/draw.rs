//! Random decisions with an exact share.

use btp_policy::scalar::Ppm;

/// Whether this request is among the `share` that is meant.
///
/// A uniform 64-bit number is scaled to 0..1,000,000, which is biased by at
/// most 2⁻⁴⁴. Never and always are exact and draw nothing.
pub(crate) fn hits(share: Ppm, random: impl FnOnce() -> u64) -> bool {
    match share {
        Ppm::NEVER => false,
        Ppm::ALWAYS => true,
        share => (u128::from(random()) * 1_000_000) >> 64 < u128::from(share.get()),
    }
}

#[cfg(test)]
mod tests {
    use super::hits;
    use btp_policy::scalar::Ppm;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn ppm(percent: f64) -> Ppm {
        Ppm::from_percent(percent).unwrap()
    }

    #[test]
    fn never_and_always_do_not_draw() {
        let draw = || panic!("drew");
        assert!(!hits(Ppm::NEVER, draw));
        assert!(hits(Ppm::ALWAYS, draw));
    }

    #[test]
    fn the_smallest_share_hits_only_the_lowest_numbers() {
        let smallest = ppm(0.0001);
        let first_miss = u64::MAX / 1_000_000 + 1;
        assert!(hits(smallest, || 0));
        assert!(hits(smallest, || first_miss - 1));
        assert!(!hits(smallest, || first_miss));
        assert!(!hits(ppm(99.9999), || u64::MAX));
    }

    #[test]
    fn the_share_is_met_over_evenly_spread_numbers() {
        let step = (1 << 63) / 5_000 + 1;
        let count = (0..10_000).filter(|i| hits(ppm(25.0), || i * step)).count();
        assert_eq!(count, 2_500);
    }
}
