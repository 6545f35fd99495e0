//! Command lines, good and bad.

use super::*;
use proptest::prelude::*;

fn read(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("squall").chain(line.split_whitespace());
    parse(words.map(OsString::from).collect(), &[])
}

/// The error, in words.
fn error(line: &str) -> String {
    read(line).expect_err(line).to_string()
}

#[test]
fn times_have_a_unit() {
    for (text, ms) in [("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000)] {
        assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)));
    }
    for wrong in ["", "90", "s", "0s", "-1s", "1.5s", "1d", "99999999999999999999s", "9s9"] {
        assert!(parse_time(wrong).is_err(), "{wrong:?}");
    }
    let hour = format!("{}h", u64::MAX);
    assert!(parse_time(&hour).is_err());
}

#[test]
fn wrong_arguments_are_told_what_would_be_right() {
    assert!(error("swep").contains("sweep"));
    assert!(error("sweep --sedes 5").contains("--seeds"));
    assert!(error("sweep --seeds 0").contains("not in 1.."));
    assert!(error("sweep --seeds 5 --from 1 --to 2").contains("cannot be used with"));
    assert!(error("sweep --from 1").contains("--to"));
    assert!(error("sweep --once --twice").contains("cannot be used with"));
    assert!(error("sweep --time 90").contains("as in 500ms, 90s"));
    assert!(error("sweep --jobs 0").contains("1..=1024"));
    assert!(error("run register/atomic").contains("--seed"));
    assert!(error("replay").contains("<FILE>"));
}

#[test]
fn help_names_the_commands_of_a_program() {
    fn nothing(_: Vec<OsString>) -> std::process::ExitCode {
        std::process::ExitCode::SUCCESS
    }
    let demo = Extra { name: "demo", about: "Shows something", run: nothing };
    let arguments = vec!["squall".into(), "--help".into()];
    let help = parse(arguments, &[demo]).expect_err("help is no command");
    assert!(!help.use_stderr());
    assert!(help.to_string().contains("Shows something"), "{help}");
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

/// Words that a command line is made of, and others.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "list",
        "sweep",
        "run",
        "replay",
        "check",
        "--format",
        "--model",
        "--initial",
        "specimens",
        "help",
        "--specimens",
        "--seeds",
        "--from",
        "--to",
        "--time",
        "--jobs",
        "--twice",
        "--once",
        "--json",
        "--seed",
        "--trace",
        "--save",
        "--help",
        "--version",
        "--",
        "-",
        "register",
        "5",
        "90s",
        "-1",
        "=",
        "",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => ".{0,12}",
        1 => (prop::sample::select(known.to_vec()), ".{0,6}")
            .prop_map(|(flag, value)| format!("{flag}={value}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_arguments_are_read_or_refused(words in prop::collection::vec(word(), 0..8)) {
        let words = std::iter::once("squall".to_owned()).chain(words);
        if let Err(error) = parse(words.map(OsString::from).collect(), &[]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
