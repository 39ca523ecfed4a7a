//! Samples against the distributions they should come from, and against
//! themselves on another platform.

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use btp_policy::hash::siphash24;

const MS: f64 = 1_000_000.0;
const SAMPLES: u32 = 20_000;
/// 1.95 / √20,000
const CRITICAL: f64 = 0.013_78;

fn ms(millis: u32) -> Duration {
    Duration::from_millis(millis)
}

fn table(spread: Spread, max: u32) -> Table {
    Table::of(&Distribution {
        spread,
        max: ms(max),
    })
}

/// All of them, with the shape that the tests of shares do not use, too.
fn tables() -> Vec<Table> {
    let percent = |share| Ppm::from_percent(share).unwrap();
    vec![
        table(Spread::Uniform { min: ms(20) }, 80),
        table(normal(), 60_000),
        table(log_normal(), 60_000),
        table(Spread::Exponential { mean: ms(100) }, 60_000),
        table(pareto(1.5), 3_600_000),
        table(pareto(0.000_1), 3_600_000),
        table(
            Spread::Empirical {
                points: vec![
                    (percent(50.0), ms(10)),
                    (percent(90.0), ms(100)),
                    (percent(99.0), ms(1_000)),
                ],
            },
            1_000,
        ),
    ]
}

fn normal() -> Spread {
    Spread::Normal {
        mean: ms(100),
        std_dev: ms(30),
    }
}

fn log_normal() -> Spread {
    Spread::LogNormal {
        p50: ms(20),
        p99: ms(500),
    }
}

fn pareto(shape: f64) -> Spread {
    let scale = ms(10);
    Spread::Pareto { scale, shape }
}

fn random(index: u32) -> u64 {
    siphash24([0, 0], &[&index.to_le_bytes()])
}

/// Kolmogorov and Smirnov: the largest distance between the samples' shares
/// and the distribution function (of milliseconds) stays below what one in a
/// thousand right samplers would exceed. The samples are always the same.
fn fits(name: &str, table: &Table, cdf: impl Fn(f64) -> f64) {
    let distance = distance(table, cdf);
    assert!(distance < CRITICAL, "{name}: {distance} >= {CRITICAL}");
}

fn distance(table: &Table, cdf: impl Fn(f64) -> f64) -> f64 {
    let mut delays: Vec<f64> = (0..SAMPLES)
        .map(|index| table.nanos(random(index)) as f64 / MS)
        .collect();
    delays.sort_by(f64::total_cmp);
    let count = f64::from(SAMPLES);
    let mut distance = 0.0_f64;
    for (rank, delay) in (0..SAMPLES).zip(delays) {
        let expected = cdf(delay);
        distance = distance
            .max((f64::from(rank) / count - expected).abs())
            .max((f64::from(rank + 1) / count - expected).abs());
    }
    distance
}

/// The standard normal distribution function, by Simpson's rule.
fn phi(z: f64) -> f64 {
    const STEPS: u32 = 200;
    let width = z / f64::from(STEPS);
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let sum: f64 = (0..=STEPS)
        .map(|step| {
            let weight = match step {
                0 | STEPS => 1.0,
                step if step % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * density(f64::from(step) * width)
        })
        .sum();
    0.5 + sum * width / 3.0
}

#[test]
fn uniform_fits() {
    let table = table(Spread::Uniform { min: ms(20) }, 80);
    fits("uniform", &table, |delay| (delay - 20.0) / 60.0);
}

#[test]
fn normal_fits() {
    fits("normal", &table(normal(), 60_000), |delay| {
        phi((delay - 100.0) / 30.0)
    });
}

#[test]
fn log_normal_fits() {
    let deviation = 25.0_f64.ln() / 2.326_347_874_040_841;
    fits("logNormal", &table(log_normal(), 60_000), |delay| {
        phi((delay / 20.0).ln() / deviation)
    });
}

#[test]
fn exponential_fits() {
    let table = table(Spread::Exponential { mean: ms(100) }, 60_000);
    fits("exponential", &table, |delay| 1.0 - (-delay / 100.0).exp());
}

#[test]
fn pareto_fits() {
    for shape in [0.8, 1.5, 20.0] {
        let table = table(pareto(shape), 3_600_000);
        fits("pareto", &table, |delay| 1.0 - (10.0 / delay).powf(shape));
    }
}

#[test]
fn empirical_fits() {
    let tables = tables();
    fits("empirical", tables.last().unwrap(), |delay| {
        if delay < 10.0 {
            0.5 * delay / 10.0
        } else if delay < 100.0 {
            0.5 + 0.4 * (delay / 10.0).log10()
        } else if delay < 1_000.0 {
            0.9 + 0.09 * (delay / 100.0).log10()
        } else {
            1.0
        }
    });
}

#[test]
fn a_wrong_distribution_does_not_fit() {
    let table = table(Spread::Exponential { mean: ms(105) }, 60_000);
    let distance = distance(&table, |delay| 1.0 - (-delay / 100.0).exp());
    assert!(distance > CRITICAL, "{distance}");
}

/// The percentiles that a policy names come out, far into the tail.
#[test]
fn named_percentiles_are_met() {
    let exceeded = |table: &Table, share: f64| table.nanos((share * 2.0_f64.powi(64)) as u64);
    let log_normal = table(log_normal(), 60_000);
    for (share, millis) in [(0.5, 20.0), (0.01, 500.0)] {
        let delay = exceeded(&log_normal, share) as f64 / MS;
        assert!((delay / millis - 1.0).abs() < 0.001, "{share}: {delay}");
    }
    let exponential = table(Spread::Exponential { mean: ms(100) }, 60_000);
    for share in [1e-3_f64, 1e-6, 1e-9] {
        let (delay, expected) = (
            exceeded(&exponential, share) as f64 / MS,
            -100.0 * share.ln(),
        );
        assert!((delay / expected - 1.0).abs() < 0.001, "{share}: {delay}");
    }
}

#[test]
fn the_longest_delay_is_the_bound() {
    for table in tables() {
        let longest = u64::from(table.knots[0]) * NANOS_PER_MICRO;
        for random in [0, 1, u64::from(u32::MAX) / 2] {
            assert_eq!(table.nanos(random), longest);
        }
    }
    let cut = table(Spread::Exponential { mean: ms(100) }, 150);
    assert_eq!(cut.nanos(1 << 40), 150_000_000);
}

/// The same on every platform: these tests run natively and on wasm32.
#[test]
fn the_samples_are_these() {
    let hashes: Vec<u64> = tables()
        .iter()
        .map(|table| {
            let samples: Vec<u8> = (0..1_000)
                .flat_map(|index| table.nanos(random(index)).to_le_bytes())
                .collect();
            siphash24([0, 0], &[&samples])
        })
        .collect();
    let expected = [
        0xd032_fbb2_0cd8_69df,
        0x7ef4_8d26_314e_e177,
        0xc38a_5b30_21fa_18e8,
        0x4d64_0e1d_a06c_57dc,
        0x0237_0fdf_55eb_1c1f,
        0x3cf7_eec1_531d_00ce,
        0xb2b5_7d7b_be42_b527,
    ];
    assert_eq!(hashes, expected);
}

proptest! {
    #[test]
    fn a_smaller_number_never_gives_a_shorter_delay(one in any::<u64>(), other in any::<u64>()) {
        for table in tables().iter().take(3) {
            let (low, high) = (one.min(other), one.max(other));
            prop_assert!(table.nanos(low) >= table.nanos(high));
        }
    }
}
