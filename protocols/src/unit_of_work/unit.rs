//! The unit of work: what was read and what is to be written, until it is committed as one.

use super::store::{Batch, Change, CommitError, Message, StoreError, Stored, TableStore, Write};
use crate::specification::{Row, Specification, Table};
use squall_env::{Env, HasOutcome, Outcome, mutant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that is kept as a row of a table.
pub trait Entity: Sized + Send {
    /// The table.
    const TABLE: Table;

    /// What tells it from others in its table.
    fn key(&self) -> String;

    /// Its fields, in the table's order.
    fn to_row(&self) -> Row;

    /// The entity of a row, if the row is one's.
    fn from_row(key: &str, row: &Row) -> Option<Self>;
}

/// Why a unit of work did not do something. Nothing has changed in the store, unless a commit says
/// otherwise.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// What is added is there already.
    #[error("{key:?} is in {table:?} already")]
    Exists {
        /// The table's name.
        table: &'static str,
        /// The row's key.
        key: String,
    },
    /// What is updated or removed is not there.
    #[error("{key:?} is not in {table:?}")]
    Missing {
        /// The table's name.
        table: &'static str,
        /// The row's key.
        key: String,
    },
    /// What is updated or removed was not read before, so nobody knows what would be lost.
    #[error("{key:?} of {table:?} was not read by this unit of work")]
    Unread {
        /// The table's name.
        table: &'static str,
        /// The row's key.
        key: String,
    },
    /// What is kept under the key is no such entity.
    #[error("{key:?} of {table:?} cannot be read")]
    Unreadable {
        /// The table's name.
        table: &'static str,
        /// The row's key.
        key: String,
    },
    /// Nobody knows whether the last commit was done. Commit again, or roll back to give it up.
    #[error("the last commit is in doubt")]
    InDoubt,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The commit was refused, or nobody knows.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl HasOutcome for UnitError {
    fn outcome(&self) -> Outcome {
        match self {
            UnitError::InDoubt => Outcome::Indeterminate,
            UnitError::Commit(error) => error.outcome(),
            // Reading changes nothing.
            _ => Outcome::NotDone,
        }
    }
}

/// A unit of work (Fowler, "Patterns of Enterprise Application Architecture", 2002): it keeps each
/// row that was read once, hands out copies, notes what is to become of them, and commits all of
/// it as one batch, on condition that everything is as it was read.
pub struct UnitOfWork {
    env: Env,
    store: Arc<dyn TableStore>,
    /// The identity map: what stood under a key, and what shall.
    rows: BTreeMap<(String, String), Tracked>,
    messages: Vec<Message>,
    /// The number of the last batch before the first thing that was read.
    since: Option<u64>,
    /// A batch that may have been done.
    doubt: Option<Batch>,
}

struct Tracked {
    before: Before,
    now: Option<Row>,
}

/// What is known of a row in the store.
enum Before {
    /// Whoever adds it counts on it not being there.
    Unread,
    Read(Option<Stored>),
}

impl UnitOfWork {
    /// A unit of work on a store, which may be used for one thing after the other.
    pub fn new(env: &Env, store: Arc<dyn TableStore>) -> UnitOfWork {
        UnitOfWork {
            env: env.clone(),
            store,
            rows: BTreeMap::new(),
            messages: Vec::new(),
            since: None,
            doubt: None,
        }
    }

    /// The entity under a key, as this unit of work has read or changed it.
    ///
    /// # Errors
    /// If the store does not answer, or what stands there is no such entity.
    pub async fn get<E: Entity>(&mut self, key: &str) -> Result<Option<E>, UnitError> {
        self.is_certain()?;
        let table = E::TABLE.name;
        let place = (table.to_owned(), key.to_owned());
        if !self.rows.contains_key(&place) {
            let read = self.store.get(table, key).await?;
            self.since.get_or_insert(read.sequence);
            self.read(place.clone(), read.found);
        }
        let now = self.rows.get(&place).and_then(|tracked| tracked.now.as_ref());
        now.map(|row| entity(key, row)).transpose()
    }

    /// The entities of which a specification holds, by their keys in order. What this unit of work
    /// has changed counts as it is now. That nobody adds another such entity before the commit is
    /// not checked: only what was read is.
    ///
    /// # Errors
    /// If the store does not answer, the specification does not fit, or something that is found is
    /// no such entity.
    pub async fn find<E: Entity>(
        &mut self,
        specification: &Specification,
    ) -> Result<Vec<E>, UnitError> {
        self.is_certain()?;
        let table = E::TABLE.name;
        let read = self.store.find(table, specification).await?;
        let bound = specification.bind(&E::TABLE).map_err(StoreError::from)?;
        self.since.get_or_insert(read.sequence);
        for (key, stored) in read.found {
            // What was read first stays: the commit tells if it is not so any more.
            self.read((table.to_owned(), key), Some(stored));
        }
        let of_table = self.rows.iter().filter(|((of, _), _)| *of == table);
        let there = of_table.filter_map(|((_, key), tracked)| Some((key, tracked.now.as_ref()?)));
        let found = there.filter(|(_, row)| bound.is_satisfied_by(row));
        found.map(|(key, row)| entity(key, row)).collect()
    }

    /// The entities of which a specification holds in the store, which this unit of work does not
    /// keep: the commit does not check them.
    ///
    /// # Errors
    /// As [`UnitOfWork::find`].
    pub async fn peek<E: Entity>(
        &mut self,
        specification: &Specification,
    ) -> Result<Vec<E>, UnitError> {
        let read = self.store.find(E::TABLE.name, specification).await?;
        read.found.iter().map(|(key, stored)| entity(key, &stored.row)).collect()
    }

    fn read(&mut self, place: (String, String), found: Option<Stored>) {
        let now = found.as_ref().map(|stored| stored.row.clone());
        self.rows.entry(place).or_insert(Tracked { before: Before::Read(found), now });
    }

    /// Registers a new entity.
    ///
    /// # Errors
    /// If it is known to be there. If it is there unknown to this unit of work, the commit says so.
    pub fn add<E: Entity>(&mut self, entity: &E) -> Result<(), UnitError> {
        self.is_certain()?;
        let (table, key) = (E::TABLE.name, entity.key());
        let unread = || Tracked { before: Before::Unread, now: None };
        let tracked = self.rows.entry((table.to_owned(), key.clone())).or_insert_with(unread);
        if tracked.now.is_some() {
            return Err(UnitError::Exists { table, key });
        }
        tracked.now = Some(entity.to_row());
        Ok(())
    }

    /// Registers that an entity has changed. Until then a copy that was handed out is nobody's
    /// business.
    ///
    /// # Errors
    /// If it was not read before, or is not there.
    pub fn update<E: Entity>(&mut self, entity: &E) -> Result<(), UnitError> {
        self.replace::<E>(entity.key(), Some(entity.to_row()))
    }

    /// Registers that an entity is removed. One that this unit of work has added comes to nothing.
    ///
    /// # Errors
    /// If it was not read before, or is not there.
    pub fn remove<E: Entity>(&mut self, key: &str) -> Result<(), UnitError> {
        self.replace::<E>(key.to_owned(), None)
    }

    fn replace<E: Entity>(&mut self, key: String, row: Option<Row>) -> Result<(), UnitError> {
        self.is_certain()?;
        let table = E::TABLE.name;
        match self.rows.get_mut(&(table.to_owned(), key.clone())) {
            None => Err(UnitError::Unread { table, key }),
            Some(tracked) if tracked.now.is_none() => Err(UnitError::Missing { table, key }),
            Some(tracked) => {
                tracked.now = row;
                Ok(())
            }
        }
    }

    /// Has others hear of it, if it is committed.
    ///
    /// # Errors
    /// If the last commit is in doubt.
    pub fn send(&mut self, topic: &str, body: Vec<u8>) -> Result<(), UnitError> {
        self.is_certain()?;
        self.messages.push(Message { topic: topic.to_owned(), body });
        Ok(())
    }

    /// Commits everything as one. Whatever comes of it, the next thing is read afresh, unless it is
    /// unknown: then committing again asks for the same once more, and does it once.
    ///
    /// Gives the number of the batch, or `None` if there was nothing to commit or check.
    ///
    /// # Errors
    /// [`CommitError`]; nothing has changed, unless its outcome is indeterminate.
    pub async fn commit(&mut self) -> Result<Option<u64>, UnitError> {
        let batch = match self.doubt.take() {
            Some(batch) => batch,
            None => match self.batch().await? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        // Who drops this future does not know either.
        let batch = self.doubt.insert(batch).clone();
        let committed = self.store.commit(&batch).await;
        match &committed {
            Err(error) if error.outcome() == Outcome::Indeterminate => {}
            Err(CommitError::Conflict { table, key, found, .. })
                if mutant!(self.env, "unit-of-work/keeps-what-it-read-after-a-conflict") =>
            {
                let mut rows = self.rows.iter_mut();
                if let Some((_, stale)) = rows.find(|(at, _)| at.0 == *table && at.1 == *key)
                    && let Before::Read(Some(stored)) = &mut stale.before
                {
                    stored.version = *found;
                }
                (self.doubt, self.since) = (None, None);
            }
            _ => self.forget(),
        }
        Ok(Some(committed?))
    }

    /// Forgets everything that was read and registered. A commit in doubt is given up, and may have
    /// been done.
    pub fn rollback(&mut self) {
        if mutant!(self.env, "unit-of-work/rollback-leaves-part")
            && let Some(first) = self.rows.pop_first()
        {
            self.forget();
            self.rows.extend([first]);
            return;
        }
        self.forget();
    }

    /// Whether a commit may have been done, and nobody knows.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    fn forget(&mut self) {
        self.rows.clear();
        self.messages.clear();
        self.since = None;
        self.doubt = None;
    }

    fn is_certain(&self) -> Result<(), UnitError> {
        if self.doubt.is_some() { Err(UnitError::InDoubt) } else { Ok(()) }
    }

    /// What has to be committed.
    async fn batch(&mut self) -> Result<Option<Batch>, UnitError> {
        let writes: Vec<Write> = self
            .rows
            .iter()
            .filter_map(|((table, key), tracked)| {
                let (table, key) = (table.clone(), key.clone());
                Some(Write { table, key, change: tracked.change()? })
            })
            .collect();
        if writes.is_empty() && self.messages.is_empty() {
            self.forget();
            return Ok(None);
        }
        let since = match self.since {
            Some(since) => since,
            None => self.store.sequence().await?,
        };
        let id = u128::from(self.env.random()) << 64 | u128::from(self.env.random());
        Ok(Some(Batch { id, since, writes, messages: std::mem::take(&mut self.messages) }))
    }
}

impl Tracked {
    /// What a commit does with the row.
    fn change(&self) -> Option<Change> {
        let stored = match &self.before {
            Before::Unread => None,
            Before::Read(stored) => stored.as_ref(),
        };
        match (stored, &self.now) {
            (None, Some(row)) => Some(Change::Insert { row: row.clone() }),
            (Some(stored), Some(row)) if stored.row == *row => {
                Some(Change::Check { version: Some(stored.version) })
            }
            (Some(stored), Some(row)) => {
                Some(Change::Update { version: stored.version, row: row.clone() })
            }
            (Some(stored), None) => Some(Change::Delete { version: stored.version }),
            // It was added and removed again, and nobody has looked.
            (None, None) if matches!(self.before, Before::Unread) => None,
            (None, None) => Some(Change::Check { version: None }),
        }
    }
}

fn entity<E: Entity>(key: &str, row: &Row) -> Result<E, UnitError> {
    let unreadable = || UnitError::Unreadable { table: E::TABLE.name, key: key.to_owned() };
    E::from_row(key, row).ok_or_else(unreadable)
}
