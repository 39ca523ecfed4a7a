//! The small values of the API, one type each; what is parsed is right.

mod authority;
mod cidr;
mod duration;
mod header;
mod header_name;
mod name;
mod operator;
mod percentage;
mod quantity;
mod status;
mod template;
mod time_format;
mod timestamp;
#[cfg(feature = "schema")]
mod units;

pub use authority::Authority;
pub use cidr::{Cidr, network};
pub use duration::Duration;
pub use header::{Header, read_header_value};
pub use header_name::{HeaderName, read_header_name};
pub use name::{ObjectName, is_dns_label, is_dns_subdomain};
pub use operator::{HeaderChoice, Operator};
pub use percentage::{Ppm, whole_percent};
pub use quantity::Quantity;
pub use status::{HttpStatus, StatusRange};
pub use template::{Part, Template};
pub use time_format::TimeFormat;
pub use timestamp::read_timestamp;
