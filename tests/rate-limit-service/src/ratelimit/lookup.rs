//! Which limit a descriptor has (`GetLimit`).

use anyhow::Result;

use super::config::{Config, Limit, Node, composite};
use super::window::Window;
use crate::rls::{Entry, RateLimitDescriptor};

impl Config {
    /// The limit that it brings along, else the one where all its entries lead. Requests for another domain have none.
    pub(super) fn limit(
        &self,
        domain: &str,
        descriptor: &RateLimitDescriptor,
    ) -> Result<Option<Limit>> {
        if domain != self.domain {
            return Ok(None);
        }
        if let Some(own) = &descriptor.limit {
            return Ok(Some(Limit {
                requests_per_unit: own.requests_per_unit,
                window: Window::numbered(own.unit)?,
                shadow_mode: false,
            }));
        }
        let mut entries = descriptor.entries.iter();
        let node = entries.try_fold(&self.root, |node, entry| node.child(entry));
        Ok(node.and_then(|node| node.limit))
    }
}

impl Node {
    /// Its key with its value, else what wildcards stand for, else its key alone.
    fn child(&self, entry: &Entry) -> Option<&Node> {
        let name = composite(&entry.key, &entry.value);
        let wildcard = || {
            let found = self.wildcards.iter().find(|it| it.matches(&name))?;
            self.children.get(found.key())
        };
        let exact = self.children.get(&name);
        exact
            .or_else(wildcard)
            .or_else(|| self.children.get(&entry.key))
    }
}

#[cfg(test)]
mod tests;
