//! What a run's history is worth.

use super::node::Error;
use squall_check::{Counts, History, Limits, Model, Verdict, linearizable};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

/// What a run's history is worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// What came of the operations.
    pub counts: Counts,
    /// What the checker says.
    pub finding: Finding,
}

/// What the checker says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The history is as was promised.
    Holds,
    /// It is not, and these lines say why.
    Violation(Vec<String>),
    /// Nobody knows, for this reason.
    Undecided(String),
}

/// Reads the histories that clients wrote, and puts them together.
///
/// # Errors
/// If one cannot be read, or their clocks do not fit together.
pub(super) fn read<M: Model>(files: &[PathBuf]) -> Result<History<M::Input, M::Output>, Error> {
    let mut histories = Vec::new();
    for path in files {
        let why = |why: String| Error::History { path: path.clone(), why };
        let file = File::open(path).map_err(|error| why(error.to_string()))?;
        let read = History::<M::Input, M::Output>::read_jsonl(BufReader::new(file));
        histories.push(read.map_err(|error| why(error.to_string()))?);
    }
    let path = files.first().cloned().unwrap_or_default();
    History::merge(histories).map_err(|error| Error::History { path, why: error.to_string() })
}

/// Reads the histories that clients wrote, puts them together, and judges whether they are
/// linearizable.
///
/// # Errors
/// If one cannot be read, or their clocks do not fit together.
pub fn judge<M: Model>(model: &M, files: &[PathBuf]) -> Result<Judged, Error> {
    let merged = read::<M>(files)?;
    let finding = match linearizable(model, &merged, &Limits::default()) {
        Verdict::Ok => Finding::Holds,
        Verdict::Violation(violation) => Finding::Violation(violation.lines()),
        Verdict::Undecided { reason, explored, .. } => {
            Finding::Undecided(format!("{reason:?} after {explored} steps"))
        }
    };
    Ok(Judged { counts: merged.counts(), finding })
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_check::{AppendKv, AppendKvCall, AppendKvReturn, Recorder};

    /// Two processes: one appends twice, and then the other reads this.
    fn found(read: &str) -> Finding {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (Recorder::new(), Recorder::new());
        for (at, piece) in ["1 ", "2 "].into_iter().enumerate() {
            let call = AppendKvCall::Append("a".to_owned(), piece.to_owned());
            let id = one.invoke(0, call, 10 * at as u64);
            one.ok(id, AppendKvReturn::Done, 10 * at as u64 + 5);
        }
        let id = other.invoke(1, AppendKvCall::Get("a".to_owned()), 30);
        other.ok(id, AppendKvReturn::Value(read.to_owned()), 35);
        let files = [one, other].into_iter().enumerate().map(|(number, recorder)| {
            let path = dir.path().join(format!("{number}.jsonl"));
            recorder.finish().write_jsonl(File::create(&path).unwrap()).unwrap();
            path
        });
        let files: Vec<PathBuf> = files.collect();
        let judged = judge(&AppendKv::new(""), &files).unwrap();
        assert_eq!(judged.counts.ok, 3);
        judged.finding
    }

    #[test]
    fn lost_doubled_and_misplaced_pieces_are_found() {
        assert_eq!(found("1 2 "), Finding::Holds);
        for wrong in ["1 ", "2 ", "", "2 1 ", "1 2 2 ", "1 2 3 "] {
            assert!(matches!(found(wrong), Finding::Violation(_)), "{wrong:?}");
        }
    }

    #[test]
    fn a_history_that_cannot_be_read_is_named() {
        let missing = judge(&AppendKv::new(""), &[PathBuf::from("no-such-history")]).unwrap_err();
        assert!(missing.to_string().contains("no-such-history"));
    }
}
