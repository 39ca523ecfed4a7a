//! Metadata of a stream and of what it goes to: values of a namespace, by their key.
//!
//! The ABI knows texts, numbers, booleans and lists of these. What is nested deeper
//! (a struct in a struct, a list of structs) it does not hand out, nor a virtual
//! host's.

use super::callbacks;
use super::stream::Stream;
use super::types::{EnvoyBuffer, MetadataSource, ModuleBuffer};

/// One key of one namespace of one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataKey<'a> {
    pub(crate) source: MetadataSource,
    pub(crate) namespace: &'a str,
    pub(crate) key: &'a str,
}

impl MetadataKey<'_> {
    fn parts(&self) -> (u32, ModuleBuffer, ModuleBuffer) {
        let namespace = ModuleBuffer::of(self.namespace.as_bytes());
        let key = ModuleBuffer::of(self.key.as_bytes());
        (self.source as u32, namespace, key)
    }
}

impl Stream<'_> {
    /// A value that is text.
    pub(crate) fn metadata_text(&self, key: MetadataKey<'_>) -> Option<&[u8]> {
        let (source, namespace, key) = key.parts();
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the filter is alive during its hook; names outlive the call, and the
        // result has room.
        let found = unsafe {
            callbacks::get_metadata_string(self.envoy, source, namespace, key, &raw mut value)
        };
        // SAFETY: Envoy has written it, and the borrow of `self` ends in time.
        found.then(|| unsafe { value.bytes() })
    }

    /// A value that is a number.
    pub(crate) fn metadata_number(&self, key: MetadataKey<'_>) -> Option<f64> {
        let (source, namespace, key) = key.parts();
        let mut value = 0.0;
        // SAFETY: as for texts.
        let found = unsafe {
            callbacks::get_metadata_number(self.envoy, source, namespace, key, &raw mut value)
        };
        found.then_some(value)
    }

    /// A value that is a boolean.
    pub(crate) fn metadata_bool(&self, key: MetadataKey<'_>) -> Option<bool> {
        let (source, namespace, key) = key.parts();
        let mut value = false;
        // SAFETY: as for texts.
        let found = unsafe {
            callbacks::get_metadata_bool(self.envoy, source, namespace, key, &raw mut value)
        };
        found.then_some(value)
    }

    /// How long a list is; `None` if the value is no list.
    pub(crate) fn metadata_list_length(&self, key: MetadataKey<'_>) -> Option<usize> {
        let (source, namespace, key) = key.parts();
        let mut length = 0;
        // SAFETY: as for texts.
        let found = unsafe {
            callbacks::get_metadata_list_size(self.envoy, source, namespace, key, &raw mut length)
        };
        found.then_some(length)
    }

    /// An element of a list that is text.
    pub(crate) fn metadata_list_text(&self, key: MetadataKey<'_>, index: usize) -> Option<&[u8]> {
        let (source, namespace, key) = key.parts();
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: as for texts.
        let found = unsafe {
            let value = &raw mut value;
            callbacks::get_metadata_list_string(self.envoy, source, namespace, key, index, value)
        };
        // SAFETY: Envoy has written it, and the borrow of `self` ends in time.
        found.then(|| unsafe { value.bytes() })
    }

    /// The keys of a namespace, in no order.
    pub(crate) fn metadata_keys(&self, source: MetadataSource, namespace: &str) -> Vec<&[u8]> {
        let (source, namespace) = (source as u32, ModuleBuffer::of(namespace.as_bytes()));
        // SAFETY: as for texts.
        let count = unsafe { callbacks::get_metadata_keys_count(self.envoy, source, namespace) };
        let mut keys = vec![EnvoyBuffer::EMPTY; count];
        // SAFETY: there is room for as many as Envoy has just said.
        let found = unsafe {
            callbacks::get_metadata_keys(self.envoy, source, namespace, keys.as_mut_ptr())
        };
        let keys = keys.into_iter().filter(|_| found);
        // SAFETY: Envoy has written them, and the borrow of `self` ends in time.
        keys.map(|it| unsafe { it.bytes() }).collect()
    }
}
