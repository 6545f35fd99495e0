//! What nodes count, written down while they run, for they may be killed at any time.

use super::node::Error;
use serde_json::json;
use squall_real::Node;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a line is written.
const INTERVAL: Duration = Duration::from_millis(100);

/// The sums of what nodes have counted, by name.
pub type Counted = BTreeMap<String, u64>;

/// Writes a line whenever something was counted, until the node ends.
pub(super) fn write(path: &Path, node: &Node) -> Result<(), Error> {
    let failed = || Error::io(path.display().to_string());
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed())?;
    let mut last = None;
    while !node.has_ended() {
        let metrics = node.metrics();
        if last != Some(metrics) {
            let line = json!({ "process": std::process::id(), "counted": metrics });
            // One write for a line, so that whoever is killed leaves whole lines behind.
            file.write_all(format!("{line}\n").as_bytes()).map_err(failed())?;
            last = Some(metrics);
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
        let text = std::fs::read_to_string(path).map_err(Error::io(path.display().to_string()))?;
        let mut last: BTreeMap<u32, Counted> = BTreeMap::new();
        for line in text.lines() {
            let line: Result<Line, _> = serde_json::from_str(line);
            let line = line.map_err(|error| Error::Config { path: path.clone(), error })?;
            last.insert(line.process, line.counted);
        }
        for (name, count) in last.into_values().flatten() {
            *sums.entry(name).or_default() += count;
        }
    }
    Ok(sums)
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
        std::fs::write(&one, lines.map(|line| line.to_string()).join("\n")).unwrap();
        std::fs::write(&other, line(1, 100, 100).to_string()).unwrap();
        let sums = read(&[one, other]).unwrap();
        assert_eq!((sums["refused"], sums["accepts"]), (113, 105));
        assert!(read(&[dir.path().join("none")]).is_err());
    }
}
