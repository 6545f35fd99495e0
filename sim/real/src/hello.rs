//! The greeting with which a connection begins: who is there, and whether the other takes it.
//!
//! Who connects says hello, and the other welcomes or refuses. A greeting is
//! `magic 4 bytes | version u16 | length u16 | body | checksum u32`, little-endian; the body is in
//! the format of postcard, and the checksum is CRC-32C over all of the greeting but itself. The
//! magic and the version stay where they are in every version, so that each can name the other.

use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The version of greetings and frames that this build speaks.
const VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"sqN\n";

/// `magic | version | length`
const HEAD_BYTES: usize = 8;

const CHECKSUM_BYTES: usize = 4;

/// The largest body that is read: two names and what surrounds them.
const BODY_BYTES_MAX: usize = 1024;

/// What the two sides of a connection say first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Greeting {
    /// Said by who connects. A guest has no name.
    Hello { cluster: String, node: Option<String> },
    /// The connection is taken.
    Welcome { cluster: String, node: Option<String> },
    /// The connection is not taken.
    Refused(Refusal),
    /// Said by who connects to this port for a stream, which begins behind the welcome.
    Stream { cluster: String, node: Option<String>, port: u32 },
}

/// Why a connection is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the peer belongs to another cluster")]
    Cluster,
    #[error("the peer speaks another version")]
    Version,
    #[error("the peer claims a name that is not on the roster")]
    Unknown,
    #[error("the peer claims the name of the node that it connects to")]
    Myself,
    #[error("the peer's greeting makes no sense")]
    Malformed,
    #[error("there are too many guests")]
    Guests,
    #[error("nobody listens on the port")]
    NoListener,
    #[error("too many connections wait on the port")]
    Backlog,
    #[error("there are too many connections")]
    Connections,
    #[error("the peer's certificate does not bear the name that it claims")]
    Certificate,
}

/// Why no greeting was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the peer speaks another protocol")]
    Magic,
    #[error("the peer speaks version {0}; this build speaks {VERSION}")]
    Version(u16),
    #[error("the greeting is too long")]
    TooLong,
    #[error("the greeting is damaged")]
    Damaged,
    #[error("the greeting cannot be understood")]
    Body,
}

pub(crate) fn encode(greeting: &Greeting) -> Vec<u8> {
    let body = postcard::to_stdvec(greeting).expect("names and enums can be encoded");
    assert!(body.len() <= BODY_BYTES_MAX, "the names were not checked for their length");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// How many bytes follow this head.
fn decode_head(head: [u8; HEAD_BYTES]) -> Result<usize, HelloError> {
    let [m0, m1, m2, m3, v0, v1, l0, l1] = head;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(HelloError::Magic);
    }
    let version = u16::from_le_bytes([v0, v1]);
    if version != VERSION {
        return Err(HelloError::Version(version));
    }
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length > BODY_BYTES_MAX { Err(HelloError::TooLong) } else { Ok(length + CHECKSUM_BYTES) }
}

/// The greeting that these bytes are.
pub(crate) fn decode(bytes: &[u8]) -> Result<Greeting, HelloError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(HelloError::Damaged)?;
    let length = decode_head(*head)?;
    decode_rest(*head, rest.get(..length).ok_or(HelloError::Damaged)?)
}

/// The greeting that this head and the bytes behind it make.
fn decode_rest(head: [u8; HEAD_BYTES], rest: &[u8]) -> Result<Greeting, HelloError> {
    let Some((body, sum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(HelloError::Damaged);
    };
    if crc32c::crc32c_append(crc32c::crc32c(&head), body) != u32::from_le_bytes(*sum) {
        return Err(HelloError::Damaged);
    }
    match postcard::take_from_bytes(body) {
        Ok((greeting, [])) => Ok(greeting),
        _ => Err(HelloError::Body),
    }
}

/// Reads a greeting and not a byte more.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Greeting, HelloError> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let mut rest = vec![0; decode_head(head)?];
    stream.read_exact(&mut rest).await?;
    decode_rest(head, &rest)
}

pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    greeting: &Greeting,
) -> io::Result<()> {
    stream.write_all(&encode(greeting)).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NAME_BYTES_MAX;
    use proptest::prelude::*;

    fn hello(cluster: &str, node: &str) -> Greeting {
        Greeting::Hello { cluster: cluster.to_owned(), node: Some(node.to_owned()) }
    }

    #[test]
    fn the_longest_names_fit() {
        let name = "n".repeat(NAME_BYTES_MAX);
        let greeting = hello(&name, &name);
        assert_eq!(decode(&encode(&greeting)).unwrap(), greeting);
    }

    #[test]
    fn another_version_is_named_whatever_follows_it() {
        let mut bytes = encode(&hello("shop", "replica-1"));
        bytes[4] = 9;
        bytes.truncate(HEAD_BYTES);
        assert!(matches!(decode(&bytes), Err(HelloError::Version(9))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&VERSION.to_le_bytes());
            bytes.extend_from_slice(&(body.len() as u16).to_le_bytes());
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
            let _ = decode(&bytes);
        }

        #[test]
        fn any_flipped_bit_is_noticed(
            cluster in ".{0,20}",
            node in ".{0,20}",
            bit in 0usize..4096,
        ) {
            let mut bytes = encode(&hello(&cluster, &node));
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
