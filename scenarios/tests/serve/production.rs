use super::stop::MUTANT;
use super::support::PROGRAM;
use std::path::Path;
use std::process::Command;

fn names_a_mutant(program: &Path) -> bool {
    let bytes = std::fs::read(program).unwrap();
    bytes.windows(MUTANT.len()).any(|window| window == MUTANT.as_bytes())
}

#[test]
#[ignore = "builds the program anew; the continuous integration runs it"]
fn a_production_build_has_no_deliberate_bugs() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("production");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--package", "squall-scenarios", "--no-default-features", "--target-dir"])
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .unwrap();
    assert!(status.success());
    // What is looked for is found where it is.
    assert!(names_a_mutant(Path::new(PROGRAM)));
    assert!(!names_a_mutant(&target.join("debug/squall")));
}
