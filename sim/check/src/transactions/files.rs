//! Files with histories of transactions.

use std::fmt;
use std::io::{BufRead, Read as _};

use super::history::{Kind, Micro, Transactions, Unfit};
use super::judge::check;
use super::level::Level;
use super::options::{Initial, Options, TransactionLimits};
use super::value::Value;
use super::verdict::TransactionVerdict;
use crate::history::History;
use crate::read::{ParseError, Position};

mod dbcop;
mod elle;
mod rw_text;
mod yaml;

/// How long a line may be, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A form of file for histories of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Elle's and Jepsen's: one EDN map for each event, one after the other or in a vector.
    EdnLines,
    /// The same as JSON: one object for each event, on lines of their own or in an array.
    JsonLines,
    /// IsoVista's and PolySI's: `r(key,value,session,transaction)` and `w(...)`, one a line.
    RwText,
    /// The YAML of dbcop: a list of sessions, which are lists of transactions.
    DbcopYaml,
    /// The file form of [`History`].
    Jsonl,
}

impl Format {
    /// What holds for histories of this form unless something else is said.
    ///
    /// Elle's registers start as nil; those of the other two with 0, and there the order within
    /// each session is part of every level, as the papers behind them define it.
    pub fn options(self) -> Options {
        match self {
            Self::EdnLines | Self::JsonLines | Self::Jsonl => Options::new(Value::Nil),
            Self::RwText | Self::DbcopYaml => {
                Options { sessions: true, ..Options::new(Value::Integer(0)) }
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EdnLines => "edn-lines",
            Self::JsonLines => "json-lines",
            Self::RwText => "rw-text",
            Self::DbcopYaml => "dbcop-yaml",
            Self::Jsonl => "jsonl",
        })
    }
}

/// Reads a history of transactions.
///
/// `initial` is what registers start with. A first transaction of a `rw-text` file that writes
/// these values itself, as session 0 and transaction 0, is not one of the history.
///
/// # Errors
///
/// With line and column, if the file cannot be read or is not of this form.
pub fn read(
    input: impl BufRead,
    format: Format,
    kind: Kind,
    initial: &Initial,
) -> Result<Transactions, ParseError> {
    match format {
        Format::EdnLines => elle::read_edn(input, kind),
        Format::JsonLines => elle::read_json(input, kind),
        Format::RwText | Format::DbcopYaml if kind == Kind::ListAppend => {
            let problem = format!("{format} has registers, and no lists to append to");
            Err(ParseError::malformed(Position::START, problem))
        }
        Format::RwText => rw_text::read(input, initial),
        Format::DbcopYaml => dbcop::read(input),
        Format::Jsonl => {
            let history =
                History::<Vec<Micro>, Vec<Micro>>::read_jsonl(input).map_err(|error| {
                    let at = Position { line: error.line(), column: 1 };
                    ParseError::malformed(at, error.to_string())
                })?;
            let unfit = |unfit: Unfit| ParseError::malformed(Position::START, unfit.to_string());
            Transactions::from_history(kind, &history).map_err(unfit)
        }
    }
}

/// Reads a history and checks it with the options of its form.
///
/// `initial` replaces what the form's registers start with.
///
/// # Errors
///
/// With line and column, if the file cannot be read or is not of this form.
pub fn check_file(
    input: impl BufRead,
    format: Format,
    kind: Kind,
    level: Level,
    initial: Option<Initial>,
    limits: TransactionLimits,
) -> Result<TransactionVerdict, ParseError> {
    let mut options = Options { limits, ..format.options() };
    if let Some(initial) = initial {
        options.initial = initial;
    }
    let history = read(input, format, kind, &options.initial)?;
    Ok(check(&history, level, &options))
}

/// Reads a file line by line, knowing where it is.
struct Lines<R> {
    input: R,
    line: u64,
    bytes: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, line: 0, bytes: Vec::new() }
    }

    fn at(&self, column: usize) -> Position {
        Position { line: self.line.max(1), column: column as u64 }
    }

    /// The next line without its end; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<&str>, ParseError> {
        self.line += 1;
        self.bytes.clear();
        let at = self.at(1);
        let mut limited = self.input.by_ref().take(LINE_BYTES_MAX);
        let count = limited
            .read_until(b'\n', &mut self.bytes)
            .map_err(|source| ParseError::Io { at, source })?;
        if count == 0 {
            return Ok(None);
        }
        if count as u64 == LINE_BYTES_MAX {
            let problem = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(ParseError::malformed(at, problem));
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(line) => Ok(Some(line.trim_end_matches(['\n', '\r']))),
            Err(error) => {
                let valid = String::from_utf8_lossy(&self.bytes[..error.valid_up_to()]);
                let at = Position { line: self.line, column: valid.chars().count() as u64 + 1 };
                Err(ParseError::malformed(at, "not UTF-8".to_owned()))
            }
        }
    }
}
