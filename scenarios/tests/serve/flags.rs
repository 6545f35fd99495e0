use super::support::PROGRAM;
use std::process::{Command, Stdio};

/// Flags that are right but for what a test changes.
const RIGHT: &str = "--id 1 --data d --peers 1=127.0.0.1:7101,2=127.0.0.1:7102 \
                     --client 127.0.0.1:8101 --plaintext";

/// What `squall serve` says of these flags, which make no sense.
fn wrong(flags: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .arg("serve")
        .args(flags.split_whitespace())
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{flags}: {errors}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{flags}: it began all the same");
    errors
}

#[test]
fn flags_that_make_no_sense_are_named_and_nothing_begins() {
    for (from, to, says) in [
        ("--id 1", "", "--id is missing"),
        ("--id 1", "--id 3", "there is no member 3 among the 2 peers"),
        ("--id 1", "--id x", "invalid value"),
        ("--data d", "", "--data is missing"),
        ("--client 127.0.0.1:8101", "", "--client is missing"),
        ("--client 127.0.0.1:8101", "--client 8101", "\"8101\" is no address"),
        ("2=127.0.0.1:7102", "3=127.0.0.1:7102", "2 is missing"),
        ("2=127.0.0.1:7102", "1=127.0.0.1:7102", "member 1 is named twice"),
        ("2=127.0.0.1:7102", "127.0.0.1:7102", "is not N=HOST:PORT"),
        ("2=127.0.0.1:7102", "2=127.0.0.1:7101", "have the same address"),
        ("--plaintext", "", "there are no certificates"),
        ("--plaintext", "--cert c", "--cert, --key and --roots belong together"),
        ("--plaintext", "--plaintext --cert c --key k --roots r", "contradicts --cert"),
        ("--plaintext", "--plaintext --client-key k", "belong together"),
        ("--client 127.0.0.1:8101", "--client 0.0.0.0:8101", "0.0.0.0:8101 is not on loopback"),
        ("2=127.0.0.1:7102", "2=10.0.0.1:7102", "10.0.0.1:7102 is not on loopback"),
        ("--plaintext", "--plaintext --log loud", "\"loud\" is not off"),
        ("--plaintext", "--plaintext --heartbeat-ms 0", "at least four times"),
        ("--plaintext", "--plaintext --election-timeout-ms 100", "at least four times"),
        ("--plaintext", "--plaintext --config none.json", "none.json"),
        ("--plaintext", "--plaintext --mutant http/ignores-sessions", "unexpected argument"),
    ] {
        assert!(RIGHT.contains(from), "{from}");
        let flags = RIGHT.replace(from, to);
        let errors = wrong(&flags);
        assert!(errors.contains(says), "{flags}: {says:?} is not in {errors}");
    }
}

#[test]
fn a_file_says_the_same_and_what_it_does_not_know_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("member.json");
    let with_file = |text: &str, flags: &str| {
        std::fs::write(&path, text).unwrap();
        wrong(&format!("--config {} {flags}", path.display()))
    };
    let errors = with_file("{", "");
    assert!(errors.contains("member.json") && errors.contains("EOF"), "{errors}");
    assert!(with_file(r#"{"idd": 1}"#, "").contains("unknown field `idd`"));
    let file = r#"{"id": 1, "data": "d", "client": "127.0.0.1:8101", "plaintext": true,
                   "peers": {"1": "127.0.0.1:7101", "3": "127.0.0.1:7103"}}"#;
    assert!(with_file(file, "").contains("2 is missing"));
    // The flags win: with their peers the file's number is right, and with their number it is not.
    let peers = "--peers 1=127.0.0.1:7101";
    assert!(with_file(file, &format!("{peers} --id 2")).contains("no member 2 among the 1"));
    assert!(with_file(file, &format!("{peers} --log loud")).contains("loud"));
}
