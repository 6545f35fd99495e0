//! The walls of the house, held by a test: who may depend on whom, how long files are, which words
//! have no place in finished work.

use std::fs;
use std::path::{Path, PathBuf};

/// No file may be longer, in lines.
const FILE_MAX: usize = 500;

/// No line may be longer, in characters. Tables and text in Markdown are free.
const LINE_MAX: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file of the project with one of these endings, with its text.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "squall-failures"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((shown, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "the project has no files that end with {endings:?}");
    found
}

/// The section of a manifest: the names to the left of the equals signs.
fn section<'a>(manifest: &'a str, header: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| line.trim() != header).skip(1);
    let body = lines.take_while(|line| !line.starts_with('['));
    let name = |line: &'a str| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty());
    body.filter_map(name).collect()
}

fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    section(&manifest, "[dependencies]").into_iter().map(str::to_owned).collect()
}

#[test]
fn crates_depend_only_downwards() {
    let walls: [(&str, &[&str]); 5] = [
        ("sim/env", &[]),
        ("sim/check", &[]),
        ("sim/engine", &["squall-env", "squall-check"]),
        ("sim/real", &["squall-env"]),
        ("protocols", &["squall-env"]),
    ];
    for (folder, allowed) in walls {
        let ours = dependencies(folder).into_iter().filter(|name| name.starts_with("squall"));
        for name in ours {
            assert!(allowed.contains(&name.as_str()), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn files_and_lines_stay_short() {
    for (path, text) in files(&[".rs"]) {
        let lines = text.lines().count();
        assert!(lines <= FILE_MAX, "{path} has {lines} lines, more than {FILE_MAX}");
        for (at, line) in text.lines().enumerate() {
            let width = line.chars().count();
            assert!(width <= LINE_MAX, "{path}:{} is {width} characters wide", at + 1);
        }
    }
}

#[test]
fn nothing_says_that_it_is_unfinished() {
    // Spelt apart, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["for ", "now"], ["place", "holder"]];
    for (path, text) in files(&[".rs", ".md", ".toml"]) {
        for word in words.iter().map(|parts| parts.concat()) {
            assert!(!text.contains(&word), "{path} says {word:?}");
        }
    }
}

#[test]
fn no_test_is_skipped_without_a_reason_and_no_example_goes_uncompiled() {
    for (path, text) in files(&[".rs", ".md"]) {
        let bare = ["#[ign", "ore]"].concat();
        let fence = ["```ign", "ore"].concat();
        assert!(!text.contains(&bare), "{path} skips a test without saying why");
        assert!(!text.contains(&fence), "{path} has an example that nobody compiles");
    }
}

#[test]
fn the_bans_are_the_same_wherever_they_hold() {
    let bans = fs::read_to_string(root().join("sim/env/clippy.toml")).unwrap();
    let protocols = fs::read_to_string(root().join("protocols/clippy.toml")).unwrap();
    assert_eq!(protocols, bans, "protocols/clippy.toml differs from sim/env/clippy.toml");
    assert_eq!(squall::lint::CLIPPY, bans, "the list for users differs from sim/env/clippy.toml");
    let world: Vec<(String, String)> = files(&[".rs"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("sim/engine/src/world/"))
        .collect();
    assert!(world.len() > 10, "the world has moved");
    for (path, text) in world {
        for banned in [
            "std::time::Instant",
            "SystemTime",
            "HashMap",
            "HashSet",
            "std::fs",
            "std::thread",
            "std::net",
            "std::process",
            "println!",
        ] {
            assert!(!text.contains(banned), "{path} uses {banned}");
        }
    }
}

#[test]
fn every_crate_takes_part_in_the_shared_settings() {
    for folder in ["sim/env", "sim/check", "sim/engine", "sim/real", "protocols", "scenarios"] {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        for line in [
            "version.workspace = true",
            "edition.workspace = true",
            "license.workspace = true",
            "[lints]\nworkspace = true",
        ] {
            assert!(manifest.contains(line), "{folder}/Cargo.toml lacks {line:?}");
        }
    }
}

#[test]
fn the_workspace_has_one_binary_and_it_is_called_squall() {
    let mut binaries = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        let folder = path.trim_end_matches("Cargo.toml");
        if root().join(folder).join("src/main.rs").exists() && text.contains("[package]") {
            binaries.push(path.clone());
        }
        assert!(!text.contains("default-members"), "{path} hides members from cargo");
    }
    assert_eq!(binaries, ["scenarios/Cargo.toml"]);
}
