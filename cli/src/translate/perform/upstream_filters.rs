//! The HTTP filters of a cluster, which every try passes on its way out. Envoy
//! runs them instead of those behind the router.

use btp_policy::node::Node;

use super::ChangeError;
use super::replaced::Replaced;
use crate::envoy::http_filter::{package_of, upstream_codec};
use crate::envoy::tree::{list_mut, same, text};

const LIST: &str = "http_filters";

/// Puts a filter first among those of `HttpProtocolOptions`, in place of all of
/// its kind; yields these. If there are none, `of_router` come along.
pub(super) fn put(
    options: &mut Node,
    filter: &Node,
    of_router: &[Node],
) -> Result<Vec<Replaced>, ChangeError> {
    let filters = list_mut(options, LIST)?;
    if filters.is_empty() {
        filters.extend(of_router.iter().cloned());
    }
    if filters.is_empty() {
        filters.push(upstream_codec());
    }
    let is_alike = |it: &Node| package_of(it) == package_of(filter);
    let mut alike = filters.iter().filter(|it| is_alike(it));
    if let (Some(there), None) = (alike.next(), alike.next())
        && same(there, filter)
    {
        return Ok(Vec::new());
    }
    let (others, rest): (Vec<Node>, Vec<Node>) = filters.drain(..).partition(is_alike);
    filters.push(filter.clone());
    filters.extend(rest);
    let gave_way = others.iter().map(|it| {
        let name = text(it, "name").unwrap_or_default();
        Replaced::new(format!("HttpProtocolOptions.{LIST} {name}"), it)
    });
    Ok(gave_way.collect())
}
