//! Files with histories of transactions.

use std::io::BufRead;

use super::history::{Kind, Micro, Transactions};
use super::options::{Initial, Options};
use crate::file::Format;
use crate::history::History;
use crate::read::lines::column;
use crate::read::{ParseError, Position, read_error};
use crate::value::Value;

mod dbcop;
mod elle;
mod rw_text;
mod yaml;

/// What holds for histories of a form of file unless something else is said.
///
/// Elle's registers start as nil; those of `rw-text` and `dbcop-yaml` with 0, and there the order
/// within each session is part of every level, as the papers behind them define it.
pub fn usual_options(format: Format) -> Options {
    match format {
        Format::RwText | Format::DbcopYaml => {
            Options { sessions: true, ..Options::new(Value::Int(0)) }
        }
        _ => Options::new(Value::Nil),
    }
}

/// Reads a history of transactions.
///
/// `initial` is what registers start with. A first transaction of a `rw-text` file that writes
/// these values itself, as session 0 and transaction 0, is not one of the history.
///
/// # Errors
///
/// With line and column, if the file cannot be read, is not of this form, or the form has no
/// transactions of this kind.
pub fn read(
    input: impl BufRead,
    format: Format,
    kind: Kind,
    initial: &Initial,
) -> Result<Transactions, ParseError> {
    match (format, kind) {
        (Format::EdnLines | Format::EdnVector, _) => elle::read_edn(input, kind),
        (Format::JsonLines, _) => elle::read_json(input, kind),
        (Format::RwText, Kind::RwRegister) => rw_text::read(input, initial),
        (Format::DbcopYaml, Kind::RwRegister) => dbcop::read(input),
        (Format::Jsonl, _) => {
            let history =
                History::<Vec<Micro>, Vec<Micro>>::read_jsonl(input).map_err(read_error)?;
            Transactions::from_history(kind, &history)
                .map_err(|unfit| ParseError::malformed(Position::START, unfit.to_string()))
        }
        _ => {
            let problem = format!("files of the format {format} have no {}", kind.model());
            Err(ParseError::malformed(Position::START, problem))
        }
    }
}

/// A line as text.
fn text(line: u64, bytes: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = Position { line, column: column(bytes, error.valid_up_to()) };
        ParseError::malformed(at, "not UTF-8".to_owned())
    })
}
