//! `squall shrink --rust` writes tests that compile as they stand, fail, and pass once the bug is
//! gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each with a part of what it breaks.
const SPECIMENS: [(&str, &str); 3] = [
    ("mutant/register-reads-without-write-back", "is linearizable"),
    ("mutant/register-reuses-tag-after-restart", "a tag stands for one value"),
    ("specimen/kv", "a crash leaves a whole file"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace")
}

/// Shrinks the first failing seed, and writes the test.
fn write(name: &str, file: &Path) {
    let squall = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        let output = command.args(arguments).output().expect("the command starts");
        String::from_utf8(output.stdout).expect("it says UTF-8")
    };
    let swept = squall(&["sweep", name, "--seeds", "200", "--json"]);
    let swept: serde_json::Value = serde_json::from_str(&swept).expect("a line of JSON");
    let failures = swept["scenarios"][0]["failures"].as_array().expect("failures");
    let seed = failures.iter().filter_map(|found| found["seed"].as_u64()).min().expect("one");
    let (seed, file) = (seed.to_string(), file.to_str().expect("UTF-8"));
    let list = "squall_scenarios::specimens()";
    let said = squall(&["shrink", name, "--seed", &seed, "--rust", "--list", list, "-o", file]);
    assert!(said.contains("the test is in "), "{said}");
}

/// A crate beside no other, with these tests and the same scenarios.
fn package(folder: &Path, tests: &[(String, String)]) {
    let root = root().display();
    let manifest = fs::read_to_string(root_file("Cargo.toml")).expect("the manifest is there");
    // The same profiles, so that what is built already is built no second time.
    let profiles = manifest.find("[profile.dev]").expect("there is a profile");
    let text = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dev-dependencies]\nsquall = {{ path = \"{root}/sim/engine\" }}\n\
         squall-scenarios = {{ path = \"{root}/scenarios\" }}\n\n[workspace]\n\n{}",
        &manifest[profiles..]
    );
    fs::write(folder.join("Cargo.toml"), text).expect("it can be written");
    fs::copy(root_file("Cargo.lock"), folder.join("Cargo.lock")).expect("it can be copied");
    fs::create_dir_all(folder.join("src")).expect("it can be made");
    fs::write(folder.join("src/lib.rs"), "").expect("it can be written");
    fs::create_dir_all(folder.join("tests/all")).expect("it can be made");
    let mods = tests.iter().map(|(name, _)| format!("mod {name};\n"));
    fs::write(folder.join("tests/all/main.rs"), mods.collect::<String>()).expect("written");
    for (name, source) in tests {
        let file = folder.join(format!("tests/all/{name}.rs"));
        fs::write(file, source).expect("it can be written");
    }
}

fn root_file(name: &str) -> PathBuf {
    root().join(name)
}

#[test]
#[ignore = "builds a crate of its own, which takes minutes"]
fn a_written_test_fails_until_the_bug_is_mended() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut tests = Vec::new();
    for (at, (specimen, _)) in SPECIMENS.iter().enumerate() {
        let file = folder.path().join("written.rs");
        write(specimen, &file);
        let source = fs::read_to_string(&file).expect("it was written");
        let switch = source.lines().find(|line| line.trim().starts_with("\"mutant\": "));
        let mended = source.replace(&format!(",\n{}", switch.expect("the bug is named")), "");
        assert_ne!(mended, source);
        tests.push((format!("as_written_{at}"), source));
        tests.push((format!("mended_{at}"), mended));
    }
    package(folder.path(), &tests);
    let built = Path::new(env!("CARGO_BIN_EXE_squall")).ancestors().nth(2).expect("a folder");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--test", "all"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", built)
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let why = || format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("3 passed; 3 failed"), "{}", why());
    for (at, (specimen, breaks)) in SPECIMENS.iter().enumerate() {
        let began = format!("{specimen} breaks: ");
        let report = said.lines().find(|line| line.starts_with(&began));
        assert!(report.is_some_and(|line| line.contains(breaks)), "{}", why());
        let mut lines = said.lines().filter(|line| line.starts_with("test "));
        let ended =
            |name: String, how: &str, line: &str| line.contains(&name) && line.ends_with(how);
        assert!(lines.clone().any(|line| ended(format!("as_written_{at}::"), "FAILED", line)));
        assert!(lines.any(|line| ended(format!("mended_{at}::"), "ok", line)), "{}", why());
    }
}

#[test]
fn without_a_list_the_command_asks_for_one_and_alone_the_test_is_printed() {
    let squall = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(arguments.split(' ')).env_remove("CARGO_PKG_NAME").output().expect("starts")
    };
    let refused = squall("shrink specimen/engine-panic --seed 0 --rust");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("Say it with --list, as in `--list 'my_crate::scenarios()'`"), "{said}");
    let printed = squall("shrink specimen/engine-panic --seed 0 --rust --list mine::all()");
    let said = String::from_utf8_lossy(&printed.stdout);
    assert_eq!(printed.status.code(), Some(0));
    let call = "squall::regression::holds(&mine::all(), \"specimen/engine-panic\", 0, PLAN);";
    assert!(said.starts_with("//! With seed 0 specimen/engine-panic breaks: no node panics."));
    assert!(said.contains(call) && said.contains("fn specimen_engine_panic_seed_0()"), "{said}");
}
