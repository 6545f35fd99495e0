use super::stop::MUTANT;
use super::support::PROGRAM;
use std::path::Path;
use std::process::Command;

/// What a node under test is told that leaves syncs out.
const FAULT: &str = "skip-sync";

fn names(program: &Path, name: &str) -> bool {
    let bytes = std::fs::read(program).unwrap();
    bytes.windows(name.len()).any(|window| window == name.as_bytes())
}

#[test]
#[ignore = "builds the program anew; the continuous integration runs it"]
fn a_production_build_has_no_deliberate_bugs() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("production");
    // What is named in it does not depend on how far it is optimised.
    let quickly = ["profile.dev.opt-level=0", "profile.dev.package.'*'.opt-level=0"];
    let status = Command::new(env!("CARGO"))
        .args(["build", "--package", "squall-scenarios", "--no-default-features", "--target-dir"])
        .arg(&target)
        .args(quickly.iter().flat_map(|setting| ["--config", setting]))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .unwrap();
    assert!(status.success());
    // What is looked for is found where it is.
    for name in [MUTANT, FAULT] {
        assert!(names(Path::new(PROGRAM), name), "{name}");
        assert!(!names(&target.join("debug/squall"), name), "{name}");
    }
}
