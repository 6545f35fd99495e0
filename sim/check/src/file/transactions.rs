//! Files with transactions, held against an isolation level.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{FileError, Finding, Format, Initial, Report, Request, timed};
use crate::transactions::{self, Kind, Level, Options, Status, usual_options};

/// The kind of history that a model of transactions is about; `None` for any other model.
pub(super) fn kind(model: &str) -> Option<Kind> {
    [Kind::ListAppend, Kind::RwRegister].into_iter().find(|kind| kind.model() == model)
}

/// Checks a file against the level of the request.
pub(super) fn check(
    input: &mut dyn BufRead,
    format: Format,
    kind: Kind,
    request: &Request,
) -> Result<Report, FileError> {
    let level = match &request.level {
        Some(name) => name.parse().map_err(|unknown: transactions::UnknownLevel| {
            FileError::Request(unknown.to_string())
        })?,
        None => Level::StrictSerializable,
    };
    let options = options(format, kind, request)?;
    let history = transactions::read(input, format, kind, &options.initial)?;
    let (verdict, elapsed) = timed(|| transactions::check(&history, level, &options));
    let finding = match verdict.status() {
        Status::Holds => Finding::Valid,
        Status::Violated => Finding::Violation,
        Status::Undecided(_) => Finding::Undecided,
    };
    let explanation = match finding {
        Finding::Valid => String::new(),
        Finding::Undecided | Finding::Violation => verdict.to_string(),
    };
    Ok(Report {
        model: kind.model().to_owned(),
        level: Some(level.name().to_owned()),
        finding,
        operations: history.effective(),
        elapsed,
        explanation,
        timeline: None,
    })
}

fn options(format: Format, kind: Kind, request: &Request) -> Result<Options, FileError> {
    let mut options = usual_options(format);
    options.limits.time = request.limits.time;
    let given = request.initial.as_ref();
    if kind == Kind::ListAppend {
        Initial::none(given, kind.model())?;
        return Ok(options);
    }
    match given {
        None => {}
        Some(Initial::One(value)) => {
            options.initial.default = Some(value.clone());
            options.initial.keys = BTreeMap::new();
        }
        Some(Initial::Keys(keys)) => options.initial.keys = keys.clone(),
    }
    Ok(options)
}
