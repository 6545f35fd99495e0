//! Checks a file: which format it has, which model it is held against, and what comes out.
//!
//! | format | what it is | register values start as |
//! |---|---|---|
//! | `jepsen-log` | log lines of Jepsen | nil |
//! | `kv-log` | a map of EDN a line, with `:key`, as Porcupine's test data | the empty string |
//! | `edn-vector` | a vector of maps, as Jepsen and Knossos write them | 0 |
//! | `edn-lines` | maps of EDN with operations of transactions, as Elle reads them | nil |
//! | `json-lines` | the same as JSON | nil |
//! | `rw-text` | `r(key,value,session,transaction)` and `w(...)`, one a line | 0 |
//! | `dbcop-yaml` | sessions of transactions, as dbcop writes them | 0 |
//! | `jsonl` | what [`History::write_jsonl`](crate::History::write_jsonl) writes | 0 |

use std::io::BufRead;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::linearizable::Limits;
use crate::read::ParseError;

mod format;
mod initial;
mod models;
mod transactions;

pub use format::Format;
pub use initial::Initial;
pub use models::MODELS;

/// What to check a file against.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The format; without it, it is guessed from the first bytes.
    pub format: Option<Format>,
    /// The name of the model; without it, the format must suggest one.
    pub model: Option<String>,
    /// The state before the first operation; without it, the default of the format.
    pub initial: Option<Initial>,
    /// The name of a consistency level, for models of transactions.
    pub level: Option<String>,
    /// How much work the check may do.
    pub limits: Limits,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name of the model.
    pub model: String,
    /// The name of the consistency level, for models of transactions.
    pub level: Option<String>,
    /// Whether the history is allowed.
    pub finding: Finding,
    /// How many operations the history has, without those that failed.
    pub operations: usize,
    /// How long the decision took, without reading the file and without wording the explanation.
    pub elapsed: Duration,
    /// Why the history is not allowed, or how far the check came; empty if it is allowed.
    pub explanation: String,
    /// The violation drawn over time as a page of HTML.
    pub timeline: Option<String>,
}

/// Whether a history is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// It is.
    Valid,
    /// A bound came before the answer.
    Undecided,
    /// It is not.
    Violation,
}

/// Why a file could not be checked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is not what its format demands.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The request does not fit itself or the file.
    #[error("{0}")]
    Request(String),
}

impl Finding {
    /// The word for it: `valid`, `undecided` or `violation`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Undecided => "undecided",
            Self::Violation => "violation",
        }
    }
}

/// Checks a file.
///
/// # Errors
///
/// If the file is malformed, with line and column; or the request names what does not exist, or
/// what cannot be guessed from the file.
pub fn check(input: &mut dyn BufRead, request: &Request) -> Result<Report, FileError> {
    let format = match request.format {
        Some(format) => format,
        None => Format::guess(input)?,
    };
    let model = match &request.model {
        Some(model) => model.as_str(),
        None => {
            let usual = match format.usual_model() {
                None => Format::guess_kind(input)?,
                usual => usual,
            };
            usual.ok_or_else(|| {
                FileError::Request(format!("the format {format} does not tell the model"))
            })?
        }
    };
    if let Some(kind) = transactions::kind(model) {
        return transactions::check(input, format, kind, request);
    }
    models::check(input, format, model, request)
}

/// What the function answers and how long it took.
fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = run();
    (value, start.elapsed())
}
