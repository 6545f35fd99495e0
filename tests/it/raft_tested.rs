//! The table of what is tested of Raft names tests that there are, and all those that take members
//! one turn at a time.

use std::path::Path;

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

#[test]
fn the_table_of_what_is_tested_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let table = std::fs::read_to_string(root.join("protocols/src/raft/tested.md")).expect("text");
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let named: Vec<&str> = rows
        .flat_map(|row| row.rsplit('|').nth(1).expect("a column").split('`').skip(1).step_by(2))
        .collect();
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
