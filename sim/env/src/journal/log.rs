//! A log whose records stay on the disk: in memory there is only where each of them stands.
//!
//! It has the files, the batches and the checks of a [`Journal`] and shares its writer, but there
//! are no snapshots: nothing is ever removed. Damage is refused, since there is nothing that could
//! take the place of what is lost. As with a journal, damage in the very last batch cannot be told
//! from a tail that was torn before anybody was told of it.

use super::format::{
    BATCH_HEADER, Damage, Header, Identity, JournalError, PLAIN, Position, SECTOR, SegmentHeader,
    read_batch, segment_number, segment_path,
};
use super::recovery::{check_owner, create_segment, holds_others};
use super::{Files, Journal};
use crate::disk::DiskError;
use crate::shown::Image;
use crate::{Env, File};
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// Why a log could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// The files are another's, of a later version, or the disk failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Committed records cannot be read.
    #[error("records behind {} cannot be read: {}", .0.after.0, .0.reason)]
    Damaged(Damage),
}

impl From<DiskError> for LogError {
    fn from(error: DiskError) -> LogError {
        LogError::Journal(error.into())
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u32,
    offset: u32,
    length: u32,
}

/// An append-only log of one node.
pub struct Log {
    journal: Journal,
    /// Of each durable record, in order.
    places: Vec<Place>,
    /// Of each other one, where in its batch it begins, and its length.
    pending: VecDeque<(u32, u32)>,
}

/// Records to be read that stand near each other in one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    segment: u64,
    path: String,
    offset: u64,
    length: usize,
    /// Where in the run each record begins, and its length.
    records: Vec<(usize, usize)>,
}

/// The most bytes that are read in one go, unless a single record is longer.
const RUN_MAX: u64 = 256 << 10;

/// The most bytes between two records of one run.
const GAP_MAX: u64 = 8 << 10;

impl Log {
    /// Recovers the log called `name` of this node, or makes it, and shows every record to `visit`
    /// in order. All of them are durable once this returns. A segment that has grown beyond
    /// `segment_max` bytes is followed by a new one.
    ///
    /// # Errors
    /// [`LogError`]; then nothing was changed.
    pub async fn open(
        env: &Env,
        name: &str,
        segment_max: u64,
        mut visit: impl FnMut(Position, &[u8]) + Send,
    ) -> Result<Log, LogError> {
        let identity = Identity::own(env, name);
        let mut numbers: Vec<u64> = Vec::new();
        numbers.extend(env.list("").await?.iter().filter_map(|path| segment_number(name, path)));
        numbers.sort_unstable();
        let mut found = Found { next: 1, places: Vec::new() };
        let mut content = None;
        for (at, number) in numbers.iter().enumerate() {
            let path = segment_path(name, *number);
            let mut bytes = env.read_file(&path).await?.unwrap_or_default();
            let is_last = at + 1 == numbers.len();
            let good = found.segment(&identity, *number, (&bytes, is_last), &mut visit)?;
            if is_last {
                if crate::mutant!(env, "log/refuses-torn-tail") && good < bytes.len() {
                    return Err(found.damaged(format!("{path} ends within a batch")));
                }
                if !crate::mutant!(env, "log/appends-behind-torn-tail") {
                    bytes.resize(good, 0);
                }
                content = Some(bytes);
            }
        }
        let segment = numbers.last().copied().unwrap_or(1);
        // After a failed sync the last segment may read back well and still not be on the disk.
        let content = content
            .unwrap_or_else(|| SegmentHeader::new(&identity, segment, found.next).encode(PLAIN));
        let (file, offset) =
            create_segment(env.clone(), segment_path(name, segment), content).await?;
        let last = found.next - 1;
        let mut journal = Journal::blank(env, identity, last, last);
        (journal.segment, journal.file, journal.offset) = (segment, Some(file), offset);
        journal.segment_max = segment_max;
        Ok(Log { journal, places: found.places, pending: VecDeque::new() })
    }

    /// Adds the record that `write` appends to the buffer it is given. What is appended between
    /// two calls of [`Log::start`] is durable as a whole or not at all.
    pub fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Position {
        let mut place = (0, 0);
        let staged = self.journal.staged.length();
        let begins = if self.journal.staged.is_empty() { BATCH_HEADER } else { staged } + 4;
        let position = self.journal.append_with(|into| {
            write(into);
            place = (begins as u32, (into.len() - begins) as u32);
        });
        self.pending.push_back(place);
        position
    }

    /// The position of the last record that was appended.
    pub fn last(&self) -> Position {
        self.journal.last()
    }

    /// Everything up to this position is durable.
    pub fn durable(&self) -> Position {
        self.journal.durable()
    }

    /// Starts to write what was appended if there is anything and no other batch is on its way.
    pub fn start(&mut self) {
        self.journal.start();
    }

    /// Drives the batch that is on its way, as [`Journal::poll`] does.
    ///
    /// # Errors
    /// As there.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, DiskError>> {
        let polled = self.journal.poll(cx);
        if let Poll::Ready(Ok(durable)) = polled {
            self.placed(durable);
        }
        polled
    }

    /// The batch that ends here stands where the segment ends now.
    fn placed(&mut self, durable: Position) {
        let count = durable.0 as usize - self.places.len();
        let records: Vec<(u32, u32)> = self.pending.drain(..count).collect();
        let end = records.last().map_or(0, |(begins, length)| u64::from(begins + length));
        let start = self.journal.offset - end.next_multiple_of(SECTOR as u64);
        let segment = self.journal.segment as u32;
        let place = |(begins, length): (u32, u32)| {
            let offset = start as u32 + begins;
            Place { segment, offset, length }
        };
        self.places.extend(records.into_iter().map(place));
    }

    /// Where these records stand: of each of the positions, which increase, that is durable. Runs
    /// are in the same order, and so are the records in each.
    pub fn find(&self, positions: impl IntoIterator<Item = Position>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let name = &self.journal.identity().journal;
        for position in positions {
            let Some(place) = position.0.checked_sub(1).and_then(|at| self.places.get(at as usize))
            else {
                continue;
            };
            let (offset, length) = (u64::from(place.offset), place.length as usize);
            let end = offset + u64::from(place.length);
            let near = runs.last_mut().filter(|run| {
                let ends = run.offset + run.length as u64;
                let behind = offset.checked_sub(ends).is_some_and(|gap| gap <= GAP_MAX);
                run.segment == u64::from(place.segment) && behind && end - run.offset <= RUN_MAX
            });
            if let Some(run) = near {
                run.records.push(((offset - run.offset) as usize, length));
                run.length = (end - run.offset) as usize;
            } else {
                let segment = u64::from(place.segment);
                let path = segment_path(name, segment);
                runs.push(Run { segment, path, offset, length, records: vec![(0, length)] });
            }
        }
        runs
    }
}

/// Reads runs. It keeps the file of the last one open.
pub struct RunReader<'a> {
    env: &'a Env,
    open: Option<(u64, File)>,
}

impl<'a> RunReader<'a> {
    /// A reader of this node's runs.
    pub fn new(env: &'a Env) -> RunReader<'a> {
        RunReader { env, open: None }
    }

    /// Reads the records of a run and shows them in order. A record that is not there any more is
    /// shown cut short.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn read(&mut self, run: &Run, mut show: impl FnMut(&[u8])) -> Result<(), DiskError> {
        if !matches!(&self.open, Some((segment, _)) if *segment == run.segment) {
            self.open = Some((run.segment, self.env.open_file(&run.path, false).await?));
        }
        let Some((_, file)) = &mut self.open else { return Ok(()) };
        let bytes = file.read_at(run.offset, run.length).await?;
        for (begins, length) in &run.records {
            let end = (begins + length).min(bytes.len());
            show(bytes.get(*begins..end).unwrap_or_default());
        }
        Ok(())
    }
}

/// The records of a log as a crash could leave it on the disk.
pub struct LogImage(Vec<Vec<u8>>);

impl LogImage {
    /// What the log called `name` would recover from this image.
    ///
    /// # Errors
    /// Why it would not open.
    pub fn of(
        image: &dyn Image,
        (cluster, node): (&str, &str),
        name: &str,
    ) -> Result<LogImage, LogError> {
        let (cluster, node, journal) = (cluster.to_owned(), node.to_owned(), name.to_owned());
        let identity = Identity { cluster, node, journal };
        let files = Files::of(image, name);
        let mut found = Found { next: 1, places: Vec::new() };
        let mut records = Vec::new();
        for (at, (number, bytes)) in files.segments.iter().enumerate() {
            let is_last = at + 1 == files.segments.len();
            found.segment(&identity, *number, (bytes, is_last), &mut |_, record| {
                records.push(record.to_vec());
            })?;
        }
        Ok(LogImage(records))
    }

    /// The records in order; the first has position 1.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

/// What was found so far.
struct Found {
    next: u64,
    places: Vec<Place>,
}

impl Found {
    fn damaged(&self, reason: String) -> LogError {
        LogError::Damaged(Damage { after: Position(self.next - 1), reason, claim: None })
    }

    /// Reads one segment and says how many of its bytes are good.
    fn segment(
        &mut self,
        identity: &Identity,
        number: u64,
        (bytes, is_last): (&[u8], bool),
        visit: &mut impl FnMut(Position, &[u8]),
    ) -> Result<usize, LogError> {
        let path = || segment_path(&identity.journal, number);
        let (header, start) = match SegmentHeader::decode(bytes) {
            Header::Good(header, _, start) => (header, start),
            Header::Version(found) => {
                return Err(JournalError::Version { file: path(), found }.into());
            }
            // A segment is put in place only after it was synced, so this one was whole once.
            Header::Bad => return Err(self.damaged(format!("{} has no header", path()))),
        };
        check_owner(identity, header.owner)?;
        if header.first != self.next {
            return Err(self.damaged(format!("{} begins at {}", path(), header.first)));
        }
        let mut at = start.min(bytes.len());
        let behind = |at: usize| bytes.get(at..).unwrap_or_default();
        while let Some(batch) = read_batch(behind(at)).filter(|batch| batch.first == self.next) {
            let mut begins = at + BATCH_HEADER;
            for record in batch.records() {
                begins += 4;
                visit(Position(self.next), record);
                self.next += 1;
                let (offset, length) = (begins as u32, record.len() as u32);
                self.places.push(Place { segment: number as u32, offset, length });
                begins += record.len();
            }
            at += batch.length;
        }
        let rest = behind(at);
        if !is_last && rest.iter().any(|byte| *byte != 0) || holds_others(rest, self.next) {
            return Err(self.damaged(format!("{} is unreadable from byte {at} on", path())));
        }
        Ok(at)
    }
}
