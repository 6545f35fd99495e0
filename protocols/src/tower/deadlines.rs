//! Requests that say until when their result is worth anything.

use crate::retry::Deadline;

/// A request that may have a deadline.
pub trait HasDeadline {
    /// Its deadline, if it has one.
    fn deadline(&self) -> Option<Deadline>;

    /// The same request with this deadline, which is its own or sooner.
    #[must_use]
    fn until(self, deadline: Deadline) -> Self;
}

/// A request together with its deadline. What is sent to another node is what is
/// [left](Deadline::left) of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WithDeadline<R> {
    /// Until when somebody waits for its result.
    pub deadline: Deadline,
    /// What is asked.
    pub request: R,
}

impl<R> HasDeadline for WithDeadline<R> {
    fn deadline(&self) -> Option<Deadline> {
        Some(self.deadline)
    }

    fn until(self, deadline: Deadline) -> WithDeadline<R> {
        WithDeadline { deadline, ..self }
    }
}

/// How a layer finds the deadline of a request and puts a sooner one in its place: of requests of a
/// foreign type somebody else has to know it.
pub trait Deadlines<R> {
    /// The deadline of a request, if it has one.
    fn of(&self, request: &R) -> Option<Deadline>;

    /// The same request with this deadline.
    fn until(&self, request: R, deadline: Deadline) -> R;
}

/// Requests have no deadlines that a layer knows of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Untimed;

/// Requests [have deadlines](HasDeadline).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timed;

impl<R> Deadlines<R> for Untimed {
    fn of(&self, _request: &R) -> Option<Deadline> {
        None
    }

    fn until(&self, request: R, _deadline: Deadline) -> R {
        request
    }
}

impl<R: HasDeadline> Deadlines<R> for Timed {
    fn of(&self, request: &R) -> Option<Deadline> {
        request.deadline()
    }

    fn until(&self, request: R, deadline: Deadline) -> R {
        request.until(deadline)
    }
}
