//! A log of records that survives crashes: what was committed is read back, or its loss is noticed.
//!
//! Records are written in batches, each with a checksum, the position of its first record, and how
//! far the log was known to be durable when the batch was written. That last number is what tells
//! a torn tail (a batch that nobody was ever told of) from damage (a later batch vouches for the
//! bytes that cannot be read). Damage in the very last batch cannot be told from a torn tail: where
//! that matters, a machine has each batch sealed with what it [claims](crate::Machine::claim), and
//! is told when it may have claimed what it does not know any more.
//!
//! Batches start at multiples of [`SECTOR`], so that a write that is torn by a power loss never
//! touches a sector that holds committed records. Recovery copies the last segment into a new file
//! before anything is appended: after a failed sync the old one may read back well and still not
//! be on the disk (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).

mod format;
mod log;
mod recovery;
mod seal;
mod snapshot;

pub use format::{Damage, Identity, JournalError, Position, SECTOR, VERSION};
pub use log::{Log, LogError, LogImage, Run, RunReader};
pub use recovery::{Files, Recovered, recover};
pub use seal::CLAIM_MAX;
pub use snapshot::encode_snapshot;

use crate::Env;
use crate::disk::{Completion, DiskError, Done, FileToken, Operation, Slot};
use crate::platform::BoxFuture;
use format::{PLAIN, SEALED, SegmentHeader, segment_path, snapshot_path};
use seal::encode_seal;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// A segment that has grown beyond this many bytes is followed by a new one.
pub const SEGMENT_MAX: u64 = 1 << 20;

/// The log of one machine on one node.
pub struct Journal {
    env: Env,
    identity: Identity,
    segment: u64,
    /// The segment that is written to. There is none behind damage until the next batch starts one.
    file: Option<FileToken>,
    /// The version of that segment.
    version: u16,
    offset: u64,
    /// Beyond how many bytes a segment is followed by a new one.
    segment_max: u64,
    /// Segments before the current one, oldest first, each with its last position.
    older: Vec<(u64, Position)>,
    /// How many of them the snapshot covers that is being written.
    covered: usize,
    next: u64,
    durable: u64,
    staged: format::Batch,
    /// What the machine claims with all that is staged.
    claim: Vec<u8>,
    spare: Vec<u8>,
    commit: Option<Commit>,
    roll: Option<BoxFuture<'static, Result<(FileToken, u64), DiskError>>>,
    roll_wanted: bool,
    slot: Slot,
    failed: Option<DiskError>,
}

/// What a journal held when it was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// The newest snapshot and the last position that it contains.
    pub snapshot: Option<(Position, Vec<u8>)>,
    /// The records behind the snapshot, in order.
    pub records: Vec<Vec<u8>>,
    /// Committed records that cannot be read. The records end before them.
    pub damage: Option<Damage>,
    /// What the machine may have claimed without knowing it any more.
    pub doubts: Vec<Vec<u8>>,
    /// How many bytes of a tail that was never committed were dropped.
    pub torn: u64,
}

/// A batch on its way to the disk.
struct Commit {
    upto: u64,
    length: u64,
    /// What is written and synced once the batch is written: were both one write, both could go
    /// astray at once.
    seal: Option<(FileToken, u64, Vec<u8>)>,
}

impl Journal {
    /// Recovers the journal called `name` of this node, or makes it. What was recovered is durable
    /// once this returns. Where records are unreadable or in doubt nothing is changed: they may
    /// still be repaired, and what is doubted must not be forgotten before a snapshot says so.
    ///
    /// # Errors
    /// [`JournalError`]: the disk fails, is another node's, or was written by a later version.
    /// Damage is no error here; it is part of what was recovered.
    pub async fn open(env: &Env, name: &str) -> Result<(Journal, Contents), JournalError> {
        let identity = Identity::own(env, name);
        let files = recovery::read(env, name).await?;
        let recovered = recover(&identity, &files)?;
        let next = recovered.next().0;
        let (segment, opened) = recovery::reopen(env, &identity, &files, &recovered).await?;
        let older = recovered.older_segments(&files, opened.is_some().then_some(segment));
        let journal = Journal {
            segment,
            file: opened.map(|(file, _)| file),
            version: recovered.version(),
            offset: opened.map_or(0, |(_, offset)| offset),
            older,
            ..Journal::blank(env, identity, next - 1, next - 1)
        };
        let owned = |(upto, body): &(Position, &[u8])| (*upto, body.to_vec());
        let contents = Contents {
            snapshot: recovered.snapshot.as_ref().map(owned),
            records: recovered.records.iter().map(|record| record.to_vec()).collect(),
            damage: recovered.damage,
            doubts: recovered.doubts.iter().map(|claim| claim.to_vec()).collect(),
            torn: recovered.torn,
        };
        Ok((journal, contents))
    }

    /// A journal that nothing ever writes: it counts, and keeps what is appended.
    pub(crate) fn without_disk(env: &Env, last: u64, durable: u64) -> Journal {
        let nobody =
            Identity { cluster: String::new(), node: String::new(), journal: String::new() };
        Journal::blank(env, nobody, last, durable)
    }

    /// A journal without a file.
    fn blank(env: &Env, identity: Identity, last: u64, durable: u64) -> Journal {
        Journal {
            env: env.clone(),
            identity,
            segment: 0,
            file: None,
            version: PLAIN,
            offset: 0,
            segment_max: SEGMENT_MAX,
            older: Vec::new(),
            covered: 0,
            next: last + 1,
            durable,
            staged: format::Batch::default(),
            claim: Vec::new(),
            spare: Vec::new(),
            commit: None,
            roll: None,
            roll_wanted: false,
            slot: Slot::default(),
            failed: None,
        }
    }

    /// Adds a record to the next batch. It is durable once a commit reports its position.
    pub fn append(&mut self, record: &[u8]) -> Position {
        self.append_with(|into| into.extend_from_slice(record))
    }

    /// Adds the record that `write` appends to the buffer it is given.
    pub fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Position {
        if self.staged.is_empty() {
            self.staged.start(std::mem::take(&mut self.spare), self.next);
        }
        self.staged.push(write);
        let position = Position(self.next);
        self.next += 1;
        position
    }

    /// The position of the last record that was appended.
    pub fn last(&self) -> Position {
        Position(self.next - 1)
    }

    /// Everything up to this position is durable.
    pub fn durable(&self) -> Position {
        Position(self.durable)
    }

    /// Starts to write the batch if there is one and no other is on its way.
    pub fn start(&mut self) {
        self.start_sealed(|_| {});
    }

    /// As [`Journal::start`], with what the machine claims with all that was appended, if that is
    /// anything: at most [`CLAIM_MAX`] bytes.
    pub(crate) fn start_sealed(&mut self, claim: impl FnOnce(&mut Vec<u8>)) {
        if self.staged.is_empty() || self.commit.is_some() {
            return;
        }
        self.claim.clear();
        claim(&mut self.claim);
        if self.roll.is_some() {
            return;
        }
        let fits = self.version == self.wanted_version() && self.offset <= self.segment_max;
        match self.file {
            Some(file) if !self.roll_wanted && fits => self.submit(file),
            _ => {
                self.roll_wanted = false;
                self.version = self.wanted_version();
                self.roll = Some(self.start_roll());
            }
        }
    }

    fn wanted_version(&self) -> u16 {
        if self.claim.is_empty() { PLAIN } else { SEALED }
    }

    fn submit(&mut self, file: FileToken) {
        let upto = self.next - 1;
        let data = self.staged.finish(self.durable);
        let length = data.len() as u64;
        let offset = self.offset;
        let seal = (self.version == SEALED).then(|| {
            let seal = encode_seal(Position(self.durable + 1), &self.claim);
            (file, offset + length, seal)
        });
        let operation = match &seal {
            None => Operation::WriteSync { file, offset, data },
            Some(_) => Operation::Write { file, offset, data },
        };
        self.slot.submit(self.env.platform(), operation);
        let length = length + seal.as_ref().map_or(0, |(.., seal)| seal.len() as u64);
        self.commit = Some(Commit { upto, length, seal });
    }

    fn start_roll(&self) -> BoxFuture<'static, Result<(FileToken, u64), DiskError>> {
        let (env, number) = (self.env.clone(), self.segment + 1);
        let header = SegmentHeader::new(&self.identity, number, self.durable + 1);
        let header = header.encode(self.version);
        let path = segment_path(&self.identity.journal, number);
        Box::pin(recovery::create_segment(env, path, header))
    }

    /// Drives the batch that is on its way. Ready whenever one has become durable, with the last
    /// position that is; pending if none is on its way.
    ///
    /// # Errors
    /// What the disk answered. From then on every poll fails: nothing is known of the file, and
    /// the node must stop and recover.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, DiskError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if let Some(roll) = &mut self.roll {
            match roll.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return self.fail(error),
                Poll::Ready(Ok((file, offset))) => self.rolled(file, offset),
            }
        }
        loop {
            let Some(commit) = &mut self.commit else { return Poll::Pending };
            match self.slot.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Done::Buffer(buffer))) => self.spare = buffer,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return self.fail(error),
            }
            if let Some((file, offset, data)) = commit.seal.take() {
                let seal = Operation::WriteSync { file, offset, data };
                self.slot.submit(self.env.platform(), seal);
                continue;
            }
            self.offset += commit.length;
            self.durable = commit.upto;
            self.commit = None;
            return Poll::Ready(Ok(Position(self.durable)));
        }
    }

    fn rolled(&mut self, file: FileToken, offset: u64) {
        self.roll = None;
        if let Some(file) = self.file.replace(file) {
            self.older.push((self.segment, Position(self.durable)));
            let close = Operation::Close { file };
            self.env.platform().submit(close, Completion::unobserved());
        }
        self.segment += 1;
        self.offset = offset;
        self.submit(file);
    }

    fn fail(&mut self, error: DiskError) -> Poll<Result<Position, DiskError>> {
        self.failed = Some(error.clone());
        Poll::Ready(Err(error))
    }

    /// Writes everything that was appended and waits until it is durable.
    ///
    /// # Errors
    /// As [`Journal::poll`].
    pub async fn commit(&mut self) -> Result<Position, DiskError> {
        while self.durable < self.next - 1 {
            self.start();
            poll_fn(|cx| self.poll(cx)).await?;
        }
        Ok(self.durable())
    }

    /// Replaces the snapshot by one that covers every record up to `upto`, and then removes the
    /// segments that hold nothing else. The records themselves need not be durable yet. Call
    /// [`Journal::covered`] when the future is done.
    pub fn replace_snapshot(
        &mut self,
        upto: Position,
        body: &[u8],
    ) -> BoxFuture<'static, Result<(), DiskError>> {
        self.replace_doubted(upto, &[], body)
    }

    /// As [`Journal::replace_snapshot`], with what the machine may have claimed and not have.
    pub(crate) fn replace_doubted(
        &mut self,
        upto: Position,
        doubt: &[u8],
        body: &[u8],
    ) -> BoxFuture<'static, Result<(), DiskError>> {
        let (env, name) = (self.env.clone(), self.identity.journal.clone());
        let gives_up = self.is_broken() || !doubt.is_empty();
        let segment = if gives_up { self.segment } else { 0 };
        let content = encode_snapshot(&self.identity, upto, (doubt, segment), body);
        let done = self.older.iter().take_while(|(_, last)| *last <= upto);
        let covered: Vec<u64> = done.map(|(number, _)| *number).collect();
        self.covered = covered.len();
        // The next batch starts a new segment, so that the next snapshot can drop this one.
        self.roll_wanted = true;
        Box::pin(async move {
            env.replace_file(&snapshot_path(&name), content).await?;
            for number in &covered {
                env.remove_file(&segment_path(&name, *number)).await?;
            }
            if covered.is_empty() { Ok(()) } else { env.sync_directory("").await }
        })
    }

    /// Forgets the segments that the last [`Journal::replace_snapshot`] has removed, once it is
    /// done. A segment that was closed meanwhile stays for the next one, though the snapshot may
    /// cover it.
    pub fn covered(&mut self) {
        self.older.drain(..std::mem::take(&mut self.covered));
    }

    /// Whether what was recovered can only be followed by a snapshot: records are unreadable or in
    /// doubt.
    pub(crate) fn is_broken(&self) -> bool {
        self.file.is_none()
    }

    /// Whose journal it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

#[cfg(test)]
mod tests;
