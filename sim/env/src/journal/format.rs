//! How segments, batches and snapshots look on the disk.

use crate::address::numbered;
use crate::disk::DiskError;
use serde::{Deserialize, Serialize};

/// The latest version of the format. Every version up to this one is read, and each file is written
/// in the first that has all it needs.
pub const VERSION: u16 = SEALED;

/// Batches without seals, and snapshots in which the machine trusts.
pub(super) const PLAIN: u16 = 1;

/// Each batch is followed by the copies of its [seal](super::seal), and a snapshot says what the
/// machine may have forgotten.
pub(super) const SEALED: u16 = 2;

/// What a disk writes as a whole, in bytes.
pub const SECTOR: usize = 512;

/// The largest batch that is believed when it is read.
const BATCH_MAX: usize = 1 << 30;

const SEGMENT_MAGIC: &[u8; 4] = b"sqJ\n";

/// `checksum u32 | length u32 | first u64 | durable u64 | count u32`
pub(super) const BATCH_HEADER: usize = 28;

/// The place of a record in its journal, from 1; as a bound, the last record that is meant.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Position(pub u64);

/// Whose journal it is. A journal of somebody else is refused, whatever it holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The system.
    pub cluster: String,
    /// The node's readable name.
    pub node: String,
    /// The name of the journal, which is that of its machine.
    pub journal: String,
}

impl Identity {
    /// That of this node's journal of this name.
    pub(super) fn own(env: &crate::Env, journal: &str) -> Identity {
        Identity {
            cluster: env.roster().cluster().to_owned(),
            node: env.roster().name(env.me()),
            journal: journal.to_owned(),
        }
    }
}

/// Committed records that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The last position that could be read before the damage.
    pub after: Position,
    /// Which file is damaged, and how.
    pub reason: String,
    /// What the machine had claimed at last, if that can be told; see
    /// [`Machine::claim`](crate::Machine::claim).
    pub claim: Option<Vec<u8>>,
}

/// Why a journal could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed.
    #[error("journal: {0}")]
    Disk(#[from] DiskError),
    /// The disk belongs to another system, node or machine.
    #[error("this is the journal {found:?}, not {wanted:?}")]
    Foreign {
        /// Whose it is.
        found: Box<Identity>,
        /// Whose was expected.
        wanted: Box<Identity>,
    },
    /// A later version of the program wrote it.
    #[error("{file} has format version {found}; this build reads up to {VERSION}")]
    Version {
        /// Which file.
        file: String,
        /// Its version.
        found: u16,
    },
}

pub(super) fn segment_path(journal: &str, number: u64) -> String {
    numbered(journal, ".", number, 8, ".log")
}

pub(super) fn snapshot_path(journal: &str) -> String {
    [journal, ".snapshot"].concat()
}

/// The number of a segment's file name; `None` for other files.
pub(super) fn segment_number(journal: &str, path: &str) -> Option<u64> {
    let number = path.strip_prefix(journal)?.strip_prefix('.')?.strip_suffix(".log")?;
    number.parse().ok().filter(|_| number.len() >= 8)
}

/// `magic | version u16 | length u16 | body | checksum u32`, filled up to a whole sector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct SegmentHeader<'a> {
    #[serde(borrow)]
    pub(super) owner: Owner<'a>,
    pub(super) number: u64,
    pub(super) first: u64,
}

/// An [`Identity`] as it stands in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Owner<'a> {
    cluster: &'a str,
    node: &'a str,
    journal: &'a str,
}

impl<'a> From<&'a Identity> for Owner<'a> {
    fn from(identity: &'a Identity) -> Owner<'a> {
        let Identity { cluster, node, journal } = identity;
        Owner { cluster, node, journal }
    }
}

impl From<Owner<'_>> for Identity {
    fn from(owner: Owner<'_>) -> Identity {
        let Owner { cluster, node, journal } = owner;
        Identity { cluster: cluster.to_owned(), node: node.to_owned(), journal: journal.to_owned() }
    }
}

/// What a header turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header<T> {
    /// What it says, the version of the file, and where the rest of it begins.
    Good(T, u16, usize),
    Version(u16),
    Bad,
}

impl<'a> SegmentHeader<'a> {
    pub(super) fn new(identity: &'a Identity, number: u64, first: u64) -> SegmentHeader<'a> {
        SegmentHeader { owner: identity.into(), number, first }
    }

    pub(super) fn encode(&self, version: u16) -> Vec<u8> {
        encode_header(SEGMENT_MAGIC, version, self)
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Header<SegmentHeader<'a>> {
        decode_header(SEGMENT_MAGIC, bytes)
    }
}

pub(super) fn encode_header<T: Serialize>(magic: &[u8; 4], version: u16, header: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    crate::codec::append(header, &mut bytes).expect("strings and numbers can be encoded");
    let length = (bytes.len() - 8) as u16;
    bytes[6..8].copy_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    bytes
}

/// Reads a header.
pub(super) fn decode_header<'a, T: Deserialize<'a>>(magic: &[u8; 4], bytes: &'a [u8]) -> Header<T> {
    let Some((head, _)) = bytes.split_first_chunk::<8>() else { return Header::Bad };
    if &head[..4] != magic {
        return Header::Bad;
    }
    let version = u16::from_le_bytes([head[4], head[5]]);
    let end = 8 + usize::from(u16::from_le_bytes([head[6], head[7]]));
    let checksum = bytes.get(end..end + 4);
    if checksum != Some(&crc32c::crc32c(&bytes[..end.min(bytes.len())]).to_le_bytes()) {
        return Header::Bad;
    }
    if version > VERSION {
        return Header::Version(version);
    }
    match postcard::from_bytes(&bytes[8..end]) {
        Ok(header) => Header::Good(header, version, (end + 4).next_multiple_of(SECTOR)),
        Err(_) => Header::Bad,
    }
}

/// A batch that is being filled.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    first: u64,
    count: u32,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes it has so far.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn start(&mut self, mut buffer: Vec<u8>, first: u64) {
        buffer.clear();
        // It is filled up to whole sectors in the end.
        buffer.reserve(SECTOR);
        buffer.resize(BATCH_HEADER, 0);
        *self = Batch { bytes: buffer, first, count: 0 };
    }

    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    pub(super) fn finish(&mut self, durable: u64) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let length = (bytes.len() - BATCH_HEADER) as u32;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..24].copy_from_slice(&durable.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.count.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        self.count = 0;
        bytes
    }
}

/// A whole batch as it was read.
pub(super) struct ReadBatch<'a> {
    pub(super) first: u64,
    body: &'a [u8],
    /// How many bytes it takes on the disk.
    pub(super) length: usize,
}

/// Reads the batch at the start of `bytes`; `None` if there is no whole one.
pub(super) fn read_batch(bytes: &[u8]) -> Option<ReadBatch<'_>> {
    let header = bytes.get(..BATCH_HEADER)?;
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    let length = number(4) as usize;
    if length > BATCH_MAX {
        return None;
    }
    let body = bytes.get(BATCH_HEADER..BATCH_HEADER + length)?;
    if crc32c::crc32c(&bytes[4..BATCH_HEADER + length]) != number(0) {
        return None;
    }
    let (mut count, mut rest) = (0, body);
    while let Some((_, after)) = split_record(rest) {
        count += 1;
        rest = after;
    }
    if count == 0 || count != number(24) || !rest.is_empty() {
        return None;
    }
    let length = (BATCH_HEADER + length).next_multiple_of(SECTOR);
    Some(ReadBatch { first: long(8), body, length })
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*size) as usize)
}

impl<'a> ReadBatch<'a> {
    /// The records of the batch in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let (record, after) = split_record(rest)?;
            rest = after;
            Some(record)
        })
    }
}
