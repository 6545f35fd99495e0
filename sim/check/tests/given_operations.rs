//! Real histories with known verdicts, which are not part of the project.

#[path = "common/given.rs"]
mod given;

use std::fs::File;
use std::io::BufReader;

use squall_check::file::{Finding, Format, Initial, Request, check};

#[test]
#[ignore = "needs histories that are not part of the project"]
fn every_history_of_operations_gets_its_verdict() {
    let folder = given::folder();
    let table = std::fs::read_to_string(folder.join("expected.tsv")).expect("the table");
    let mut checked = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [file, model, format, expected, ..] = columns[..] else { panic!("{row}") };
        if !["jepsen-log", "kv-log", "edn-vector"].contains(&format) {
            continue;
        }
        let (model, initial) = model.trim_end_matches(')').split_once('(').expect("an initial");
        let request = Request {
            format: Some(format.parse::<Format>().expect("a format")),
            model: Some(model.to_owned()),
            initial: (initial != "free").then(|| initial.parse::<Initial>().expect("a value")),
            ..Request::default()
        };
        let mut input = BufReader::new(File::open(folder.join(file)).expect(file));
        let report = check(&mut input, &request).unwrap_or_else(|error| panic!("{file}: {error}"));
        let wanted = if expected == "ok" { Finding::Valid } else { Finding::Violation };
        assert_eq!(report.finding, wanted, "{file}");
        // The model is the usual one, so it and the format can be guessed; the states are the same.
        let guess = Request {
            model: (format == "edn-vector").then(|| model.to_owned()),
            ..Request::default()
        };
        let mut input = BufReader::new(File::open(folder.join(file)).expect(file));
        let guessed = check(&mut input, &guess).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(guessed.finding, wanted, "{file}, guessed");
        checked += 1;
    }
    assert!(checked >= 100, "only {checked} histories in {}", folder.display());
}
