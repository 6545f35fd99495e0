//! The log of tikv's `raft`: in memory for the node, and on our journal.

use super::MemberError;
use crate::register::Store;
use protobuf::Message as _;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use serde::{Deserialize, Serialize};
use squall_env::Env;
use squall_env::journal::Journal;
use std::io;

/// What is journalled, in the crate's own encoding.
#[derive(Serialize, Deserialize)]
enum Record {
    Hard(Vec<u8>),
    Entry(Vec<u8>),
    Snapshot(Vec<u8>),
}

/// A snapshot in the place of all that was journalled before.
#[derive(Serialize, Deserialize)]
struct Compacted {
    hard: Vec<u8>,
    snapshot: Vec<u8>,
    entries: Vec<Vec<u8>>,
}

/// The log as the node sees it.
pub struct Log {
    hard: HardState,
    /// What has taken the place of the first entries.
    snapshot: Snapshot,
    /// The entries behind it.
    entries: Vec<Entry>,
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// The state that is in a snapshot.
pub fn state_of(snapshot: &Snapshot) -> io::Result<Store> {
    match snapshot.get_data() {
        [] => Ok(Store::default()),
        data => decode(data),
    }
}

impl Log {
    /// The last entry that is in the snapshot.
    pub fn snapshot_index(&self) -> u64 {
        self.snapshot.get_metadata().index
    }

    fn last(&self) -> u64 {
        self.entries.last().map_or(self.snapshot_index(), |entry| entry.index)
    }

    fn append(&mut self, entry: Entry) {
        let from = entry.index - self.snapshot_index() - 1;
        self.entries.truncate(from as usize);
        self.entries.push(entry);
    }

    /// A snapshot takes the place of the entries up to its own, and of all if they do not fit.
    fn install(&mut self, snapshot: Snapshot) {
        let (index, term) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
        if self.term(index) == Ok(term) {
            self.entries.retain(|entry| entry.index > index);
        } else {
            self.entries.clear();
        }
        self.hard.commit = self.hard.commit.max(index);
        self.snapshot = snapshot;
    }

    fn replay(&mut self, record: Record) -> std::result::Result<(), MemberError> {
        match record {
            Record::Hard(hard) => self.hard = HardState::parse_from_bytes(&hard)?,
            Record::Entry(entry) => self.append(Entry::parse_from_bytes(&entry)?),
            Record::Snapshot(snapshot) => self.install(Snapshot::parse_from_bytes(&snapshot)?),
        }
        Ok(())
    }

    fn compacted(&self) -> std::result::Result<Compacted, MemberError> {
        let entries = self.entries.iter().map(protobuf::Message::write_to_bytes);
        Ok(Compacted {
            hard: self.hard.write_to_bytes()?,
            snapshot: self.snapshot.write_to_bytes()?,
            entries: entries.collect::<std::result::Result<_, _>>()?,
        })
    }
}

impl Storage for Log {
    fn initial_state(&self) -> Result<RaftState> {
        let conf_state = self.snapshot.get_metadata().get_conf_state().clone();
        Ok(RaftState { hard_state: self.hard.clone(), conf_state })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.snapshot_index() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let nth = |index: u64| (index - self.snapshot_index() - 1) as usize;
        let mut entries = self.entries[nth(low)..nth(high)].to_vec();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        let first = self.snapshot_index();
        match index.checked_sub(first) {
            None => Err(Error::Store(StorageError::Compacted)),
            Some(0) => Ok(self.snapshot.get_metadata().term),
            Some(nth) => match self.entries.get(nth as usize - 1) {
                Some(entry) => Ok(entry.term),
                None => Err(Error::Store(StorageError::Unavailable)),
            },
        }
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.snapshot_index() + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _: u64) -> Result<Snapshot> {
        if self.snapshot_index() < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.clone())
    }
}

/// The journal behind the log.
pub struct Durable {
    journal: Journal,
    snapshot_index: u64,
}

impl Durable {
    /// Recovers journal, log and state of a cluster of these voters.
    pub async fn open(
        env: &Env,
        voters: Vec<u64>,
    ) -> std::result::Result<(Durable, Log, Store), MemberError> {
        let (journal, contents) = Journal::open(env, "tikv-raft").await?;
        if contents.damage.is_some() {
            return Err(io::Error::other("committed records are unreadable").into());
        }
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().set_conf_state(ConfState::from((voters, Vec::new())));
        let mut log = Log { hard: HardState::default(), snapshot, entries: Vec::new() };
        if let Some((_, bytes)) = &contents.snapshot {
            let compacted: Compacted = decode(bytes)?;
            log.replay(Record::Snapshot(compacted.snapshot))?;
            for entry in compacted.entries {
                log.replay(Record::Entry(entry))?;
            }
            log.replay(Record::Hard(compacted.hard))?;
        }
        for record in &contents.records {
            log.replay(decode(record)?)?;
        }
        let store = state_of(&log.snapshot)?;
        let durable = Durable { journal, snapshot_index: log.snapshot_index() };
        Ok((durable, log, store))
    }

    /// The last entry that is in the snapshot.
    pub fn snapshot_index(&self) -> u64 {
        self.snapshot_index
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.journal.append(&encode(record)?);
        Ok(())
    }

    pub fn append(
        &mut self,
        log: &mut Log,
        entries: &[Entry],
    ) -> std::result::Result<(), MemberError> {
        for entry in entries {
            self.write(&Record::Entry(entry.write_to_bytes()?))?;
            log.append(entry.clone());
        }
        Ok(())
    }

    pub fn set_hard_state(
        &mut self,
        log: &mut Log,
        hard: HardState,
    ) -> std::result::Result<(), MemberError> {
        self.write(&Record::Hard(hard.write_to_bytes()?))?;
        log.hard = hard;
        Ok(())
    }

    pub fn set_commit(
        &mut self,
        log: &mut Log,
        commit: u64,
    ) -> std::result::Result<(), MemberError> {
        let mut hard = log.hard.clone();
        hard.commit = commit;
        self.set_hard_state(log, hard)
    }

    pub fn install(
        &mut self,
        log: &mut Log,
        snapshot: &Snapshot,
    ) -> std::result::Result<(), MemberError> {
        self.write(&Record::Snapshot(snapshot.write_to_bytes()?))?;
        log.install(snapshot.clone());
        self.snapshot_index = log.snapshot_index();
        Ok(())
    }

    /// Makes everything durable that was written.
    pub async fn commit(&mut self) -> std::result::Result<(), MemberError> {
        self.journal.commit().await?;
        Ok(())
    }

    /// The state up to an entry takes the place of the entries, in memory and in the journal.
    pub async fn snapshot(
        &mut self,
        log: &mut Log,
        applied: u64,
        store: &Store,
    ) -> std::result::Result<(), MemberError> {
        let term = log.term(applied)?;
        let mut snapshot = log.snapshot.clone();
        snapshot.mut_metadata().index = applied;
        snapshot.mut_metadata().term = term;
        snapshot.set_data(encode(store)?.into());
        log.install(snapshot);
        self.snapshot_index = applied;
        self.commit().await?;
        let upto = self.journal.last();
        let body = encode(&log.compacted()?)?;
        self.journal.replace_snapshot(upto, &body).await?;
        self.journal.covered();
        Ok(())
    }
}
