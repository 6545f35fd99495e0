//! The snapshot file: one machine state and the last record that it contains.

use super::format::{
    Header, Identity, Owner, PLAIN, Position, SEALED, decode_header, encode_header,
};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 4] = b"sqS\n";

#[derive(Serialize, Deserialize)]
struct SnapshotHeader<'a> {
    #[serde(borrow)]
    owner: Owner<'a>,
    upto: u64,
    length: u64,
    checksum: u32,
}

/// As it is in a file of version [`SEALED`].
#[derive(Serialize, Deserialize)]
struct DoubtedHeader<'a> {
    #[serde(borrow)]
    header: SnapshotHeader<'a>,
    doubt: &'a [u8],
    segment: u64,
}

/// What a snapshot file turned out to be.
pub(super) enum ReadSnapshot<'a> {
    Good { owner: Owner<'a>, upto: Position, doubt: &'a [u8], segment: u64, body: &'a [u8] },
    Version(u16),
    Bad,
}

/// The content of a snapshot file. If there is a doubt, the machine may have claimed that and not
/// have it. Segments up to `segment`, if it is not 0, have been given up, and may be there again
/// after a crash: no later one may bear such a number.
pub fn encode_snapshot(
    identity: &Identity,
    upto: Position,
    (doubt, segment): (&[u8], u64),
    body: &[u8],
) -> Vec<u8> {
    let header = SnapshotHeader {
        owner: identity.into(),
        upto: upto.0,
        length: body.len() as u64,
        checksum: crc32c::crc32c(body),
    };
    let mut bytes = if doubt.is_empty() && segment == 0 {
        encode_header(MAGIC, PLAIN, &header)
    } else {
        encode_header(MAGIC, SEALED, &DoubtedHeader { header, doubt, segment })
    };
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn read_snapshot(bytes: &[u8]) -> ReadSnapshot<'_> {
    let (DoubtedHeader { header, doubt, segment }, start) = match decode_either(bytes) {
        Header::Good(header, _, start) => (header, start),
        Header::Version(version) => return ReadSnapshot::Version(version),
        Header::Bad => return ReadSnapshot::Bad,
    };
    let body = bytes.get(start..).unwrap_or_default();
    if body.len() as u64 != header.length || crc32c::crc32c(body) != header.checksum {
        return ReadSnapshot::Bad;
    }
    ReadSnapshot::Good { owner: header.owner, upto: Position(header.upto), doubt, segment, body }
}

/// Reads a header of any version.
fn decode_either(bytes: &[u8]) -> Header<DoubtedHeader<'_>> {
    match decode_header::<SnapshotHeader<'_>>(MAGIC, bytes) {
        Header::Good(header, PLAIN, start) => {
            Header::Good(DoubtedHeader { header, doubt: &[], segment: 0 }, PLAIN, start)
        }
        Header::Good(..) => decode_header(MAGIC, bytes),
        Header::Version(version) => Header::Version(version),
        Header::Bad => Header::Bad,
    }
}
