//! Reading a journal back after a crash.

use super::format::{
    Damage, Header, Identity, JournalError, Owner, PLAIN, Position, SEALED, SECTOR, SegmentHeader,
    read_batch, segment_number, segment_path, snapshot_path,
};
use super::seal::{SEAL, last_claim, seals};
use super::snapshot::{ReadSnapshot, read_snapshot};
use crate::Env;
use crate::disk::{DiskError, FileToken};
use crate::shown::Image;
use std::borrow::Cow;

/// The files of a journal as they were found.
#[derive(Default)]
pub struct Files<'a> {
    snapshot: Option<Cow<'a, [u8]>>,
    pub(super) segments: Vec<(u64, Cow<'a, [u8]>)>,
}

impl<'a> Files<'a> {
    /// The files of the journal called `name` in a disk image.
    pub fn of(image: &'a dyn Image, name: &str) -> Files<'a> {
        let mut segments = Vec::new();
        image.each("", &mut |file, bytes| {
            if let Some(number) = segment_number(name, file) {
                segments.push((number, Cow::Borrowed(bytes)));
            }
        });
        segments.sort_by_key(|(number, _)| *number);
        Files { snapshot: image.file(&snapshot_path(name)).map(Cow::Borrowed), segments }
    }

    /// How many segments hold nothing from this position on, because the next one begins before it:
    /// a crash or a failed sync may have kept them from being removed.
    fn covered(&self, next: u64) -> usize {
        let begins = |bytes| match SegmentHeader::decode(bytes) {
            Header::Good(header, ..) => header.first <= next,
            Header::Version(_) | Header::Bad => false,
        };
        self.segments.iter().rposition(|(_, bytes)| begins(bytes)).unwrap_or(0)
    }

    /// The contents of the segments behind this one, in order.
    fn behind(&self, segment: u64) -> impl DoubleEndedIterator<Item = &[u8]> {
        let later = self.segments.iter().filter(move |(number, _)| *number > segment);
        later.map(|(_, bytes)| &**bytes)
    }
}

/// What a journal held, as it stands in its files.
#[derive(Debug, Default)]
pub struct Recovered<'a> {
    /// The newest snapshot and the last position that it contains.
    pub snapshot: Option<(Position, &'a [u8])>,
    /// The records behind the snapshot, in order.
    pub records: Vec<&'a [u8]>,
    /// Committed records that cannot be read. The records end before them.
    pub damage: Option<Damage>,
    /// What the machine may have claimed without knowing it any more.
    pub doubts: Vec<&'a [u8]>,
    /// How many bytes of a tail that was never committed are dropped.
    pub torn: u64,
    next: u64,
    segments: Vec<(u64, Position)>,
    /// How much of the last segment is good, and the position behind its last record.
    last_good: usize,
    last_end: u64,
    /// The version of the last segment.
    version: Option<u16>,
    /// The last segment that a snapshot says was given up.
    given_up: u64,
    /// The tail is in doubt.
    is_doubted: bool,
}

impl Recovered<'_> {
    /// The position of the last record.
    pub fn last(&self) -> Position {
        Position(self.next - 1)
    }

    /// The position of the next record.
    pub fn next(&self) -> Position {
        Position(self.next)
    }

    /// The segments besides the current one, each with its last position. Nothing behind damage
    /// or doubts counts, so there all of them end where these begin.
    pub(super) fn older_segments(
        &self,
        files: &Files<'_>,
        current: Option<u64>,
    ) -> Vec<(u64, Position)> {
        if self.is_broken() {
            return files.segments.iter().map(|(number, _)| (*number, self.last())).collect();
        }
        let older = self.segments.iter().filter(|(number, _)| Some(*number) != current);
        older.copied().collect()
    }

    pub(super) fn version(&self) -> u16 {
        self.version.unwrap_or(PLAIN)
    }

    /// Whether records are unreadable or in doubt, so that only a snapshot can take their place.
    fn is_broken(&self) -> bool {
        self.damage.is_some() || self.is_doubted
    }

    fn damaged(&mut self, reason: String) {
        self.damage = Some(Damage { after: Position(self.next - 1), reason, claim: None });
    }
}

/// Works out what the files say. The last good record is followed by nothing, by a torn tail, or
/// by damage.
///
/// # Errors
/// If the files are another's or of a later version.
pub fn recover<'a>(
    identity: &Identity,
    files: &'a Files<'_>,
) -> Result<Recovered<'a>, JournalError> {
    let mut recovered = Recovered { next: 1, ..Recovered::default() };
    let snapshot = files.snapshot.as_deref().map(read_snapshot);
    match snapshot {
        None => {}
        Some(ReadSnapshot::Good { owner, upto, doubt, segment, body }) => {
            check_owner(identity, owner)?;
            recovered.next = upto.0 + 1;
            recovered.snapshot = Some((upto, body));
            recovered.given_up = segment;
            recovered.doubts.extend((!doubt.is_empty()).then_some(doubt));
        }
        Some(ReadSnapshot::Version(found)) => {
            return Err(JournalError::Version { file: snapshot_path(&identity.journal), found });
        }
        // A snapshot is put in place only after it was synced, so this one was whole once.
        Some(ReadSnapshot::Bad) => recovered.damaged("the snapshot is unreadable".to_owned()),
    }
    let last = files.segments.len().saturating_sub(1);
    let superfluous = files.covered(recovered.next);
    for (at, (number, bytes)) in files.segments.iter().enumerate() {
        recovered.last_end = recovered.next;
        if at < superfluous || *number <= recovered.given_up {
            recovered.segments.push((*number, recovered.last()));
            continue;
        }
        let good = read_segment(identity, *number, bytes, at == last, &mut recovered)?;
        recovered.segments.push((*number, Position(recovered.next - 1)));
        recovered.last_good = good;
        if recovered.damage.is_some() {
            break;
        }
    }
    if let Some(damage) = &mut recovered.damage {
        damage.claim = last_claim(files.behind(recovered.given_up)).map(<[u8]>::to_vec);
    }
    Ok(recovered)
}

pub(super) fn check_owner(wanted: &Identity, found: Owner<'_>) -> Result<(), JournalError> {
    if Owner::from(wanted) == found {
        return Ok(());
    }
    Err(JournalError::Foreign { found: Box::new(found.into()), wanted: Box::new(wanted.clone()) })
}

/// Reads one segment and says how many of its bytes are good.
fn read_segment<'a>(
    identity: &Identity,
    number: u64,
    bytes: &'a [u8],
    is_last: bool,
    recovered: &mut Recovered<'a>,
) -> Result<usize, JournalError> {
    let path = || segment_path(&identity.journal, number);
    let (header, version, start) = match SegmentHeader::decode(bytes) {
        Header::Good(header, version, start) => (header, version, start),
        Header::Version(found) => return Err(JournalError::Version { file: path(), found }),
        Header::Bad => {
            // A segment is put in place only after it was synced, so this one was whole once.
            recovered.damaged(format!("the header of {} is unreadable", path()));
            return Ok(0);
        }
    };
    check_owner(identity, header.owner)?;
    if header.first > recovered.next {
        recovered.damaged(format!("the records before {} are missing", path()));
        return Ok(0);
    }
    recovered.version = Some(version);
    let (mut at, mut position) = (start.min(bytes.len()), header.first);
    let seal = if version == SEALED { SEAL } else { 0 };
    let behind = |at: usize| bytes.get(at..).unwrap_or_default();
    while let Some(batch) = read_batch(behind(at)).filter(|batch| batch.first == position) {
        for record in batch.records() {
            if position == recovered.next {
                recovered.records.push(record);
                recovered.next += 1;
            }
            position += 1;
        }
        at += batch.length + seal;
    }
    let rest = behind(at);
    if !is_last && rest.iter().any(|byte| *byte != 0) || holds_others(rest, position) {
        recovered.damaged(format!("{} is unreadable from byte {at} on", path()));
    } else {
        recovered.torn += rest.len() as u64;
        if let Some((_, seal)) = seals(rest).find(|(_, seal)| seal.first == position) {
            recovered.doubts.push(seal.claim);
            recovered.is_doubted = true;
        }
    }
    recovered.last_end = position;
    Ok(at)
}

/// Whether something stands here that a batch with the record at `position` does not leave behind
/// when it is torn: a later batch or its seal, which says that this record was durable, or what
/// belongs elsewhere, in whose place nobody knows what was.
pub(super) fn holds_others(bytes: &[u8], position: u64) -> bool {
    seals(bytes).any(|(_, seal)| seal.first != position)
        || bytes.chunks(SECTOR).enumerate().any(|(index, sector)| {
            !matches!(SegmentHeader::decode(sector), Header::Bad)
                || read_batch(&bytes[index * SECTOR..]).is_some()
        })
}

/// Reads the journal's files.
pub(super) async fn read(env: &Env, name: &str) -> Result<Files<'static>, DiskError> {
    let mut files = Files::default();
    for path in env.list("").await? {
        if let Some(number) = segment_number(name, &path) {
            let bytes = env.read_file(&path).await?.unwrap_or_default();
            files.segments.push((number, Cow::Owned(bytes)));
        } else if path == snapshot_path(name) {
            files.snapshot = env.read_file(&path).await?.map(Cow::Owned);
        }
    }
    files.segments.sort_by_key(|(number, _)| *number);
    Ok(files)
}

/// Opens the segment to append to: a fresh copy of what was good in the last one, or the first.
/// There is none behind damage or doubts, only the number of the last one. A segment that another
/// follows counts as durable, but this one may hold what was written and not synced; and what
/// nobody can read now may be repaired.
pub(super) async fn reopen(
    env: &Env,
    identity: &Identity,
    files: &Files<'_>,
    recovered: &Recovered<'_>,
) -> Result<(u64, Option<(FileToken, u64)>), DiskError> {
    let name = &identity.journal;
    let last = files.segments.last().filter(|(number, _)| *number > recovered.given_up);
    if recovered.is_broken() {
        return Ok((last.map_or(recovered.given_up, |(number, _)| *number), None));
    }
    if let Some(snapshot) = &files.snapshot {
        // The name it was found under may be one whose sync has failed: it is there until power
        // fails. What follows rests on it, so it is put in place anew.
        env.replace_file(&snapshot_path(name), snapshot.to_vec()).await?;
    }
    // A snapshot may be ahead of the records that were durable. Positions have no gaps within
    // a segment, so the segment, which then holds nothing that counts, begins anew.
    let goes_on = recovered.last_good > 0 && recovered.last_end == recovered.next;
    let (number, content) = match last {
        Some((number, bytes)) if goes_on => {
            let mut good = bytes[..bytes.len().min(recovered.last_good)].to_vec();
            good.resize(recovered.last_good, 0);
            (*number, good)
        }
        _ => {
            let number = last.map_or(recovered.given_up + 1, |(number, _)| *number);
            let header = SegmentHeader::new(identity, number, recovered.next);
            (number, header.encode(recovered.version()))
        }
    };
    let opened = create_segment(env.clone(), segment_path(name, number), content).await?;
    Ok((number, Some(opened)))
}

/// Makes a segment with this content durable under its name, and opens it for appending.
pub(super) async fn create_segment(
    env: Env,
    path: String,
    mut content: Vec<u8>,
) -> Result<(FileToken, u64), DiskError> {
    content.resize(content.len().next_multiple_of(SECTOR), 0);
    let length = content.len() as u64;
    Ok((env.put_file(&path, content).await?.into_token(), length))
}
