//! The frame around a datagram on a connection: where it ends, where it goes, whether it is whole.
//!
//! A frame is `length u32 | checksum u32 | from_port u32 | to_port u32 | payload`, little-endian.
//! The length is that of the payload; the checksum is CRC-32C (RFC 3720, appendix B.4) over all of
//! the frame but itself. A frame to port zero, which nobody can bind, with an empty payload is a
//! ping.

use squall_env::Port;
use squall_env::platform::DATAGRAM_MAX;

/// The bytes of a frame before its payload.
pub(crate) const HEADER_BYTES: usize = 16;

/// Why a connection cannot be read any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame is larger than a datagram may be")]
    TooLarge,
    #[error("a frame is damaged")]
    Damaged,
}

/// A frame that was read.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) from: Port,
    pub(crate) to: Port,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    pub(crate) fn is_ping(&self) -> bool {
        self.to == Port::ANY && self.payload.is_empty()
    }
}

/// Appends a frame to `into`. The payload is at most [`DATAGRAM_MAX`] bytes.
pub(crate) fn encode(from: Port, to: Port, payload: &[u8], into: &mut Vec<u8>) {
    assert!(payload.len() <= DATAGRAM_MAX, "a frame was asked to hold more than a datagram");
    let length = (payload.len() as u32).to_le_bytes();
    let ports = [from.number().to_le_bytes(), to.number().to_le_bytes()];
    into.reserve(HEADER_BYTES + payload.len());
    into.extend_from_slice(&length);
    into.extend_from_slice(&checksum(&length, ports.as_flattened(), payload).to_le_bytes());
    into.extend_from_slice(ports.as_flattened());
    into.extend_from_slice(payload);
}

/// Appends a ping.
pub(crate) fn encode_ping(into: &mut Vec<u8>) {
    encode(Port::ANY, Port::ANY, &[], into);
}

/// Reads the frame at the start of `bytes`, and says how many bytes it takes; `None` if there is
/// not a whole one yet.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    // The length is judged before anything is read or stored on its word.
    let payload_bytes = u32::from_le_bytes(*length) as usize;
    if payload_bytes > DATAGRAM_MAX {
        return Err(FrameError::TooLarge);
    }
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some((ports, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let Some(payload) = rest.get(..payload_bytes) else { return Ok(None) };
    if checksum(length, ports, payload) != u32::from_le_bytes(*sum) {
        return Err(FrameError::Damaged);
    }
    let [a, b, c, d, e, f, g, h] = *ports;
    let from = Port::from_number(u32::from_le_bytes([a, b, c, d]));
    let to = Port::from_number(u32::from_le_bytes([e, f, g, h]));
    Ok(Some((Frame { from, to, payload }, HEADER_BYTES + payload_bytes)))
}

fn checksum(length: &[u8], ports: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(length), ports), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(Port::named("from"), Port::named("to"), payload, &mut bytes);
        bytes
    }

    #[test]
    fn the_largest_datagram_fits_and_one_byte_more_is_refused() {
        let payload = vec![7; DATAGRAM_MAX];
        let bytes = framed(&payload);
        let (frame, size) = decode(&bytes).unwrap().unwrap();
        assert_eq!((frame.payload, size), (payload.as_slice(), bytes.len()));
        let length = (DATAGRAM_MAX as u32 + 1).to_le_bytes();
        assert_eq!(decode(&length), Err(FrameError::TooLarge));
    }

    #[test]
    fn a_ping_is_told_from_a_datagram() {
        let mut bytes = Vec::new();
        encode_ping(&mut bytes);
        assert!(decode(&bytes).unwrap().unwrap().0.is_ping());
        assert!(!decode(&framed(b"")).unwrap().unwrap().0.is_ping());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn small_lengths_do_not_make_it_panic(
            length in 0u32..64,
            rest in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let bytes = [length.to_le_bytes().as_slice(), &rest].concat();
            let _ = decode(&bytes);
        }

        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            payloads in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..40), 1..8),
            cut in 1usize..60,
        ) {
            let sent: Vec<u8> = payloads.iter().flat_map(|payload| framed(payload)).collect();
            let (mut held, mut got) = (Vec::new(), Vec::new());
            for piece in sent.chunks(cut) {
                held.extend_from_slice(piece);
                while let Some((frame, size)) = decode(&held).unwrap() {
                    prop_assert_eq!(frame.from, Port::named("from"));
                    prop_assert_eq!(frame.to, Port::named("to"));
                    got.push(frame.payload.to_vec());
                    held.drain(..size);
                }
            }
            prop_assert!(held.is_empty());
            prop_assert_eq!(got, payloads);
        }

        #[test]
        fn no_flipped_bit_gives_a_frame(
            payload in proptest::collection::vec(any::<u8>(), 0..40),
            bit in 0usize..4096,
        ) {
            let mut bytes = framed(&payload);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A larger length waits for bytes that may never come; the silence ends that.
            prop_assert!(!matches!(decode(&bytes), Ok(Some(_))));
        }
    }
}
