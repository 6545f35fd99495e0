//! A file line by line, with a bound on how long a line may be.

use std::io::BufRead;

use super::{ParseError, Position};

/// How long a line may be, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// Reads lines and counts them.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, bytes: Vec::new(), line: 0 }
    }

    /// The next line without its end, and its number from 1; `None` at the end of the file.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, ParseError> {
        self.bytes.clear();
        self.line += 1;
        let at = Position { line: self.line, column: 1 };
        loop {
            let buffer = self.input.fill_buf().map_err(|source| ParseError::Io { at, source })?;
            if buffer.is_empty() {
                let is_line = !self.bytes.is_empty();
                return Ok(is_line.then_some((self.line, &self.bytes)));
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(buffer.len());
            if self.bytes.len() + taken > LINE_BYTES_MAX {
                let problem = format!("a line of more than {LINE_BYTES_MAX} bytes");
                return Err(ParseError::malformed(at, problem));
            }
            self.bytes.extend_from_slice(&buffer[..taken]);
            self.input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                let text = self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes);
                return Ok(Some((self.line, text)));
            }
        }
    }
}

/// The place of a byte in a line: columns count characters.
pub(crate) fn column(line: &[u8], byte: usize) -> u64 {
    let before = &line[..byte.min(line.len())];
    1 + before.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64
}
