//! The account of one request's body on its way in.

/// How much of a body has come, and whether it is held until all of it is
/// there.
#[derive(Debug)]
pub(crate) struct Intake {
    gathers: bool,
    limit: u64,
    declared: Option<u64>,
    received: u64,
    complete: bool,
}

/// The body is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Intake {
    /// A body of up to `limit` bytes, whose length the client may have
    /// declared. If it `gathers`, all of it is held until it is complete.
    pub(crate) fn new(gathers: bool, limit: u64, declared: Option<u64>) -> Self {
        Self {
            gathers,
            limit,
            declared,
            received: 0,
            complete: false,
        }
    }

    /// Whether the body is held until it is complete.
    pub(crate) fn gathers(&self) -> bool {
        self.gathers
    }

    /// Whether all of it is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The length to declare to the upstream, if the client did not.
    pub(crate) fn undeclared_length(&self) -> Option<u64> {
        self.declared.is_none().then_some(self.received)
    }

    /// Judges the length that the client declared.
    pub(crate) fn check_declared(&self) -> Result<(), TooLarge> {
        self.check(self.declared.unwrap_or(0))
    }

    /// Bytes arrived. `at_hand` is what the host holds: of a body that is
    /// gathered all of it so far, else only what is new.
    pub(crate) fn take_in(&mut self, at_hand: u64, end: bool) -> Result<(), TooLarge> {
        self.received = if self.gathers {
            self.received.max(at_hand)
        } else {
            self.received.saturating_add(at_hand)
        };
        self.complete |= end;
        self.check(self.received)
    }

    fn check(&self, bytes: u64) -> Result<(), TooLarge> {
        if bytes > self.limit {
            return Err(TooLarge);
        }
        Ok(())
    }
}
