//! Headers as the engine reads them, wherever the host keeps them.

use std::fmt::Debug;

/// The headers of a message: names in lower case, and what the message begins
/// with (`:method`, `:path`, `:status`) among them. Whatever holds pairs is
/// such a view; a host may read from its own memory instead.
pub trait HeaderView: Debug {
    /// The first value of a header.
    fn value(&self, name: &str) -> Option<&[u8]>;

    /// Shows all values of a header, in the order they came.
    fn values<'a>(&'a self, name: &str, show: &mut dyn FnMut(&'a [u8]));

    /// Shows all headers, in the order they came.
    fn for_each<'a>(&'a self, show: &mut dyn FnMut(&'a [u8], &'a [u8]));
}

/// No headers at all.
pub(crate) static NO_HEADERS: Vec<(&[u8], &[u8])> = Vec::new();

impl<N, V> HeaderView for Vec<(N, V)>
where
    N: AsRef<[u8]> + Debug,
    V: AsRef<[u8]> + Debug,
{
    fn value(&self, name: &str) -> Option<&[u8]> {
        first(self, name)
    }

    fn values<'a>(&'a self, name: &str, show: &mut dyn FnMut(&'a [u8])) {
        of_name(self, name).for_each(show);
    }

    fn for_each<'a>(&'a self, show: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in self {
            show(name.as_ref(), value.as_ref());
        }
    }
}

fn first<'a, N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &'a [(N, V)], name: &str) -> Option<&'a [u8]> {
    of_name(pairs, name).next()
}

fn of_name<'a, N: AsRef<[u8]>, V: AsRef<[u8]>>(
    pairs: &'a [(N, V)],
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    let of_name = pairs
        .iter()
        .filter(move |(other, _)| other.as_ref() == name.as_bytes());
    of_name.map(|(_, value)| value.as_ref())
}
