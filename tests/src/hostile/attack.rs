//! The attacks: what each does in one turn, and where it may do it.

mod floods;
mod h1;
mod h1_heads;
mod labels;
mod messages;
mod origin;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use super::dice::Dice;
use super::upstream::scripts::SCRIPTS;

/// What came of it, if the attacker's side did not fail.
pub type Outcome = io::Result<()>;
type Turning<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A kind of attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name in logs.
    pub name: &'static str,
    /// What it does, for the page.
    pub what: &'static str,
    turn: fn(&mut Turn) -> Turning<'_>,
}

/// One go of an attack, and what came of those before.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Envoy.
    pub peer: SocketAddr,
    /// Chance.
    pub dice: Dice,
    /// Requests, or frames where there are no requests.
    pub sent: u64,
    /// What was answered: statuses, `reset`, `goaway`, `closed`.
    pub answers: BTreeMap<String, u64>,
}

impl Attack {
    /// Goes once. Errors are those of a connection that Envoy has closed.
    pub async fn go(&self, turn: &mut Turn) -> Outcome {
        (self.turn)(turn).await
    }
}

impl Turn {
    /// Nothing done yet.
    pub fn new(peer: SocketAddr, dice: Dice) -> Self {
        Self {
            peer,
            dice,
            sent: 0,
            answers: BTreeMap::new(),
        }
    }

    fn note(&mut self, answers: impl IntoIterator<Item = String>) {
        for answer in answers {
            *self.answers.entry(answer).or_default() += 1;
        }
    }

    /// A path of an attacked route: mostly one whose upstream behaves, else
    /// any script; sometimes the route that refuses all.
    fn path(&mut self) -> String {
        let script = match self.dice.below(4) {
            0 => SCRIPTS[self.dice.below(SCRIPTS.len())].name,
            _ => "ok",
        };
        match self.dice.below(10) {
            0 => "/deny/x".to_owned(),
            1..4 => format!("/h2/{}", self.dice.word()),
            _ => format!("/up/{script}?q={}", self.dice.word()),
        }
    }

    /// Another user, so that tables of clients fill.
    fn user(&mut self) -> String {
        self.dice.word()
    }
}

/// All attacks.
pub fn all() -> Vec<Attack> {
    [
        floods::ATTACKS,
        messages::ATTACKS,
        labels::ATTACKS,
        h1::ATTACKS,
        h1_heads::ATTACKS,
        origin::ATTACKS,
    ]
    .concat()
}

/// An entry of a table of attacks.
macro_rules! attack {
    ($name:literal, $turn:path, $what:literal) => {
        crate::hostile::attack::Attack {
            name: $name,
            what: $what,
            turn: |turn| Box::pin($turn(turn)),
        }
    };
}
use attack;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let attacks = all();
        let names: BTreeSet<_> = attacks.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), attacks.len());
    }
}
