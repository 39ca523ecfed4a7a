//! What canaries have accepted: how workers know that they are not asked first,
//! and what a configuration needs.
//!
//! One shared cell, which does not grow beyond [`MOST`]; those that are in force
//! are forgotten last.

/// The most configurations that are remembered.
const MOST: usize = 1024;

/// One accepted configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// A hash of its text.
    pub text: u64,
    /// The plugin: a hash of the plugin's name and root id.
    pub plugin: u64,
    /// It is for the upstream position, at which the plugin has another one.
    pub is_upstream: bool,
    /// Bytes that loading it took.
    pub need: u64,
    /// It is the newest of its plugin, and its plugin is there.
    pub is_in_force: bool,
}

/// All of them, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptances(pub Vec<Acceptance>);

impl Acceptance {
    /// Whether one of the two takes the other's place.
    fn replaces(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.is_upstream == other.is_upstream
    }
}

impl Acceptances {
    /// No canary has accepted anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest acceptance of this text, for whichever plugin.
    #[must_use]
    pub fn of_text(&self, text: u64) -> Option<Acceptance> {
        self.0.iter().rev().find(|it| it.text == text).copied()
    }

    /// Bytes that everything in force takes.
    #[must_use]
    pub fn in_force(&self) -> u64 {
        let needs = self.0.iter().filter(|it| it.is_in_force).map(|it| it.need);
        needs.fold(0, u64::saturating_add)
    }

    /// Puts this in force, in the place of what its plugin had; whether that
    /// changed anything.
    pub fn enforce(&mut self, accepted: Acceptance) -> bool {
        let now = Acceptance {
            is_in_force: true,
            ..accepted
        };
        let in_force = self
            .0
            .iter()
            .filter(|it| it.replaces(&now) && it.is_in_force);
        if in_force.eq([&now]) {
            return false;
        }
        self.0
            .retain(|it| it.text != now.text || it.plugin != now.plugin);
        for it in self.0.iter_mut().filter(|it| it.replaces(&now)) {
            it.is_in_force = false;
        }
        self.0.push(now);
        while self.0.len() > MOST {
            let oldest = self.0.iter().position(|it| !it.is_in_force);
            self.0.remove(oldest.unwrap_or(0));
        }
        true
    }

    /// The plugin has ended with this text in force; whether that changed
    /// anything.
    pub fn retire(&mut self, text: u64, plugin: u64) -> bool {
        let is_it = |it: &&mut Acceptance| it.text == text && it.plugin == plugin;
        let found = self.0.iter_mut().find(is_it);
        found.is_some_and(|it| std::mem::replace(&mut it.is_in_force, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn of(text: u64, plugin: u64, need: u64) -> Acceptance {
        Acceptance {
            text,
            plugin,
            need,
            ..Acceptance::default()
        }
    }

    #[test]
    fn what_is_in_force_is_the_newest_of_each_plugin() {
        let mut accepted = Acceptances::default();
        accepted.enforce(of(1, 7, 100));
        accepted.enforce(of(2, 8, 200));
        assert_eq!(accepted.in_force(), 300);
        accepted.enforce(of(3, 7, 50));
        assert_eq!(accepted.in_force(), 250);
        assert_eq!(accepted.of_text(1).map(|it| it.need), Some(100));
        // Back to what was accepted before: there is no canary then.
        assert!(accepted.enforce(of(1, 7, 100)));
        assert_eq!(accepted.in_force(), 300);
        assert!(!accepted.enforce(of(1, 7, 100)));
    }

    #[test]
    fn a_plugin_has_one_configuration_at_each_position() {
        let mut accepted = Acceptances::default();
        accepted.enforce(of(1, 7, 100));
        let upstream = Acceptance {
            is_upstream: true,
            ..of(2, 7, 200)
        };
        accepted.enforce(upstream);
        assert_eq!(accepted.in_force(), 300);
    }

    #[test]
    fn a_plugin_that_has_ended_needs_nothing() {
        let mut accepted = Acceptances::default();
        accepted.enforce(of(1, 7, 100));
        accepted.enforce(of(2, 7, 150));
        assert!(!accepted.retire(1, 7), "an old one ends");
        assert!(accepted.retire(2, 7));
        assert!(!accepted.retire(2, 7), "on the next worker");
        assert_eq!(accepted.in_force(), 0);
        assert!(accepted.of_text(2).is_some());
    }

    #[test]
    fn it_does_not_grow_without_bound_and_forgets_what_is_in_force_last() {
        let mut accepted = Acceptances::default();
        accepted.enforce(of(0, 1, 5));
        for text in 1..3 * MOST as u64 {
            accepted.enforce(of(text, 2, 7));
        }
        assert_eq!(accepted.0.len(), MOST);
        assert!(accepted.of_text(0).is_some());
        assert!(accepted.of_text(1).is_none());
        for plugin in 0..3 * MOST as u64 {
            accepted.enforce(of(9, plugin, 7));
        }
        assert_eq!(accepted.0.len(), MOST);
    }
}
