//! Seals: what a machine claimed when a batch was written, in sectors of their own behind the
//! batch.
//!
//! A batch is written, and then its seal, and both are synced. One of them may go astray or be
//! damaged later, but hardly both: so a seal without its batch says what the machine may have let
//! others know and has forgotten (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based
//! Storage", FAST 2018, section 3.3, where it is called an identifier). A write that was torn may
//! leave the same behind, though nobody was told of its records; which of both it was, others have
//! to say.

use super::format::{Header, Position, SECTOR, SegmentHeader};

const MAGIC: &[u8; 4] = b"seal";

/// `checksum u32 | magic | first u64 | length u16 | copy u16`
const HEADER: usize = 20;

/// How often a seal is written, so that two sectors that go bad do not take it and its batch.
const COPIES: usize = 2;

/// How many bytes the copies of a seal take.
pub(super) const SEAL: usize = COPIES * SECTOR;

/// The most bytes of a claim.
pub const CLAIM_MAX: usize = SECTOR - HEADER;

pub(super) struct Seal<'a> {
    /// The position of the first record of its batch.
    pub(super) first: u64,
    pub(super) claim: &'a [u8],
    /// Which of the copies it is.
    copy: usize,
}

/// The seal of a batch.
///
/// # Panics
/// If the claim is longer than [`CLAIM_MAX`].
pub(super) fn encode_seal(first: Position, claim: &[u8]) -> Vec<u8> {
    assert!(claim.len() <= CLAIM_MAX, "a claim has at most {CLAIM_MAX} bytes");
    let mut bytes = Vec::with_capacity(SEAL);
    for copy in 0..COPIES {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&first.0.to_le_bytes());
        bytes.extend_from_slice(&(claim.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(copy as u16).to_le_bytes());
        bytes.extend_from_slice(claim);
        let checksum = crc32c::crc32c(&bytes[start + 4..]);
        bytes[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes.resize(start + SECTOR, 0);
    }
    bytes
}

/// Reads the seal at the start of `bytes`, if one is there.
pub(super) fn read_seal(bytes: &[u8]) -> Option<Seal<'_>> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let short = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (length, copy) = (short(16), short(18));
    let claim = bytes.get(HEADER..HEADER + length)?;
    let checksum = crc32c::crc32c(&bytes[4..HEADER + length]).to_le_bytes();
    if header[4..8] != *MAGIC || header[..4] != checksum {
        return None;
    }
    let first = u64::from_le_bytes(header[8..16].try_into().expect("8 bytes"));
    (copy < COPIES).then_some(Seal { first, claim, copy })
}

/// The seals that stand somewhere in these bytes.
pub(super) fn seals(bytes: &[u8]) -> impl DoubleEndedIterator<Item = (usize, Seal<'_>)> {
    let sectors = bytes.chunks(SECTOR).enumerate();
    sectors.filter_map(|(at, sector)| Some((at * SECTOR, read_seal(sector)?)))
}

/// What the machine claimed at last, if that can be told: nothing may follow the last seal of the
/// last segment that has one, the segments behind it have to be new, and nothing may stand where it
/// does not belong.
pub(super) fn last_claim<'a>(
    segments: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    for bytes in segments.rev() {
        let headers = bytes.chunks(SECTOR).map(SegmentHeader::decode);
        let is_one = |header: &Header<_>| !matches!(header, Header::Bad);
        let found: Vec<usize> =
            (0..).zip(headers).filter(|(_, h)| is_one(h)).map(|h| h.0).collect();
        if found != [0] || !seals(bytes).is_sorted_by_key(|(_, seal)| seal.first) {
            return None;
        }
        let is_empty = |rest: &[u8]| rest.iter().all(|byte| *byte == 0);
        if let Some((at, seal)) = seals(bytes).next_back() {
            let end = at + (COPIES - seal.copy) * SECTOR;
            return is_empty(bytes.get(end..).unwrap_or_default()).then_some(seal.claim);
        }
        if !is_empty(bytes.get(SECTOR..).unwrap_or_default()) {
            return None;
        }
    }
    None
}
