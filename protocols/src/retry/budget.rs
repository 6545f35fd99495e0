//! How many tries may be repeats.

/// A retry that may be made costs so much.
const RETRY: u64 = 1_000;

/// Retries in proportion to what goes well: each success adds a part of a retry, and each retry
/// takes a whole one, as in Finagle's `RetryBudget` and in the token buckets of the AWS clients
/// (Brooker, "Fixing retries with token buckets and circuit breakers", 2022). While nothing goes
/// well nothing is added, so that many who call something that is overloaded soon call it as often
/// as if nobody retried.
///
/// Of any number of calls, at most [`most`](Budget::new) and the part of those that went well are
/// repeats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Budget {
    /// In thousandths of a retry.
    left: u64,
    most: u64,
    per_success: u64,
}

impl Budget {
    /// A full budget of `most` retries, to which each success adds `per_thousand` thousandths of
    /// one: 100 are one retry for ten calls that went well.
    pub fn new(most: u32, per_thousand: u32) -> Budget {
        let most = u64::from(most) * RETRY;
        Budget { left: most, most, per_success: u64::from(per_thousand) }
    }

    /// A call went well.
    pub fn succeeded(&mut self) {
        self.left = self.left.saturating_add(self.per_success).min(self.most);
    }

    /// Whether a call may be repeated; if so, that is spent.
    pub fn take(&mut self) -> bool {
        let is_left = self.left >= RETRY;
        if is_left {
            self.left -= RETRY;
        }
        is_left
    }

    /// How many retries are left.
    pub fn left(&self) -> u64 {
        self.left / RETRY
    }
}
