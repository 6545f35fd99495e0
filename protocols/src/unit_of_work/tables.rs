//! The state of a store: tables, the outbox, and the batches that it remembers.

use super::store::{
    Batch, Change, CommitError, Found, Lookup, Message, REMEMBERED_MAX, Rows, StoreError, Stored,
    Waiting, Write,
};
use crate::specification::{Specification, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Tables, as a value.
///
/// It is the durable state of a [`TablesMachine`](super::TablesMachine), and what other backends
/// are measured by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tables {
    schema: &'static [Table],
    state: State,
}

/// All of it that is durable.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    sequence: u64,
    /// Of each table of the schema, in its order.
    rows: Vec<BTreeMap<String, Stored>>,
    outbox: VecDeque<Waiting>,
    last_position: u64,
    /// What came of the last batches, each under its number.
    remembered: VecDeque<(u64, u128, Option<CommitError>)>,
    /// No batch up to this number is remembered.
    forgotten: u64,
}

impl State {
    /// The number of the last batch that was taken.
    pub fn last_number(&self) -> u64 {
        self.sequence
    }
}

/// A durable change of tables.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Record {
    /// A batch took effect, or the part of it that is written.
    Committed {
        /// Its id.
        id: u128,
        /// What it wrote.
        writes: Vec<Write>,
        /// What it says.
        messages: Vec<Message>,
    },
    /// A batch was refused for something that could change: it must stay refused.
    Refused {
        /// Its id.
        id: u128,
        /// Why.
        why: CommitError,
    },
    /// Messages up to this position were relayed.
    Relayed(u64),
}

impl Tables {
    /// Empty tables.
    pub fn new(schema: &'static [Table]) -> Tables {
        Tables::restore(schema, State::default())
    }

    /// Tables with what was kept of them.
    pub fn restore(schema: &'static [Table], mut state: State) -> Tables {
        state.rows.resize_with(schema.len().max(state.rows.len()), BTreeMap::new);
        Tables { schema, state }
    }

    /// What has to be kept of them.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What a batch changes, or why it must not; `None` if it was done before.
    ///
    /// # Errors
    /// [`CommitError`]. [`CommitError::is_to_be_kept`] says whether the refusal has to be recorded.
    pub fn decide(&self, batch: &Batch) -> Result<Option<Record>, CommitError> {
        if let Some((_, _, refused)) = self.remembered(batch.id) {
            return refused.clone().map_or(Ok(None), Err);
        }
        if batch.since < self.state.forgotten {
            return Err(CommitError::Forgotten);
        }
        let mut keys = BTreeSet::new();
        for write in &batch.writes {
            if !keys.insert((&write.table, &write.key)) {
                return Err(write.malformed());
            }
            self.check(write)?;
        }
        let writes = batch.writes.iter().filter(|write| write.changes()).cloned().collect();
        Ok(Some(Record::Committed { id: batch.id, writes, messages: batch.messages.clone() }))
    }

    /// Whether what a write counts on holds.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, write: &Write) -> Result<(), CommitError> {
        let place = self.place(&write.table).ok_or_else(|| write.malformed())?;
        let found = self.state.rows[place].get(&write.key).map(|stored| stored.version);
        if let Change::Insert { row } | Change::Update { row, .. } = &write.change
            && !self.schema[place].fits(row)
        {
            return Err(write.malformed());
        }
        write.check(found)
    }

    /// Whether no batch with this id is remembered.
    pub fn is_new(&self, id: u128) -> bool {
        self.remembered(id).is_none()
    }

    /// The number of the batch with this id, if it took effect.
    pub fn committed(&self, id: u128) -> Option<u64> {
        let (number, _, refused) = self.remembered(id)?;
        refused.is_none().then_some(*number)
    }

    fn remembered(&self, id: u128) -> Option<&(u64, u128, Option<CommitError>)> {
        self.state.remembered.iter().rev().find(|(_, known, _)| *known == id)
    }

    /// Makes a change that was decided on.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Committed { id, writes, messages } => {
                self.remember(*id, None);
                for write in writes {
                    self.write(write);
                }
                for message in messages {
                    self.state.last_position += 1;
                    let position = self.state.last_position;
                    self.state.outbox.push_back(Waiting { position, message: message.clone() });
                }
            }
            Record::Refused { id, why } => self.remember(*id, Some(why.clone())),
            Record::Relayed(upto) => {
                self.state.outbox.retain(|waiting| waiting.position > *upto);
            }
        }
    }

    fn remember(&mut self, id: u128, refused: Option<CommitError>) {
        let state = &mut self.state;
        state.sequence += 1;
        state.remembered.push_back((state.sequence, id, refused));
        if state.remembered.len() as u64 > REMEMBERED_MAX
            && let Some((number, _, _)) = state.remembered.pop_front()
        {
            state.forgotten = number;
        }
    }

    fn write(&mut self, write: &Write) {
        let Some(place) = self.place(&write.table) else { return };
        let (rows, version) = (&mut self.state.rows[place], self.state.sequence);
        match &write.change {
            Change::Insert { row } | Change::Update { row, .. } => {
                rows.insert(write.key.clone(), Stored { version, row: row.clone() });
            }
            Change::Delete { .. } => {
                rows.remove(&write.key);
            }
            Change::Check { .. } => {}
        }
    }

    fn place(&self, table: &str) -> Option<usize> {
        self.schema.iter().position(|known| known.name == table)
    }

    fn rows_of(&self, table: &str) -> Result<&BTreeMap<String, Stored>, StoreError> {
        let place = self.place(table);
        let place = place.ok_or_else(|| StoreError::UnknownTable(table.to_owned()))?;
        Ok(&self.state.rows[place])
    }

    /// What all these find.
    ///
    /// # Errors
    /// If there is no such table, or a specification does not fit its table.
    pub fn read(&self, lookups: &[Lookup]) -> Result<Found<Vec<Rows>>, StoreError> {
        let look = |lookup: &Lookup| match lookup {
            Lookup::Get { table, key } => {
                let row = self.rows_of(table)?.get_key_value(key);
                Ok(row.into_iter().map(|(key, stored)| (key.clone(), stored.clone())).collect())
            }
            Lookup::Find { table, specification } => self.find(table, specification),
        };
        let found: Result<Vec<Rows>, StoreError> = lookups.iter().map(look).collect();
        Ok(Found { sequence: self.state.sequence, found: found? })
    }

    /// The version of the row under a key.
    pub(super) fn version(&self, table: &str, key: &str) -> Option<u64> {
        self.rows_of(table).ok()?.get(key).map(|stored| stored.version)
    }

    /// The rows of which a specification holds, by their keys in order.
    ///
    /// # Errors
    /// If there is no such table, or the specification does not fit it.
    pub fn find(&self, table: &str, specification: &Specification) -> Result<Rows, StoreError> {
        let rows = self.rows_of(table)?.iter();
        let place = self.place(table).unwrap_or_default();
        let bound = specification.bind(&self.schema[place])?;
        let found = rows.filter(|(_, stored)| bound.is_satisfied_by(&stored.row));
        Ok(found.map(|(key, stored)| (key.clone(), stored.clone())).collect())
    }

    /// The first messages behind a position, at most so many.
    pub fn outbox(&self, after: u64, most: usize) -> Vec<Waiting> {
        let behind = self.state.outbox.iter().filter(|waiting| waiting.position > after);
        behind.take(most).cloned().collect()
    }
}

impl Write {
    pub(super) fn malformed(&self) -> CommitError {
        CommitError::Malformed { table: self.table.clone(), key: self.key.clone() }
    }

    pub(super) fn changes(&self) -> bool {
        !matches!(self.change, Change::Check { .. })
    }

    /// Whether what it counts on holds of the version that is there.
    pub(super) fn check(&self, found: Option<u64>) -> Result<(), CommitError> {
        let (table, key) = (self.table.clone(), self.key.clone());
        let expected = match self.change {
            Change::Check { version } => version,
            Change::Insert { .. } => None,
            Change::Update { version, .. } | Change::Delete { version } => Some(version),
        };
        match (expected, found) {
            (expected, found) if expected == found => Ok(()),
            (Some(_), None) => Err(CommitError::Missing { table, key }),
            (None, Some(_)) if self.changes() => Err(CommitError::Exists { table, key }),
            (expected, found) => {
                let (expected, found) = (expected.unwrap_or(0), found.unwrap_or(0));
                Err(CommitError::Conflict { table, key, expected, found })
            }
        }
    }
}

impl CommitError {
    /// Whether the same batch could take effect later, as when what is in its way is deleted. A
    /// version never comes back, but a key that is free does. A late copy of the batch must then
    /// find that it was refused, since its author was told so.
    pub fn is_to_be_kept(&self) -> bool {
        matches!(self, CommitError::Exists { .. } | CommitError::Conflict { expected: 0, .. })
    }
}
