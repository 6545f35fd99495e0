//! Where projectors of a node say how far they are, and queries wait for it.

use squall_env::sync::{Gone, WatchReceiver, WatchSender, watch};
use squall_env::{Env, Position};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How far the projections of a node have come. Clones are the same board.
///
/// It is there to wake those who wait, and for metrics: what is said of a view always rests on what
/// is durable beside it.
#[derive(Clone)]
pub struct Board(Arc<Shared>);

struct Shared {
    seen: Mutex<Seen>,
    moves: WatchSender<u64>,
    watched: WatchReceiver<u64>,
}

#[derive(Default)]
struct Seen {
    moves: u64,
    /// Of each version of a projection: its checkpoint, and the end of the events.
    reached: BTreeMap<String, (Position, Position)>,
    /// Of each, how many streams stand still.
    blocked: BTreeMap<String, usize>,
}

impl Board {
    /// An empty board.
    pub fn new(env: &Env) -> Board {
        let (moves, watched) = watch(env, "projections", 0);
        Board(Arc::new(Shared { seen: Mutex::default(), moves, watched }))
    }

    fn see<R>(&self, look: impl FnOnce(&mut Seen) -> R) -> R {
        look(&mut self.0.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A version of a projection stands here, and the events end there.
    pub(super) fn stands(&self, id: &str, checkpoint: Position, head: Position) {
        let moves = self.see(|seen| {
            seen.reached.insert(id.to_owned(), (checkpoint, head));
            seen.moves += 1;
            seen.moves
        });
        self.0.moves.set(moves);
    }

    /// The end of the events, as the projector of a version last saw it.
    pub(super) fn head(&self, id: &str) -> Position {
        self.see(|seen| seen.reached.get(id).map_or(Position(0), |(_, head)| *head))
    }

    /// How many events a version of a projection has yet to apply, as far as its projector knows;
    /// `None` if it has none on this node.
    pub fn lag(&self, name: &str, version: u32) -> Option<u64> {
        let id = super::projection::id(name, version);
        let (checkpoint, head) = self.see(|seen| seen.reached.get(&id).copied())?;
        Some(head.0.saturating_sub(checkpoint.0))
    }

    /// So many streams of a version of a projection stand still: an event of theirs is parked.
    pub(super) fn blocks(&self, id: &str, streams: usize) {
        self.see(|seen| seen.blocked.insert(id.to_owned(), streams));
    }

    /// How many streams of a version of a projection stand still because an event of theirs could
    /// not be applied and is parked, as far as its projector knows; `None` if it has none on this
    /// node. Somebody should be told if it is not zero.
    pub fn blocked(&self, name: &str, version: u32) -> Option<usize> {
        let id = super::projection::id(name, version);
        self.see(|seen| seen.blocked.get(&id).copied())
    }

    /// What tells of every move from now on.
    pub(super) fn watch(&self) -> Moves {
        Moves(self.0.watched.clone())
    }
}

/// Waits for projections to move.
pub(super) struct Moves(WatchReceiver<u64>);

impl Moves {
    /// Waits for a move that was not waited for yet.
    pub(super) async fn next(&mut self) -> Result<(), Gone> {
        self.0.changed().await
    }
}
