//! The frame around a typed message: what was damaged on the way is noticed and dropped.
//!
//! A frame is `checksum: u32 | version: u8 | length: u24 | body`, little-endian; the checksum is
//! CRC-32C (RFC 3720, appendix B.4) over everything behind it, and the body is in the format of
//! postcard.

use crate::checksum::crc32c;
use crate::platform::DATAGRAM_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the frame format that this build writes and reads.
pub const VERSION: u8 = 1;

const HEADER: usize = 8;

/// Why a frame was not made or not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a frame has at least.
    #[error("the frame is shorter than its header")]
    Short,
    /// The bytes are not those that were sent.
    #[error("the frame is damaged")]
    Damaged,
    /// The frame is of another version of the format.
    #[error("the frame is of an unknown version")]
    Version,
    /// The length does not fit.
    #[error("the frame's length is wrong")]
    Length,
    /// The body is not a message of the expected type.
    #[error("the frame holds no message of this type")]
    Body,
    /// The message is larger than a datagram may be, or has no encoding.
    #[error("the message cannot be encoded in a datagram")]
    Encode,
}

impl FrameError {
    /// The error's text, for counters.
    pub fn reason(self) -> &'static str {
        match self {
            FrameError::Short => "the frame is shorter than its header",
            FrameError::Damaged => "the frame is damaged",
            FrameError::Version => "the frame is of an unknown version",
            FrameError::Length => "the frame's length is wrong",
            FrameError::Body => "the frame holds no message of this type",
            FrameError::Encode => "the message cannot be encoded in a datagram",
        }
    }
}

/// Writes a message as a frame, which replaces what `frame` held. Gives the message's kind: the
/// first byte of its body, which for an enum is the variant.
///
/// # Errors
/// [`FrameError::Encode`].
pub fn encode<M: Serialize>(message: &M, frame: &mut Vec<u8>) -> Result<u8, FrameError> {
    frame.clear();
    append_frame(message, frame)
}

/// So much room is made for a frame at least, in bytes: most need no more.
pub(crate) const ROOM: usize = 64;

/// As [`encode`], behind what the buffer holds; if the message is refused, nothing is added.
pub(crate) fn append_frame<M: Serialize>(
    message: &M,
    into: &mut Vec<u8>,
) -> Result<u8, FrameError> {
    let start = into.len();
    into.reserve(ROOM);
    into.extend_from_slice(&[0; HEADER]);
    let encoded = append(message, into);
    let frame = &mut into[start..];
    if encoded.is_err() || frame.len() > DATAGRAM_MAX {
        into.truncate(start);
        return Err(FrameError::Encode);
    }
    let length = (frame.len() - HEADER) as u32;
    frame[4..HEADER].copy_from_slice(&(length << 8 | u32::from(VERSION)).to_le_bytes());
    let checksum = crc32c(&frame[4..]);
    frame[..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(frame.get(HEADER).copied().unwrap_or(0))
}

/// Encodes a value behind what the buffer holds. postcard's own way to do so appends byte by byte.
pub(crate) fn append<T: Serialize>(value: &T, into: &mut Vec<u8>) -> postcard::Result<()> {
    postcard::serialize_with_flavor(value, Append(into))
}

struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match bytes {
            // Most numbers are small.
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads a message from a frame.
///
/// # Errors
/// What is wrong with the frame; nothing that arrives makes this panic.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, FrameError> {
    let (checksum, rest) = frame.split_first_chunk::<4>().ok_or(FrameError::Short)?;
    let (head, body) = rest.split_first_chunk::<4>().ok_or(FrameError::Short)?;
    if crc32c(rest) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Damaged);
    }
    let head = u32::from_le_bytes(*head);
    if head as u8 != VERSION {
        return Err(FrameError::Version);
    }
    if (head >> 8) as usize != body.len() {
        return Err(FrameError::Length);
    }
    let (message, left) = postcard::take_from_bytes(body).map_err(|_| FrameError::Body)?;
    if left.is_empty() { Ok(message) } else { Err(FrameError::Body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    enum Message {
        Ping(u32),
        Text(String),
    }

    #[test]
    fn the_kind_is_the_variant() {
        let mut frame = Vec::new();
        assert_eq!(encode(&Message::Ping(7), &mut frame), Ok(0));
        assert_eq!(encode(&Message::Text("x".into()), &mut frame), Ok(1));
        assert_eq!(decode(&frame), Ok(Message::Text("x".into())));
    }

    #[test]
    fn a_message_that_fits_in_no_datagram_is_refused() {
        let large = Message::Text("x".repeat(DATAGRAM_MAX));
        assert_eq!(encode(&large, &mut Vec::new()), Err(FrameError::Encode));
        let mut kept = vec![1, 2, 3];
        assert_eq!(append_frame(&large, &mut kept), Err(FrameError::Encode));
        assert_eq!(kept, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode::<Message>(&bytes);
        }

        #[test]
        fn any_flipped_bit_is_noticed(text in ".{0,40}", bit in 0usize..4096) {
            let mut frame = Vec::new();
            encode(&Message::Text(text), &mut frame).unwrap();
            let bit = bit % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode::<Message>(&frame), Err(FrameError::Damaged));
        }
    }
}
