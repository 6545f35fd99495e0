//! State machines that persist before they speak.
//!
//! A [`Machine`] is state and handlers without I/O. One driver, the same in every world, feeds it
//! messages, requests and timers, one *turn* each, and holds back what a turn sends until
//! everything that this and earlier turns persisted is durable.

pub mod alone;
mod driver;
mod handle;
mod serve;
mod turn;

pub(crate) use driver::recover_image;
pub use driver::{OpenError, StopReason, open};
pub use handle::{Handle, RequestError};
pub use serve::{ServeError, serve_requests};
pub(crate) use turn::Tail;
pub use turn::Turn;

pub use crate::journal::{Damage, Position};

use crate::address::Address;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A request to a machine on this node. It is a plain number: a crash forgets the way back, and
/// the caller learns that the outcome is indeterminate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// For the types that a machine does not use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Never {}

/// What becomes of a machine whose committed records cannot all be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mended {
    /// It does not start.
    Refuse,
    /// It goes on from the state it has now, which it has made harmless: it claims nothing that
    /// it may have forgotten.
    Rejoin,
}

/// A protocol's state and what it does at each input.
///
/// `apply` is the only place where durable state changes, live and in recovery alike: whatever
/// else the handlers keep is lost in a crash.
pub trait Machine: Send + Sized + 'static {
    /// What it is started with.
    type Config: Send + Sync + 'static;
    /// Its timers, told apart by equality.
    type Timer: Clone + PartialEq + Send + 'static;
    /// What it sends to others of its kind, best an enum.
    type Message: Serialize + DeserializeOwned + Send + 'static;
    /// What the node it runs on asks it through its [`Handle`].
    type Request: Send + 'static;
    /// How it answers a request.
    type Reply: Send + 'static;
    /// A durable change of its state.
    type Record: Serialize + DeserializeOwned + Send + 'static;
    /// Its durable state as a whole. Equal states must encode equally: ordered maps, no hash maps.
    type Snapshot: Serialize + DeserializeOwned + Send + 'static;

    /// The state of a new machine, or the one that a snapshot holds.
    fn restore(config: &Self::Config, snapshot: Option<Self::Snapshot>) -> Self;

    /// Makes a durable change.
    fn apply(&mut self, record: &Self::Record);

    /// The durable state.
    fn snapshot(&self) -> Self::Snapshot;

    /// Committed records are unreadable. The default refuses to start.
    fn mend(&mut self, damage: &Damage) -> Mended {
        let _ = damage;
        Mended::Refuse
    }

    /// What the machine lets others count on as soon as all it has persisted is durable, in at
    /// most [`CLAIM_MAX`](crate::journal::CLAIM_MAX) bytes: it is kept beside every batch of
    /// records, so that what may have been promised is known even if the records are not. The
    /// default claims nothing, and then records that were damaged after they were committed cannot
    /// be told from those that a crash kept from being written, if they are the last ones.
    fn claim(&self, into: &mut Vec<u8>) {
        let _ = into;
    }

    /// The machine has made this claim or would have made it, and may not know what it rests on
    /// any more: the last records were never committed, or they were and are unreadable. The
    /// default, which has made no claim, refuses to start.
    fn doubt(&mut self, claim: &[u8]) -> Mended {
        let _ = claim;
        Mended::Refuse
    }

    /// The claim that is still in doubt: every snapshot carries it along.
    fn doubted(&self, into: &mut Vec<u8>) {
        let _ = into;
    }

    /// The first turn after `restore` and `apply`.
    fn on_start(&mut self, turn: &mut Turn<Self>) {
        let _ = turn;
    }

    /// A message came. `from` may be anybody: a message that no correct peer sends is rejected,
    /// never a panic.
    fn on_message(&mut self, from: Address, message: Self::Message, turn: &mut Turn<Self>) {
        let _ = message;
        turn.reject(from, "this machine takes no messages");
    }

    /// The own node asks something. Answer with [`Turn::reply`], now or in a later turn.
    fn on_request(&mut self, id: RequestId, request: Self::Request, turn: &mut Turn<Self>) {
        let _ = (id, request, turn);
    }

    /// A timer that was armed has run out.
    fn on_timer(&mut self, timer: Self::Timer, turn: &mut Turn<Self>) {
        let _ = (timer, turn);
    }

    /// The inputs that waited have had their turns since one of them asked for this by
    /// [`Turn::settle`], and the disk has yet to hear of their records: the place for what is
    /// better done once for many inputs than for each of them.
    fn on_settled(&mut self, turn: &mut Turn<Self>) {
        let _ = turn;
    }

    /// Every record up to this position is durable on the own disk.
    fn on_durable(&mut self, upto: Position, turn: &mut Turn<Self>) {
        let _ = (upto, turn);
    }
}
