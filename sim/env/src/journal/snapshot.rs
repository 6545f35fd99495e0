//! The snapshot file: one machine state and the last record that it contains.

use super::format::{Header, Identity, Owner, Position, decode_header, encode_header};
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

/// What a snapshot file turned out to be.
pub(super) enum ReadSnapshot<'a> {
    Good { owner: Owner<'a>, upto: Position, body: &'a [u8] },
    Version(u16),
    Bad,
}

/// The content of a snapshot file.
pub fn encode_snapshot(identity: &Identity, upto: Position, body: &[u8]) -> Vec<u8> {
    let header = SnapshotHeader {
        owner: identity.into(),
        upto: upto.0,
        length: body.len() as u64,
        checksum: crc32c::crc32c(body),
    };
    let mut bytes = encode_header(MAGIC, &header);
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn read_snapshot(bytes: &[u8]) -> ReadSnapshot<'_> {
    let (header, start) = match decode_header::<SnapshotHeader<'_>>(MAGIC, bytes) {
        Header::Good(header, start) => (header, start),
        Header::Version(version) => return ReadSnapshot::Version(version),
        Header::Bad => return ReadSnapshot::Bad,
    };
    let body = bytes.get(start..).unwrap_or_default();
    if body.len() as u64 != header.length || crc32c::crc32c(body) != header.checksum {
        return ReadSnapshot::Bad;
    }
    ReadSnapshot::Good { owner: header.owner, upto: Position(header.upto), body }
}
