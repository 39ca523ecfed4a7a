//! Address ranges: `10.0.0.0/8`, `2001:db8::/32`.

use std::fmt;
use std::net::IpAddr;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

/// A range of IP addresses. Bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// The network of this prefix length that `address` is in. An IPv4 address written as an
/// IPv6 one counts as IPv4, and a length beyond its bits takes the whole address.
#[must_use]
pub fn network(address: IpAddr, prefix: u8) -> IpAddr {
    masked(address.to_canonical(), prefix)
}

impl Cidr {
    /// The range that `text` stands for, or `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, digits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = digits.parse().ok().filter(|_| plain)?;
        if prefix > width(address) {
            return None;
        }
        let address = masked(address, prefix);
        Some(Self { address, prefix })
    }

    /// Reads a range.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let cidr = Self::parse(at.string_of(1..=256, problems)?);
        if cidr.is_none() {
            at.refuse(
                problems,
                Code::MalformedCidr,
                "must be an address range such as 10.0.0.0/8, 10.0.0.1/32 or 2001:db8::/32",
            );
        }
        cidr
    }

    /// How many bits of an address say whether it lies within.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many bits the addresses have.
    #[must_use]
    pub const fn width(self) -> u8 {
        width(self.address)
    }

    /// Whether `address` lies within. An IPv4 address written as an IPv6 one
    /// counts as IPv4.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32)));
            IpAddr::V4((address.to_bits() & mask.unwrap_or(0)).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128)));
            IpAddr::V6((address.to_bits() & mask.unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cidr;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn ranges_contain_what_shares_their_prefix() {
        let contains = |range, address: &str| {
            Cidr::parse(range)
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("10.1.0.0/8", "10.200.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("1.2.3.4/32", "::ffff:1.2.3.4"));
        assert!(contains("2001:db8::/32", "2001:db8:1::2"));
        assert!(contains("::/0", "::1") && !contains("::1/128", "::2"));
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "::/+1",
            "a/8",
            "::/",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn prints_without_the_bits_behind_the_prefix() {
        assert_eq!(Cidr::parse("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
