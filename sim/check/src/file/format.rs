//! The formats by name, and by what a file looks like.

use std::fmt;
use std::io::BufRead;
use std::str::FromStr;

use super::FileError;
use crate::read::{ParseError, Position};

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Log lines of Jepsen.
    JepsenLog,
    /// A map of EDN a line, with keys.
    KvLog,
    /// A vector, list or sequence of maps of EDN.
    EdnVector,
    /// Maps of EDN whose values are operations of transactions, as Elle reads them.
    EdnLines,
    /// The same as objects of JSON, on lines of their own or in an array.
    JsonLines,
    /// `r(key,value,session,transaction)` and `w(...)`, one a line, as IsoVista and PolySI.
    RwText,
    /// The YAML of dbcop: a list of sessions, which are lists of transactions.
    DbcopYaml,
    /// The versioned lines of JSON that this crate writes.
    Jsonl,
}

/// Every format with its name.
const NAMES: &[(&str, Format)] = &[
    ("jepsen-log", Format::JepsenLog),
    ("kv-log", Format::KvLog),
    ("edn-vector", Format::EdnVector),
    ("edn-lines", Format::EdnLines),
    ("json-lines", Format::JsonLines),
    ("rw-text", Format::RwText),
    ("dbcop-yaml", Format::DbcopYaml),
    ("jsonl", Format::Jsonl),
];

impl FromStr for Format {
    type Err = FileError;

    fn from_str(name: &str) -> Result<Self, FileError> {
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        found.ok_or_else(|| {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            FileError::Request(format!("no format {name:?}; there are {}", known.join(", ")))
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl Format {
    /// The format that a file has by the look of its first bytes, which are not consumed.
    ///
    /// # Errors
    ///
    /// If it looks like none, or cannot be read.
    pub fn guess(input: &mut dyn BufRead) -> Result<Self, FileError> {
        let at = Position::START;
        let start = input.fill_buf().map_err(|source| ParseError::Io { at, source })?;
        let text = String::from_utf8_lossy(start);
        let mut lines = text.lines().map(str::trim_start);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with(';'));
        let Some(first) = first else {
            // Nothing happened, which every format but our own writes as nothing.
            return Ok(Self::EdnVector);
        };
        if first.starts_with("{\"squall_history\"") {
            return Ok(Self::Jsonl);
        }
        if first.starts_with("r(") || first.starts_with("w(") {
            return Ok(Self::RwText);
        }
        if first.starts_with("---") || first.starts_with("- ") {
            return Ok(Self::DbcopYaml);
        }
        let inner = first.trim_start_matches(['[', ' ']);
        if inner.starts_with("{\"") || (inner.is_empty() && text.contains("{\"")) {
            return Ok(Self::JsonLines);
        }
        if ["[:append ", "[:r ", "[:w "].iter().any(|operation| text.contains(operation)) {
            return Ok(Self::EdnLines);
        }
        if first.starts_with(['[', '(']) {
            return Ok(Self::EdnVector);
        }
        if first.starts_with('{') || first.starts_with("#jepsen.history.Op") {
            let is_keyed = first.contains(":key ");
            return Ok(if is_keyed { Self::KvLog } else { Self::EdnVector });
        }
        if text.contains("jepsen.util - ") {
            return Ok(Self::JepsenLog);
        }
        Err(FileError::Request("the file looks like no format that is known; name one".to_owned()))
    }

    /// The model that files of the format are usually held against.
    pub(super) fn usual_model(self) -> Option<&'static str> {
        match self {
            Self::JepsenLog => Some("cas-register"),
            Self::KvLog => Some("append-kv"),
            Self::RwText | Self::DbcopYaml => Some("rw-register"),
            Self::EdnVector | Self::EdnLines | Self::JsonLines | Self::Jsonl => None,
        }
    }

    /// The model of transactions that a file is of by the look of its first bytes, which are not
    /// consumed.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn guess_kind(input: &mut dyn BufRead) -> Result<Option<&'static str>, FileError> {
        let at = Position::START;
        let start = input.fill_buf().map_err(|source| ParseError::Io { at, source })?;
        let text = String::from_utf8_lossy(start);
        let has = |words: [&str; 2]| words.iter().any(|word| text.contains(word));
        Ok(if has(["[:append ", "[\"append\""]) {
            Some("list-append")
        } else if has(["[:w ", "[\"w\""]) {
            Some("rw-register")
        } else {
            None
        })
    }
}
