//! Cuts what passes a connection into what squall-real put on it: one greeting, then frames.
//!
//! A greeting is `magic 4 | version u16 | length u16 | body | checksum u32`, a frame is
//! `length u32 | checksum u32 | ports 8 | payload`; all numbers are little-endian. What looks like
//! neither, as with TLS, is passed on in the pieces in which it came.

use squall_env::platform::DATAGRAM_MAX;

const GREETING_HEAD: usize = 8;
const GREETING_CHECKSUM: usize = 4;
const FRAME_HEAD: usize = 16;

/// What is cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// A whole greeting.
    Greeting(Vec<u8>),
    /// A whole frame, which may be lost, doubled or overtaken like any datagram.
    Frame(Vec<u8>),
    /// Bytes whose order matters.
    Bytes(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expects {
    Greeting,
    Frame,
    Anything,
}

/// The bytes of one direction that have come so far.
#[derive(Debug)]
pub(super) struct Cutter {
    held: Vec<u8>,
    expects: Expects,
}

impl Cutter {
    pub(super) fn new() -> Cutter {
        Cutter { held: Vec::new(), expects: Expects::Greeting }
    }

    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next piece, if all of it is there.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let whole = match self.expects {
            Expects::Greeting => self.greeting_bytes(),
            Expects::Frame => self.frame_bytes(),
            Expects::Anything => Some(self.held.len()).filter(|bytes| *bytes > 0),
        };
        let bytes = whole.filter(|bytes| *bytes <= self.held.len())?;
        let piece: Vec<u8> = self.held.drain(..bytes).collect();
        Some(match self.expects {
            Expects::Greeting => {
                self.expects = Expects::Frame;
                Piece::Greeting(piece)
            }
            Expects::Frame => Piece::Frame(piece),
            Expects::Anything => Piece::Bytes(piece),
        })
    }

    /// The size of the greeting. What has another beginning is cut no more.
    fn greeting_bytes(&mut self) -> Option<usize> {
        let head = self.held.first_chunk::<GREETING_HEAD>()?;
        if !head.starts_with(b"sqN\n") {
            self.expects = Expects::Anything;
            return Some(self.held.len());
        }
        let body = u16::from_le_bytes([head[6], head[7]]);
        Some(GREETING_HEAD + usize::from(body) + GREETING_CHECKSUM)
    }

    fn frame_bytes(&mut self) -> Option<usize> {
        let payload = u32::from_le_bytes(*self.held.first_chunk::<4>()?) as usize;
        if payload > DATAGRAM_MAX {
            self.expects = Expects::Anything;
            return Some(self.held.len());
        }
        Some(FRAME_HEAD + payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Vec<u8> {
        b"sqN\n\x01\x00\x03\x00abcSSSS".to_vec()
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[9; 12]);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_connection_is_cut_into_the_same_pieces_however_it_comes() {
        let sent = [greeting(), frame(b""), frame(b"hello"), frame(&[7; 300])].concat();
        for size in [1, 3, 16, 1000] {
            let mut cutter = Cutter::new();
            let mut pieces = Vec::new();
            for part in sent.chunks(size) {
                cutter.push(part);
                pieces.extend(std::iter::from_fn(|| cutter.next()));
            }
            let frames = [frame(b""), frame(b"hello"), frame(&[7; 300])].map(Piece::Frame);
            assert_eq!(pieces[0], Piece::Greeting(greeting()));
            assert_eq!(pieces[1..], frames);
        }
    }

    #[test]
    fn what_is_not_ours_passes_as_it_came() {
        let mut cutter = Cutter::new();
        cutter.push(b"\x16\x03\x01 a TLS hello");
        assert_eq!(cutter.next(), Some(Piece::Bytes(b"\x16\x03\x01 a TLS hello".to_vec())));
        cutter.push(b"more");
        assert_eq!(cutter.next(), Some(Piece::Bytes(b"more".to_vec())));
        assert_eq!(cutter.next(), None);
    }

    #[test]
    fn a_frame_that_cannot_be_is_not_waited_for() {
        let mut cutter = Cutter::new();
        cutter.push(&[greeting(), vec![255; 5]].concat());
        assert_eq!(cutter.next(), Some(Piece::Greeting(greeting())));
        assert_eq!(cutter.next(), Some(Piece::Bytes(vec![255; 5])));
    }
}
