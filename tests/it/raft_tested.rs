//! The table of what is tested of Raft names tests that there are, and all those that take members
//! one turn at a time.

use std::path::Path;

/// Mutants of lines that nobody is known to have had wrong in public.
const OWN: [&str; 12] = [
    "votes-twice-in-a-term",
    "appends-behind-durable-entries",
    "skips-the-consistency-check",
    "commits-unverified-entries",
    "snapshot-index-off-by-one",
    "compacts-entries-that-are-not-applied",
    "transfers-to-older-logs",
    "changes-while-another-is-under-way",
    "changes-several-voters-at-once",
    "snapshots-of-the-first-members",
    "keeps-overwritten-configurations",
    "restarts-with-the-first-members",
];

/// Every function that is marked as a test in the files of a folder and below it.
fn tests_of(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_of(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if let Some(name) = line.strip_prefix("fn ").filter(|_| is_test) {
                    found.extend(name.split('(').next().map(str::to_owned));
                    is_test = false;
                }
                is_test = is_test && line.starts_with("#[") || line == "#[test]";
            }
        }
    }
}

/// What is quoted in a table's column, counted from the end.
fn quoted(table: &str, column: usize) -> Vec<&str> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.map(|row| row.rsplit('|').nth(column).expect("a column"));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_table_of_what_is_tested_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let table = std::fs::read_to_string(root.join("protocols/src/raft/tested.md")).expect("text");
    let named = quoted(&table, 1);
    assert!(named.len() > 50);
    let (mut turns, mut all) = (Vec::new(), Vec::new());
    tests_of(&root.join("protocols/tests/raft"), &mut turns);
    tests_of(&root.join("protocols/src/raft"), &mut all);
    tests_of(&root.join("tests/it"), &mut all);
    all.extend(turns.iter().cloned());
    let unknown: Vec<&&str> =
        named.iter().filter(|name| !all.iter().any(|known| known == **name)).collect();
    assert!(unknown.is_empty(), "there are no such tests: {unknown:?}");
    let missing: Vec<&String> =
        turns.iter().filter(|name| !named.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[test]
fn the_published_faults_are_mutants_and_specimens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let path = root.join("protocols/src/raft/published.md");
    let table = std::fs::read_to_string(path).expect("text");
    let all = squall_scenarios::specimens();
    for name in quoted(&table, 2) {
        let is = |known: &str| known == name || known == format!("mutant/raft-{name}");
        assert!(all.iter().any(|specimen| is(specimen.name())), "{name}");
    }
    for mutant in squall_scenarios::raft::mutants() {
        let short = mutant.name().trim_start_matches("mutant/raft-");
        let is_published = table.contains(&format!("`{short}`"));
        assert!(is_published || OWN.contains(&short), "{short} is in no table");
    }
}
