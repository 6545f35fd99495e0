//! The store as a machine on a journal.

use super::store::{
    Batch, Change, CommitError, Found, Lookup, Rows, StoreError, TableStore, Waiting, Write,
};
use super::tables::{Record, State, Tables};
use crate::specification::{Row, Table};
use serde::{Deserialize, Serialize};
use squall_env::machine::RequestError;
use squall_env::platform::BoxFuture;
use squall_env::{Handle, Machine, Never, RequestId, Turn, mutant};

/// After so many records the journal is replaced by a snapshot.
const RECORDS_MAX: u64 = 64;

/// Tables on a journal: one batch is one record, so a crash leaves all of it or nothing.
pub struct TablesMachine {
    tables: Tables,
    since_snapshot: u64,
}

/// What is asked of a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// See [`TableStore::read`].
    Read(Vec<Lookup>),
    /// See [`TableStore::commit`].
    Commit(Batch),
    /// See [`TableStore::outbox`].
    Outbox(u64, u32),
    /// See [`TableStore::relayed`].
    Relayed(u64),
}

/// What a store answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Ask::Read`].
    Read(Result<Found<Vec<Rows>>, StoreError>),
    /// To [`Ask::Commit`].
    Committed(Result<u64, CommitError>),
    /// To [`Ask::Outbox`].
    Waiting(Vec<Waiting>),
    /// To [`Ask::Relayed`].
    Relayed,
}

impl TablesMachine {
    /// Its tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    fn persist(&mut self, record: Record, turn: &mut Turn<TablesMachine>) {
        if mutant!(turn, "unit-of-work/commits-to-memory") {
            return self.apply(&record);
        }
        turn.persist(self, record);
        self.since_snapshot += 1;
        if self.since_snapshot >= RECORDS_MAX {
            self.since_snapshot = 0;
            turn.compact();
        }
    }

    fn commit(
        &mut self,
        batch: &Batch,
        turn: &mut Turn<TablesMachine>,
    ) -> Result<u64, CommitError> {
        if mutant!(turn, "unit-of-work/commits-one-by-one") {
            return self.commit_one_by_one(batch, turn);
        }
        let decided = if mutant!(turn, "unit-of-work/ignores-versions") {
            self.tables.decide(&self.blind(batch))
        } else if mutant!(turn, "unit-of-work/adds-over-what-is-there") {
            self.tables.decide(&self.overwriting(batch))
        } else if mutant!(turn, "unit-of-work/updates-what-is-missing") {
            self.tables.decide(&self.passing_over(batch))
        } else {
            self.tables.decide(batch)
        };
        match decided {
            Ok(Some(mut record)) => {
                if mutant!(turn, "unit-of-work/forgets-batches")
                    && let Record::Committed { id, .. } = &mut record
                {
                    *id = !*id;
                }
                self.persist(record, turn);
                Ok(self.tables.state().last_number())
            }
            Ok(None) => {
                turn.sometimes("a batch came again");
                Ok(self.tables.committed(batch.id).unwrap_or_default())
            }
            Err(why) => {
                if why.is_to_be_kept() && self.tables.is_new(batch.id) {
                    self.persist(Record::Refused { id: batch.id, why: why.clone() }, turn);
                }
                Err(why)
            }
        }
    }

    /// What goes wrong in a store without transactions.
    fn commit_one_by_one(
        &mut self,
        batch: &Batch,
        turn: &mut Turn<TablesMachine>,
    ) -> Result<u64, CommitError> {
        for (at, write) in batch.writes.iter().enumerate() {
            self.tables.check(write)?;
            let last = at + 1 == batch.writes.len();
            let messages = if last { batch.messages.clone() } else { Vec::new() };
            let writes = vec![write.clone()];
            self.persist(Record::Committed { id: batch.id, writes, messages }, turn);
        }
        Ok(self.tables.state().last_number())
    }

    /// The batch with updates of what it adds and is there already.
    fn overwriting(&self, batch: &Batch) -> Batch {
        let overwriting = |write: &Write| match &write.change {
            Change::Insert { row } => {
                let found = self.tables.version(&write.table, &write.key);
                let update = |version| Change::Update { version, row: row.clone() };
                let change = found.map_or(write.change.clone(), update);
                Write { change, ..write.clone() }
            }
            _ => write.clone(),
        };
        Batch { writes: batch.writes.iter().map(overwriting).collect(), ..batch.clone() }
    }

    /// The batch without what it updates or deletes and is not there.
    fn passing_over(&self, batch: &Batch) -> Batch {
        let is_there = |write: &&Write| match write.change {
            Change::Update { .. } | Change::Delete { .. } => {
                self.tables.version(&write.table, &write.key).is_some()
            }
            _ => true,
        };
        let writes = batch.writes.iter().filter(is_there).cloned().collect();
        Batch { writes, ..batch.clone() }
    }

    /// The batch with the versions that are there, whatever was read.
    fn blind(&self, batch: &Batch) -> Batch {
        let blind = |write: &Write| {
            let found = self.tables.version(&write.table, &write.key);
            let overwrite = |row: &Row| found.map(|version| (version, row.clone()));
            let change = match &write.change {
                Change::Update { row, .. } => overwrite(row)
                    .map(|(version, row)| Change::Update { version, row })
                    .unwrap_or(write.change.clone()),
                Change::Check { .. } => Change::Check { version: found },
                other => other.clone(),
            };
            Write { change, ..write.clone() }
        };
        Batch { writes: batch.writes.iter().map(blind).collect(), ..batch.clone() }
    }
}

impl Machine for TablesMachine {
    type Config = &'static [Table];
    type Timer = Never;
    type Message = Never;
    type Request = Ask;
    type Reply = Answer;
    type Record = Record;
    type Snapshot = State;

    fn restore(schema: &&'static [Table], snapshot: Option<State>) -> TablesMachine {
        let tables = Tables::restore(schema, snapshot.unwrap_or_default());
        TablesMachine { tables, since_snapshot: 0 }
    }

    fn apply(&mut self, record: &Record) {
        self.tables.apply(record);
    }

    fn snapshot(&self) -> State {
        self.tables.state().clone()
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<TablesMachine>) {
        let answer = match ask {
            Ask::Read(lookups) => Answer::Read(self.tables.read(&lookups)),
            Ask::Commit(batch) => Answer::Committed(self.commit(&batch, turn)),
            Ask::Outbox(after, most) => Answer::Waiting(self.tables.outbox(after, most as usize)),
            Ask::Relayed(upto) => {
                if self.tables.outbox(0, 1).first().is_some_and(|first| first.position <= upto) {
                    self.persist(Record::Relayed(upto), turn);
                }
                Answer::Relayed
            }
        };
        turn.reply(id, answer);
    }
}

/// Whoever passes questions on to a machine is a [`TableStore`]: its handle, or a client on another
/// node.
pub trait Asks: Send + Sync {
    /// Asks, and waits for the answer.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, StoreError>>;
}

impl Asks for Handle<TablesMachine> {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, StoreError>> {
        Box::pin(async move { self.request(ask).await.map_err(StoreError::from) })
    }
}

impl From<RequestError> for StoreError {
    fn from(error: RequestError) -> StoreError {
        match error {
            RequestError::Busy | RequestError::Stopped => {
                StoreError::Unavailable(error.to_string())
            }
            RequestError::Indeterminate => StoreError::Unanswered(error.to_string()),
        }
    }
}

fn foreign() -> StoreError {
    StoreError::Unanswered("a store of another program answers".to_owned())
}

impl<A: Asks> TableStore for A {
    fn read<'a>(
        &'a self,
        lookups: &'a [Lookup],
    ) -> BoxFuture<'a, Result<Found<Vec<Rows>>, StoreError>> {
        Box::pin(async move {
            match self.ask(Ask::Read(lookups.to_vec())).await? {
                Answer::Read(found) => found,
                _ => Err(foreign()),
            }
        })
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<u64, CommitError>> {
        Box::pin(async move {
            match self.ask(Ask::Commit(batch.clone())).await? {
                Answer::Committed(committed) => committed,
                _ => Err(foreign().into()),
            }
        })
    }

    fn outbox(&self, after: u64, most: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>> {
        Box::pin(async move {
            match self.ask(Ask::Outbox(after, most as u32)).await? {
                Answer::Waiting(waiting) => Ok(waiting),
                _ => Err(foreign()),
            }
        })
    }

    fn relayed(&self, upto: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            match self.ask(Ask::Relayed(upto)).await? {
                Answer::Relayed => Ok(()),
                _ => Err(foreign()),
            }
        })
    }
}
