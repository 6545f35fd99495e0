//! Files of transactions: what they say, and where they are wrong.

use proptest::prelude::*;
use squall_check::file::{Finding, Format, Request};
use squall_check::history::Recorder;
use squall_check::transactions::{
    Initial, Kind, Level, Micro, Status, TransactionLimits, Transactions, check, read,
    usual_options,
};

const FORMATS: [Format; 6] = [
    Format::EdnLines,
    Format::EdnVector,
    Format::JsonLines,
    Format::RwText,
    Format::DbcopYaml,
    Format::Jsonl,
];

const DBCOP: &str = "\
# two sessions
- - events:
    - write: true
      variable: 0
      value: 1
      success: true
    - write: true
      variable: 1
      value: 5
      success: false
    success: true
  - events:
      - {flow}
    success: true
-
  - events: []
    success: false
";

fn dbcop() -> String {
    DBCOP.replace("{flow}", "write: false\n        variable: 1\n        value: 0")
}

fn load(text: &str, format: Format, kind: Kind) -> Result<Transactions, String> {
    let initial = usual_options(format).initial;
    read(text.as_bytes(), format, kind, &initial).map_err(|error| error.to_string())
}

fn status(text: &str, format: Format, kind: Kind, level: Level) -> Status {
    let options = usual_options(format);
    check(&load(text, format, kind).unwrap(), level, &options).status().clone()
}

#[test]
fn the_same_history_reads_the_same_in_every_form() {
    let edn = "{:type :invoke :process 0 :value [[:append x 1] [:r y nil]]}\n\
               {:type :info :process :nemesis :f :kill}\n\
               {:type :ok :process 0 :value [[:append x 1] [:r y []]]}\n\
               {:type :invoke :process 1 :value [[:append \"y\" 1] [:r :x nil]]}\n\
               {:type :ok :process 1 :value [[:append y 1] [:r x nil]]}\n";
    let json = r#"{"type":"invoke","process":0,"value":[["append","x",1],["r","y",null]]}
        {"type":"info","process":"nemesis","f":"kill"}
        {"type":"ok","process":0,"value":[["append","x",1],["r","y",[]]]}
        {"type":"invoke","process":1,"value":[["append","y",1],["r","x",null]]}
        {"type":"ok","process":1,"value":[["append","y",1],["r","x",null]]}"#;
    let array = format!("[{}]", json.lines().collect::<Vec<_>>().join(",\n"));
    let vector = format!("; a comment\n[{edn}]");
    let recorder = Recorder::new();
    for (process, key, other) in [(0, "x", "y"), (1, "y", "x")] {
        let micros = vec![
            Micro::Append(key.into(), 1.into()),
            Micro::Read(other.into(), squall_check::Value::Nil),
        ];
        let id = recorder.invoke(process, micros.clone(), 0);
        recorder.ok(id, micros, 1);
    }
    let mut own = Vec::new();
    recorder.finish().write_jsonl(&mut own).unwrap();
    let own = String::from_utf8(own).unwrap();
    let files = [
        (edn, Format::EdnLines),
        (&vector, Format::EdnLines),
        (&vector, Format::EdnVector),
        (json, Format::JsonLines),
        (&array, Format::JsonLines),
        (&own, Format::Jsonl),
    ];
    for (text, format) in files {
        let history = load(text, format, Kind::ListAppend).unwrap();
        assert_eq!(history.len(), 2, "{format}");
        let verdict = check(&history, Level::Serializable, &usual_options(format));
        assert_eq!(verdict.status(), &Status::Violated, "{format}: {verdict}");
        for request in [Request::default(), Request { format: Some(format), ..Request::default() }]
        {
            let request = Request { model: Some("list-append".to_owned()), ..request };
            let report = squall_check::file::check(&mut text.as_bytes(), &request).unwrap();
            assert_eq!(report.finding, Finding::Violation, "{format}: {}", report.explanation);
            assert_eq!(report.level.as_deref(), Some("strict-serializable"));
            assert_eq!(report.operations, 2);
        }
    }
}

#[test]
fn events_without_a_process_or_an_invocation_are_read() {
    let adjacent = "{:type :invoke :value [[:append x 1]]}\n{:type :invoke :value [[:r x nil]]}\n\
                    {:type :ok :value [[:r x [1]]]}\n{:type :ok :value [[:r x []]]}\n";
    let history = load(adjacent, Format::EdnLines, Kind::ListAppend).unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history.effective(), 3);
    let options = usual_options(Format::EdnLines);
    let verdict = check(&history, Level::StrictSerializable, &options);
    assert_eq!(verdict.status(), &Status::Holds, "{verdict}");
    assert_eq!(load("", Format::EdnLines, Kind::ListAppend).unwrap().len(), 0);
}

#[test]
fn rw_text_tells_aborted_writes_and_initial_values() {
    let file = "w(1,0,0,0)\nw(2,0,0,0)\n w( 1, 1, 1, 1 ) \n\nr(2,0,1,1)\nw(2,7,2,-1)\nw(2,8,2,-1)\n\
                r(2,7,2,2)\n";
    let history = load(file, Format::RwText, Kind::RwRegister).unwrap();
    assert_eq!((history.len(), history.effective()), (4, 2));
    let verdict = check(&history, Level::ReadCommitted, &usual_options(Format::RwText));
    assert_eq!(verdict.status(), &Status::Violated, "{verdict}");
    assert_eq!(verdict.anomalies()[0].kind.to_string(), "G1a");
}

#[test]
fn dbcop_tells_sessions_transactions_and_what_failed() {
    let history = load(&dbcop(), Format::DbcopYaml, Kind::RwRegister).unwrap();
    assert_eq!((history.len(), history.effective()), (3, 2));
    let level = Level::StrictSerializable;
    assert_eq!(status(&dbcop(), Format::DbcopYaml, Kind::RwRegister, level), Status::Holds);
    assert_eq!(load("", Format::DbcopYaml, Kind::RwRegister).unwrap().len(), 0);
}

/// Checks what is said of each broken file.
fn assert_told(cases: &[(Format, Kind, String, &str)]) {
    for (format, kind, text, expected) in cases {
        let error = load(text, *format, *kind).unwrap_err();
        assert!(error.starts_with(expected), "{format}: {error}\n{text}");
    }
}

#[test]
fn what_is_wrong_with_a_text_is_told_with_line_and_column() {
    let (lists, registers) = (Kind::ListAppend, Kind::RwRegister);
    assert_told(&[
        (
            Format::RwText,
            registers,
            "w(1,1,1,1)\nr(1,x,1,2)\n".to_owned(),
            "line 2, column 5: \"\" where a number should be",
        ),
        (
            Format::RwText,
            registers,
            "w(1,1,1,1\n".to_owned(),
            "line 1, column 10: the end of the line where ')' should be",
        ),
        (
            Format::RwText,
            registers,
            "w(1,1,1,1) x\n".to_owned(),
            "line 1, column 12: 'x' after the end of an operation",
        ),
        (
            Format::RwText,
            registers,
            "w(1,1,1,1)\nw(1,2,1,2)\nr(1,2,1,1)\n".to_owned(),
            "line 3, column 1: transaction 1 of session 1 goes on after another one has begun",
        ),
        (
            Format::RwText,
            lists,
            String::new(),
            "line 1, column 1: files of the format rw-text have no list-append",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_yaml_is_told_with_line_and_column() {
    let registers = Kind::RwRegister;
    let yaml = dbcop();
    assert_told(&[
        (
            Format::DbcopYaml,
            registers,
            yaml.replace("variable: 0", "variable: x"),
            "line 4, column 17: \"x\" where a number should be",
        ),
        (
            Format::DbcopYaml,
            registers,
            yaml.replace("write: true\n      variable: 0", "variable: 0"),
            "line 3, column 7: an event without write, variable or value",
        ),
        (
            Format::DbcopYaml,
            registers,
            yaml.replace("value: 1", "value: 1\n      value: 1"),
            "line 6, column 7: \"value\" a second time",
        ),
        (
            Format::DbcopYaml,
            registers,
            yaml.replace("    success: true\n  -", "   success: true\n  -"),
            "line 11, column 4: wrong indentation",
        ),
        (
            Format::DbcopYaml,
            registers,
            "- ".repeat(100),
            "line 1, column 67: nested deeper than 32",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_edn_is_told_with_line_and_column() {
    let (lists, registers) = (Kind::ListAppend, Kind::RwRegister);
    assert_told(&[
        (
            Format::EdnLines,
            lists,
            "{:type :ok :value [[:append x]]}".to_owned(),
            "line 1, column 20: a vector where an operation such as [:r x nil] should be",
        ),
        (
            Format::EdnLines,
            lists,
            "{:type :ok :value [[:w x 1]]}".to_owned(),
            "line 1, column 1: a write in a list-append history",
        ),
        (
            Format::EdnLines,
            lists,
            "{:type :ok}".to_owned(),
            "line 1, column 1: an ok event without a value",
        ),
        (
            Format::EdnLines,
            lists,
            "{:type :done :value []}".to_owned(),
            "line 1, column 8: a keyword where :invoke, :ok, :fail or :info should be",
        ),
        (
            Format::EdnLines,
            lists,
            "{:type :invoke :process 1 :value []}\n{:type :invoke :process 1 :value []}".to_owned(),
            "line 2, column 1: process 1 invokes while its operation of event 0 is open",
        ),
        (
            Format::EdnLines,
            registers,
            "{:type :ok :index 1 :value []}\n{:type :ok :value []}".to_owned(),
            "line 2, column 1: some events have an index and some have none",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_json_is_told_with_line_and_column() {
    let lists = Kind::ListAppend;
    assert_told(&[
        (
            Format::JsonLines,
            lists,
            "\n{\"type\":\"ok\",\"value\":[[\"append\",1]]}".to_owned(),
            "line 2, column 1: invalid length 2",
        ),
        (
            Format::JsonLines,
            lists,
            "{\"type\":\"ok\" \"value\":[]}".to_owned(),
            "line 1, column 14: expected `,` or `}`",
        ),
        (
            Format::JsonLines,
            lists,
            "[{\"type\":\"ok\"}]".to_owned(),
            "line 1, column 1: event 1: an ok event without a value",
        ),
        (
            Format::Jsonl,
            lists,
            "{\"squall_history\":1}\n{\"index\":0}\n".to_owned(),
            "line 2, column ",
        ),
    ]);
}

#[test]
fn a_request_that_fits_no_transactions_is_refused() {
    let ask = |format: Option<Format>,
               model: Option<&str>,
               level: Option<&str>,
               initial: Option<&str>| {
        let request = Request {
            format,
            model: model.map(str::to_owned),
            level: level.map(str::to_owned),
            initial: initial.map(|text| text.parse().unwrap()),
            ..Request::default()
        };
        let file = "{:type :ok :value [[:append x 1]]}\n";
        squall_check::file::check(&mut file.as_bytes(), &request).map(|report| report.finding)
    };
    assert_eq!(ask(None, None, Some("read-atomic"), None).unwrap(), Finding::Valid);
    for (format, model, level, initial, problem) in [
        (None, None, Some("serialisable"), None, "there is no isolation level"),
        (None, None, None, Some("0"), "list-append has no other initial state"),
        (None, Some("cas-register"), None, None, "files of the format edn-lines are of trans"),
        (Some(Format::KvLog), Some("list-append"), None, None, "have no list-append"),
    ] {
        let error = ask(format, model, level, initial).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

/// A text made of pieces that such files are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("- ".to_owned()),
        Just("\n".to_owned()),
        Just("  ".to_owned()),
        Just("events:\n".to_owned()),
        Just("write: true\n".to_owned()),
        Just("[".to_owned()),
        Just("variable: 1\n".to_owned()),
        Just("value: 1\n".to_owned()),
        Just("]".to_owned()),
        Just("success: true\n".to_owned()),
        Just("r(1,2,3,4)\n".to_owned()),
        Just("w(1,1,1,1)\n".to_owned()),
        Just("w(1,0,0,0)\n".to_owned()),
        Just("r(1".to_owned()),
        Just("{:type :ok :value [[:append 1 1] [:r 1 [1 2]]]}\n".to_owned()),
        Just("{:type :invoke :process 1 :value [[:w 1 1] [:r 1 nil]]}\n".to_owned()),
        Just("{:type :info :process 1 :value [[:w 1 1]]}".to_owned()),
        Just("{".to_owned()),
        Just("{\"type\":\"ok\",\"value\":[[\"r\",\"x\",[1,2]],[\"append\",\"x\",2]]}\n".to_owned()),
        Just("{\"type\":\"ok\",\"process\":1,\"value\":[[\"w\",\"x\",2]]}\n".to_owned()),
        Just("}".to_owned()),
        Just(",".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn judge_anything(bytes: &[u8]) {
    for format in FORMATS {
        for kind in [Kind::ListAppend, Kind::RwRegister] {
            let mut options = usual_options(format);
            options.limits = TransactionLimits { steps: 100_000, ..options.limits };
            if let Ok(history) = read(bytes, format, kind, &options.initial) {
                let verdict = check(&history, Level::Serializable, &options);
                assert!(!verdict.to_string().is_empty());
            }
        }
    }
    let _ = squall_check::file::check(&mut &bytes[..], &Request::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_bytes_make_a_reader_or_the_judge_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        judge_anything(&bytes);
    }

    #[test]
    fn no_pieces_make_a_reader_or_the_judge_panic(text in pieces()) {
        judge_anything(text.as_bytes());
    }

    #[test]
    fn no_damage_to_a_file_makes_a_reader_panic(at in 0_usize..300, byte in any::<u8>()) {
        let mut bytes = dbcop().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        judge_anything(&bytes);
    }
}

#[test]
fn keys_may_have_initial_values_of_their_own() {
    let file = "r(1,5,1,1)\nr(2,0,1,1)\n";
    let request = Request {
        initial: Some("1=5".parse().unwrap()),
        format: Some(Format::RwText),
        ..Request::default()
    };
    let report = squall_check::file::check(&mut file.as_bytes(), &request).unwrap();
    assert_eq!(report.finding, Finding::Valid, "{}", report.explanation);
    let without = Request { initial: None, ..request };
    let report = squall_check::file::check(&mut file.as_bytes(), &without).unwrap();
    assert_eq!(report.finding, Finding::Violation);
    assert_eq!(Initial::value(0.into()), usual_options(Format::RwText).initial);
}
