//! openraft's log and vote on our journal.

use super::Types;
use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use serde::{Deserialize, Serialize};
use squall_env::Env;
use squall_env::journal::Journal;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

type Entry = EntryOf<Types>;
type LogId = LogIdOf<Types>;
type Vote = VoteOf<Types>;

/// What is journalled, in the order in which openraft asks for it.
#[derive(Serialize, Deserialize)]
enum Record {
    Vote(Vote),
    Committed(Option<LogId>),
    Append(Entry),
    /// Everything behind this entry is gone.
    Truncate(Option<LogId>),
    /// Everything up to this entry is gone.
    Purge(LogId),
}

/// The log in memory.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

impl Kept {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Committed(committed) => self.committed = committed,
            Record::Append(entry) => drop(self.entries.insert(entry.log_id.index, entry)),
            Record::Truncate(last) => {
                drop(self.entries.split_off(&last.map_or(0, |last| last.index + 1)));
            }
            Record::Purge(last) => {
                self.entries = self.entries.split_off(&(last.index + 1));
                self.purged = Some(last);
            }
        }
    }
}

/// Who is to be told that something is durable.
enum Told {
    Caller(oneshot::Sender<io::Result<()>>),
    Flushed(IOFlushed<Types>),
}

impl Told {
    fn tell(self, result: io::Result<()>) {
        match self {
            // Whoever does not wait any more wants to know no more.
            Told::Caller(caller) => drop(caller.send(result)),
            Told::Flushed(flushed) => flushed.io_completed(result),
        }
    }
}

enum Job {
    Write {
        records: Vec<Vec<u8>>,
        told: Told,
    },
    /// The whole log, in the place of all that was written before.
    Compact {
        kept: Vec<u8>,
        told: Told,
    },
}

/// The log: what it holds is read from memory, and written by one task in the order of the calls.
#[derive(Clone)]
pub struct Log {
    kept: Arc<Mutex<Kept>>,
    jobs: mpsc::UnboundedSender<Job>,
    /// Whether `append` returns only once the entries are durable.
    waits: bool,
}

impl Log {
    /// Recovers the log. The future that comes with it writes, and ends when the disk has failed.
    ///
    /// # Errors
    /// If the disk fails, or does not hold what was written.
    pub async fn open(
        env: &Env,
        waits: bool,
    ) -> io::Result<(Log, impl Future<Output = io::Error> + use<>)> {
        let (journal, contents) = Journal::open(env, "openraft").await.map_err(io::Error::other)?;
        if contents.damage.is_some() {
            return Err(io::Error::other("committed records are unreadable"));
        }
        let snapshot = contents.snapshot.as_ref().map(|(_, kept)| decode(kept));
        let mut kept: Kept = snapshot.transpose()?.unwrap_or_default();
        for record in &contents.records {
            kept.apply(decode(record)?);
        }
        let (jobs, todo) = mpsc::unbounded_channel();
        Ok((Log { kept: Arc::new(Mutex::new(kept)), jobs, waits }, write(journal, todo)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log and queues the records, in one step.
    fn write(&self, records: Vec<Record>, told: Told) -> io::Result<()> {
        let bytes = records.iter().map(encode).collect::<io::Result<Vec<_>>>()?;
        let mut kept = self.kept();
        records.into_iter().for_each(|record| kept.apply(record));
        self.queue(Job::Write { records: bytes, told })
    }

    fn queue(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| io::Error::other("the log is written no more"))
    }

    async fn write_durably(&self, record: Record) -> io::Result<()> {
        let (told, durable) = oneshot::channel();
        self.write(vec![record], Told::Caller(told))?;
        durable.await.map_err(io::Error::other)?
    }
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

/// Writes what is queued, as much as there is at a time.
async fn write(mut journal: Journal, mut todo: mpsc::UnboundedReceiver<Job>) -> io::Error {
    let mut waiting = Vec::new();
    let mut next = todo.recv().await;
    while let Some(job) = next {
        let (compact, told) = match job {
            Job::Write { records, told } => {
                for record in &records {
                    journal.append(record);
                }
                (None, told)
            }
            Job::Compact { kept, told } => (Some(kept), told),
        };
        waiting.push(told);
        next = todo.try_recv().ok();
        if compact.is_some() || next.is_none() {
            let done = commit(&mut journal, compact).await;
            let failed = done.err();
            for told in waiting.drain(..) {
                told.tell(failed.as_ref().map_or(Ok(()), |why| Err(io::Error::other(why.clone()))));
            }
            if let Some(failed) = failed {
                return io::Error::other(failed);
            }
        }
        if next.is_none() {
            next = todo.recv().await;
        }
    }
    io::Error::other("nobody writes any more")
}

async fn commit(journal: &mut Journal, compact: Option<Vec<u8>>) -> Result<(), String> {
    journal.commit().await.map_err(|error| error.to_string())?;
    if let Some(kept) = compact {
        let upto = journal.last();
        let replaced = journal.replace_snapshot(upto, &kept).await;
        replaced.map_err(|error| error.to_string())?;
        journal.covered();
    }
    Ok(())
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        Ok(self.kept().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.kept().vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let kept = self.kept();
        let last = kept.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id: last.or_else(|| kept.purged) })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.write_durably(Record::Vote(*vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.write_durably(Record::Committed(committed)).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.kept().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries.into_iter().map(Record::Append).collect();
        if !self.waits {
            return self.write(records, Told::Flushed(flushed));
        }
        let (told, durable) = oneshot::channel();
        self.write(records, Told::Caller(told))?;
        durable.await.map_err(io::Error::other)??;
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.write_durably(Record::Truncate(last)).await
    }

    async fn purge(&mut self, last: LogId) -> Result<(), io::Error> {
        let (told, durable) = oneshot::channel();
        {
            let mut kept = self.kept();
            kept.apply(Record::Purge(last));
            let kept = encode(&*kept)?;
            self.queue(Job::Compact { kept, told: Told::Caller(told) })?;
        }
        durable.await.map_err(io::Error::other)?
    }
}
