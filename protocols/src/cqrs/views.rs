//! The side that reads: queries, and how new their answers have to be.

use super::board::Board;
use super::command::Dispatched;
use super::projection::{Checkpoint, Live, id};
use crate::unit_of_work::{Entity, Lookup, Rows, StoreError, Stored, TableStore};
use serde::{Deserialize, Serialize};
use squall_env::{Env, Instant, Position, mutant};
use std::sync::Arc;
use std::time::Duration;

/// A question about the view of a projection: where the answer is found, and how it is made of
/// that. All that is looked up is of one moment.
pub trait Query: Send + Sync {
    /// What is answered.
    type Answer: Send;

    /// The name of the projection.
    const PROJECTION: &'static str;

    /// What is looked up in the tables of this version.
    fn lookups(&self, version: u32) -> Vec<Lookup>;

    /// The answer, from the rows of each lookup; `None` if they are none of the view's.
    fn answer(&self, version: u32, found: &[Rows]) -> Option<Self::Answer>;
}

/// How new an answer has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Consistency {
    /// As it comes.
    Eventual,
    /// With all that happened up to this position.
    AtLeast(Position),
    /// With all that the session has done and seen.
    Session(Session),
}

impl Consistency {
    /// The position up to which everything is wanted.
    pub fn position(self) -> Position {
        match self {
            Consistency::Eventual => Position(0),
            Consistency::AtLeast(position) | Consistency::Session(Session { position }) => position,
        }
    }
}

/// What somebody has done and seen: whoever reads with it reads the own writes, and never goes back
/// (Terry and others, "Session Guarantees for Weakly Consistent Replicated Data", 1994).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Session {
    position: Position,
}

impl Session {
    /// A command was done.
    pub fn did(&mut self, dispatched: &Dispatched) {
        self.position = self.position.max(dispatched.position);
    }

    /// An answer was read.
    pub fn saw<T>(&mut self, read: &ReadResult<T>) {
        self.position = self.position.max(read.position);
    }
}

/// An answer: always of this shape, however old it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadResult<T> {
    /// What the view says.
    pub data: T,
    /// The position of which it says so: with all events up to there, and none behind it.
    pub position: Position,
    /// Whether it is older than was asked for, because the deadline came first.
    pub stale: bool,
}

/// Why there is no answer at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum QueryError {
    /// No version of the projection is live yet.
    #[error("there is no view of {0:?} yet")]
    NoView(String),
    /// The rows are none of the view's.
    #[error("the view of {0:?} cannot be read")]
    Unreadable(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers queries from the views of a node.
#[derive(Clone)]
pub struct Views {
    env: Env,
    tables: Arc<dyn TableStore>,
    board: Board,
}

impl Views {
    /// Views in these tables, whose projectors run on this node and use the same board.
    pub fn new(env: &Env, tables: Arc<dyn TableStore>, board: &Board) -> Views {
        Views { env: env.clone(), tables, board: board.clone() }
    }

    /// Answers a query. If the view is older than asked for, it waits to be told that the view has
    /// moved, but no longer than `limit`: then it answers with what there is, and says that it is
    /// stale.
    ///
    /// # Errors
    /// [`QueryError`] if there is nothing to answer with.
    pub async fn ask<Q: Query>(
        &self,
        query: &Q,
        consistency: Consistency,
        limit: Duration,
    ) -> Result<ReadResult<Q::Answer>, QueryError> {
        let until = self.env.now() + limit;
        let wanted = consistency.position();
        // What moves from here on is noticed, whatever is read meanwhile.
        let mut moves = self.board.watch();
        loop {
            let read = self.read(query).await?;
            let is_late = self.env.now() >= until;
            match read {
                Some((data, position, seen)) => {
                    let early = mutant!(self.env, "cqrs/answers-before-the-view-has-it");
                    let position = if early { position.max(seen) } else { position };
                    let stale = position < wanted;
                    if !stale || is_late {
                        return Ok(ReadResult { data, position, stale });
                    }
                }
                None if is_late => return Err(QueryError::NoView(Q::PROJECTION.to_owned())),
                None => {}
            }
            self.env.sometimes("a query waited for its view");
            self.wait(&mut moves, until).await;
        }
    }

    async fn wait(&self, moves: &mut super::board::Moves, until: Instant) {
        // If the projectors have gone, the node is about to.
        let _ = self.env.deadline(until, moves.next()).await;
    }

    /// The answer, its position, and what the projector has seen; `None` if no version is live.
    async fn read<Q: Query>(
        &self,
        query: &Q,
    ) -> Result<Option<(Q::Answer, Position, Position)>, QueryError> {
        let unreadable = || QueryError::Unreadable(Q::PROJECTION.to_owned());
        let mut guess = None;
        loop {
            let mut lookups = vec![Lookup::get(Live::TABLE.name, Q::PROJECTION)];
            if let Some(version) = guess {
                lookups.push(Lookup::get(Checkpoint::TABLE.name, &id(Q::PROJECTION, version)));
                lookups.extend(query.lookups(version));
            }
            let found = self.tables.read(&lookups).await?.found;
            let live = found.first().and_then(|rows| rows.first());
            let Some(live) = live.map(entity::<Live>) else { return Ok(None) };
            let version = live.ok_or_else(unreadable)?.version;
            if guess != Some(version) {
                // Another version has become live: what was looked up is not what is asked for.
                guess = Some(version);
                continue;
            }
            let checkpoint = found.get(1).and_then(|rows| rows.first());
            let checkpoint = checkpoint.and_then(entity::<Checkpoint>).ok_or_else(unreadable)?;
            let answer = query.answer(version, found.get(2..).unwrap_or_default());
            let seen = self.board.head(&checkpoint.id);
            return Ok(Some((answer.ok_or_else(unreadable)?, checkpoint.position, seen)));
        }
    }

    /// How many events the live view of a projection has yet to apply, as far as its projector
    /// knows; `None` if there is none.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn lag(&self, projection: &str) -> Result<Option<u64>, QueryError> {
        let found = self.tables.get(Live::TABLE.name, projection).await?.found;
        let live = found.and_then(|stored| Live::from_row(projection, &stored.row));
        Ok(live.and_then(|live| self.board.lag(projection, live.version)))
    }
}

fn entity<E: Entity>((key, stored): &(String, Stored)) -> Option<E> {
    E::from_row(key, &stored.row)
}
