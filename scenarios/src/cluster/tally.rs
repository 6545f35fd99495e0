//! What nodes count, written down while they run, for they may be killed at any time.

use super::node::Error;
use serde::Serialize;
use serde_json::json;
use squall_real::{Metrics, Node};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// How often a line is written.
const INTERVAL: Duration = Duration::from_millis(100);

/// The sums of what nodes have counted, by name.
pub type Counted = BTreeMap<String, u64>;

/// Set once a node has read its journal: whether it may have forgotten what others count on.
pub(super) type InDoubt = OnceLock<bool>;

/// All that a node counts.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
struct All {
    #[serde(flatten)]
    metrics: Metrics,
    /// 1 once it has read its journal.
    opened: u64,
    /// 1 if it then was in doubt.
    doubted: u64,
}

/// Writes a line whenever something was counted, until the node ends.
pub(super) fn write(path: &Path, node: &Node, in_doubt: &InDoubt) -> Result<(), Error> {
    let failed = || Error::io(path.display().to_string());
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed())?;
    let mut last = None;
    while !node.has_ended() {
        let (opened, doubted) =
            (u64::from(in_doubt.get().is_some()), u64::from(in_doubt.get() == Some(&true)));
        let all = All { metrics: node.metrics(), opened, doubted };
        if last != Some(all) {
            let line = json!({ "process": std::process::id(), "counted": all });
            // One write for a line, so that whoever is killed leaves whole lines behind.
            file.write_all(format!("{line}\n").as_bytes()).map_err(failed())?;
            last = Some(all);
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Line {
    process: u32,
    counted: Counted,
}

/// Adds up what all processes had counted when they wrote their last lines.
pub(super) fn read(files: &[PathBuf]) -> Result<Counted, Error> {
    let mut sums = Counted::new();
    for path in files {
        for (name, count) in last_lines(path)?.into_values().flatten() {
            *sums.entry(name).or_default() += count;
        }
    }
    Ok(sums)
}

/// The last line of each process.
fn last_lines(path: &Path) -> Result<BTreeMap<u32, Counted>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path.display().to_string()))?;
    let mut last = BTreeMap::new();
    // What is being written has no end yet.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line: Result<Line, _> = serde_json::from_str(line);
        let line = line.map_err(|error| Error::Config { path: path.to_owned(), error })?;
        last.insert(line.process, line.counted);
    }
    Ok(last)
}

/// Whether a process was in doubt once it had read its journal; `None` if it has not yet.
pub(super) fn opened(path: &Path, process: u32) -> Result<Option<bool>, Error> {
    let lines = last_lines(path)?;
    let is = |name| lines.get(&process).is_some_and(|counted| counted.get(name) == Some(&1));
    Ok(is("opened").then(|| is("doubted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_each_process_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let line = |process: u32, refused: u64, accepts: u64| {
            let counted = json!({ "refused": refused, "accepts": accepts });
            json!({ "process": process, "counted": counted })
        };
        let lines = [line(1, 1, 2), line(1, 3, 5), line(2, 10, 0)];
        std::fs::write(&one, lines.map(|line| format!("{line}\n")).concat()).unwrap();
        std::fs::write(&other, format!("{}\n{{", line(1, 100, 100))).unwrap();
        let sums = read(&[one, other]).unwrap();
        assert_eq!((sums["refused"], sums["accepts"]), (113, 105));
        assert!(read(&[dir.path().join("none")]).is_err());
    }

    #[test]
    fn a_process_says_whether_it_doubts_once_it_has_read_its_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics");
        let line = |process: u32, opened: u64, doubted: u64| {
            let counted = json!({ "opened": opened, "doubted": doubted });
            format!("{}\n", json!({ "process": process, "counted": counted }))
        };
        let lines = [line(1, 0, 0), line(1, 1, 1), line(2, 1, 0), line(3, 0, 0)];
        std::fs::write(&path, lines.concat()).unwrap();
        let opened = [1, 2, 3, 4].map(|process| opened(&path, process).unwrap());
        assert_eq!(opened, [Some(true), Some(false), None, None]);
    }
}
