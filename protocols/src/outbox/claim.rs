//! Whose the letters of an outbox are.

use squall_env::Instant;
use std::time::Duration;

/// The letters are one relay's until it was not heard of for so long. A relay that lives claims
/// them again, so this need not be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    lasts: Duration,
    held: Option<(u64, Instant)>,
}

impl Claim {
    pub(super) fn new(lasts: Duration) -> Claim {
        Claim { lasts, held: None }
    }

    /// Whether the letters are this relay's from now on.
    pub(super) fn take(&mut self, relay: u64, now: Instant) -> bool {
        if self.held.is_some_and(|(owner, until)| owner != relay && now < until) {
            return false;
        }
        self.held = Some((relay, now + self.lasts));
        true
    }

    /// This relay was heard of.
    pub(super) fn keep(&mut self, relay: u64, now: Instant) {
        if self.is_of(relay) {
            self.held = Some((relay, now + self.lasts));
        }
    }

    /// Whether this relay had them last.
    pub(super) fn is_of(&self, relay: u64) -> bool {
        self.held.is_some_and(|(owner, _)| owner == relay)
    }

    /// Whether no relay has had them yet.
    pub(super) fn is_new(&self) -> bool {
        self.held.is_none()
    }
}
