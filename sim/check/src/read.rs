//! Readers of the histories that other tools write.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::history::ReadError;

pub(crate) mod assemble;
pub(crate) mod edn_maps;
pub(crate) mod event;
pub(crate) mod jepsen_log;
pub(crate) mod lines;
pub(crate) mod vocabulary;

/// A place in a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, counted from 1.
    pub line: u64,
    /// The column in characters, counted from 1.
    pub column: u64,
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes could not be had.
    #[error("{at}: {source}")]
    Io {
        /// How far the reader had come.
        at: Position,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not what the format demands.
    #[error("{at}: {problem}")]
    Malformed {
        /// Where the text is wrong.
        at: Position,
        /// What is wrong with it.
        problem: String,
    },
}

impl Position {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Moves past a byte of UTF-8: only the first byte of a character counts as a column.
    pub(crate) fn pass(&mut self, byte: u8) {
        if byte == b'\n' {
            *self = Self { line: self.line + 1, column: 1 };
        } else if byte & 0xC0 != 0x80 {
            self.column += 1;
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl ParseError {
    pub(crate) fn malformed(at: Position, problem: String) -> Self {
        Self::Malformed { at, problem }
    }

    /// Where the file is wrong, or how far it could be read.
    pub fn position(&self) -> Position {
        match self {
            Self::Io { at, .. } | Self::Malformed { at, .. } => *at,
        }
    }
}

/// The error of our own format with its place.
pub(crate) fn read_error(error: ReadError) -> ParseError {
    let at = Position { line: error.line(), column: error.column() };
    match error {
        ReadError::Io { source, .. } => ParseError::Io { at, source },
        other => ParseError::malformed(at, other.problem()),
    }
}
