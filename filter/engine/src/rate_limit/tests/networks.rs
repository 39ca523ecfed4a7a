//! A bucket for each network of clients: `prefixLength`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// One request an hour for each of these sources, of which all must hold.
fn each(sources: &[&str]) -> Sim {
    let sources = sources.iter();
    let selectors: Vec<String> = sources
        .map(|it| format!(r#"{{"sourceCIDR":{{{it}}}}}"#))
        .collect();
    Sim::new(1, plan(&named(&selectors.join(","))))
}

fn named(selectors: &str) -> String {
    format!(
        r#"{{"rules":[{{"name":"each","clientSelectors":[{selectors}],
            "limit":{{"requests":1,"unit":"Hour"}},"xRateLimitHeaders":"Off"}}]}}"#
    )
}

fn passes(sim: &mut Sim, address: impl Into<IpAddr>) -> bool {
    sim.host.source = Some(address.into());
    sim.passes(0)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn one_client_is_all_of_its_network() {
    let mut sim = each(&[r#""type":"Distinct","value":"::/0","prefixLength":64"#]);
    assert!(passes(&mut sim, address("2001:db8::1")));
    assert!(!passes(&mut sim, address("2001:db8::ffff:2:3:4")));
    assert!(passes(&mut sim, address("2001:db8:0:1::1")));
    // Clients of IPv4 are not of that range, however they are written.
    for mapped in ["192.0.2.1", "::ffff:192.0.2.1"] {
        assert!(
            (0..3).all(|_| passes(&mut sim, address(mapped))),
            "{mapped}"
        );
    }
}

#[test]
fn of_several_ranges_the_longest_prefix_decides() {
    let coarse = r#""type":"Distinct","value":"10.0.0.0/8","prefixLength":16"#;
    let fine = r#""type":"Distinct","value":"10.1.0.0/16","prefixLength":24"#;
    let whole = r#""type":"Distinct","value":"10.0.0.0/8""#;
    let outside = r#""type":"Distinct","value":"10.2.0.0/16","invert":true"#;
    for (sources, shared, apart) in [
        (&[coarse, fine][..], "10.1.2.4", "10.1.3.3"),
        (&[fine, coarse], "10.1.2.4", "10.1.3.3"),
        (&[coarse], "10.1.3.3", "10.3.0.1"),
        (&[coarse, whole], "10.1.2.3", "10.1.2.4"),
        (&[outside, coarse], "10.1.2.3", "10.1.2.4"),
    ] {
        let mut sim = each(sources);
        assert!(passes(&mut sim, address("10.1.2.3")));
        assert!(!passes(&mut sim, address(shared)), "{sources:?}");
        assert!(passes(&mut sim, address(apart)), "{sources:?}");
    }
}

/// What is left out means the whole address, in the same bucket as before the field was
/// known.
#[test]
fn a_prefix_as_long_as_the_address_changes_no_bucket() {
    let local = |more: &str| {
        named(&format!(
            r#"{{"sourceCIDR":{{"type":"Distinct","value":"::/0"{more}}}}}"#
        ))
    };
    let mut sim = Sim::new(1, plan(&local("")));
    assert!(passes(&mut sim, address("2001:db8::1")));
    sim.reload(plan(&local(r#","prefixLength":128"#)));
    assert!(!passes(&mut sim, address("2001:db8::1")));
    assert!(passes(&mut sim, address("2001:db8::2")));
}

proptest! {
    #[test]
    fn addresses_of_ipv6_share_a_bucket_if_their_prefix_is_the_same(
        one: u128, other: u128, common in 0_u32..=128, length in 0_u32..=128,
    ) {
        let kept = u128::MAX.checked_shl(128 - common).unwrap_or(0);
        let [one, other] = [one, one & kept | other & !kept].map(Ipv6Addr::from_bits);
        let is_plain = |it: &Ipv6Addr| it.to_ipv4_mapped().is_none();
        prop_assume!(is_plain(&one) && is_plain(&other));
        let same = (one.to_bits() ^ other.to_bits()).leading_zeros() >= length;
        let source = format!(r#""type":"Distinct","value":"::/0","prefixLength":{length}"#);
        let mut sim = each(&[&source]);
        prop_assert!(passes(&mut sim, one));
        prop_assert_eq!(passes(&mut sim, other), !same);
    }

    #[test]
    fn addresses_of_ipv4_share_a_bucket_if_their_prefix_is_the_same(
        one: u32, other: u32, common in 0_u32..=32, length in 0_u32..=32, mapped: bool,
    ) {
        let kept = u32::MAX.checked_shl(32 - common).unwrap_or(0);
        let [one, other] = [one, one & kept | other & !kept].map(Ipv4Addr::from_bits);
        let same = (one.to_bits() ^ other.to_bits()).leading_zeros() >= length;
        let source = format!(r#""type":"Distinct","value":"0.0.0.0/0","prefixLength":{length}"#);
        let mut sim = each(&[&source]);
        prop_assert!(passes(&mut sim, one));
        let other = if mapped { other.to_ipv6_mapped().into() } else { IpAddr::from(other) };
        prop_assert_eq!(passes(&mut sim, other), !same);
    }
}
