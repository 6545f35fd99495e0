//! Files of histories: what each format means, what is malformed, and that nothing breaks.

use proptest::prelude::*;
use squall_check::file::{FileError, Finding, Format, Initial, Report, Request, check};
use squall_check::{Limits, Recorder, RegisterCall, RegisterReturn, Value};

fn run(text: &[u8], format: &str, model: &str, initial: &str) -> Result<Report, FileError> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let request = Request {
        format: some(format).map(|format| format.parse::<Format>().expect("a format")),
        model: some(model),
        initial: some(initial).map(|initial| initial.parse::<Initial>().expect("a value")),
        limits: Limits { steps: 100_000, ..Limits::default() },
        ..Request::default()
    };
    check(&mut &text[..], &request)
}

/// Checks lines of events, written as `process type f value`, as a vector of maps.
fn vector(model: &str, initial: &str, events: &[&str]) -> Finding {
    let mut text = String::from("[");
    for event in events {
        let words: Vec<&str> = event.splitn(4, ' ').collect();
        let [process, kind, f, value] = words[..] else { panic!("{event}") };
        text += &format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n");
    }
    text += "]";
    match run(text.as_bytes(), "edn-vector", model, initial) {
        Ok(report) => report.finding,
        Err(error) => panic!("{error} in {text}"),
    }
}

#[track_caller]
fn valid(model: &str, initial: &str, events: &[&str]) {
    assert_eq!(vector(model, initial, events), Finding::Valid);
}

#[track_caller]
fn wrong(model: &str, initial: &str, events: &[&str]) {
    assert_eq!(vector(model, initial, events), Finding::Violation);
}

#[test]
fn an_open_operation_may_take_effect_later_or_never() {
    for end in ["1 info cas [0 1]", "9 invoke read nil"] {
        let start = ["1 invoke cas [0 1]", end, "2 invoke read nil"];
        for seen in ["2 ok read 0", "2 ok read 1"] {
            valid("cas-register", "", &[&start[..], &[seen]].concat());
        }
        wrong("cas-register", "", &[&start[..], &["2 ok read 2"]].concat());
    }
    // Having been seen, it has taken effect.
    let seen = ["1 invoke write 1", "1 info write 1", "2 invoke read nil", "2 ok read 1"];
    wrong("register", "", &[&seen[..], &["2 invoke read nil", "2 ok read 0"]].concat());
}

#[test]
fn a_failed_operation_had_no_effect_and_says_nothing() {
    let failed = ["1 invoke cas [0 1]", "1 fail cas [0 1]", "2 invoke read nil"];
    valid("cas-register", "", &[&failed[..], &["2 ok read 0"]].concat());
    wrong("cas-register", "", &[&failed[..], &["2 ok read 1"]].concat());
}

#[test]
fn a_read_of_nil_means_what_the_format_says() {
    let events = ["1 invoke write 1", "1 ok write 1", "1 invoke read nil", "1 ok read nil"];
    valid("cas-register", "", &events);
    let mut log = String::new();
    for event in events {
        let words: Vec<&str> = event.splitn(4, ' ').collect();
        log += &format!(
            "INFO  jepsen.util - {}\t:{} :{} {}\n",
            words[0], words[1], words[2], words[3]
        );
    }
    let report = run(log.as_bytes(), "", "", "").expect("a log");
    assert_eq!(report.finding, Finding::Violation);
    assert!(report.explanation.contains("reads nil"), "{}", report.explanation);
    let report = run(
        b"INFO  jepsen.util - 1 :invoke :read nil\nINFO jepsen.util - 1 :ok :read nil",
        "",
        "",
        "",
    );
    assert_eq!(report.expect("a log").finding, Finding::Valid);
}

#[test]
fn the_initial_state_is_that_of_the_format_or_of_the_request() {
    let read = |value: &str| vec!["1 invoke read nil".to_owned(), format!("1 ok read {value}")];
    let case = |model: &str, initial: &str, value: &str| {
        let events = read(value);
        vector(model, initial, &[&events[0], &events[1]])
    };
    assert_eq!(case("register", "", "0"), Finding::Valid);
    assert_eq!(case("register", "7", "7"), Finding::Valid);
    assert_eq!(case("register", "7", "0"), Finding::Violation);
    assert_eq!(case("register", "abc", "\"abc\""), Finding::Valid);
    let txn =
        ["1 invoke txn [[:read :x nil] [:read :y nil]]", "1 ok txn [[:read :x 1] [:read :y 0]]"];
    valid("multi-register", "x=1 y=0", &txn);
    wrong("multi-register", "", &txn);
    let kv = "{:process 0, :type :invoke, :f :get, :key \"a\", :value nil}\n\
              {:process 0, :type :ok, :f :get, :key \"a\", :value \"\"}\n";
    assert_eq!(run(kv.as_bytes(), "", "", "").expect("a file").finding, Finding::Valid);
    assert_eq!(run(kv.as_bytes(), "", "", "x").expect("a file").finding, Finding::Violation);
    let wrong = run(b"[]", "", "mutex", "7").expect_err("a mutex is free or held");
    assert_eq!(wrong.to_string(), "a mutex starts free or held, and not 7");
}

#[test]
fn processes_are_any_numbers_and_the_nemesis_is_none() {
    let events = [
        "7000000 invoke write 3",
        ":nemesis info start nil",
        "7000000 ok write 3",
        ":nemesis info stop [1 2]",
        "3 invoke read nil",
        "3 ok read 3",
    ];
    valid("cas-register", "", &events);
    assert_eq!(vector("cas-register", "", &events[1..2]), Finding::Valid);
}

#[test]
fn an_empty_history_is_valid_in_every_format() {
    for (text, format) in [
        ("", ""),
        ("", "jepsen-log"),
        ("", "kv-log"),
        ("", "edn-vector"),
        ("[]", ""),
        ("; no\n", ""),
    ] {
        let report = run(text.as_bytes(), format, "cas-register", "").expect(text);
        assert_eq!((report.finding, report.operations), (Finding::Valid, 0), "{text:?} {format}");
    }
    let error = run(b"", "jsonl", "register", "").expect_err("our own format has a header");
    assert!(error.to_string().starts_with("line 1, column 1"), "{error}");
}

#[test]
fn keys_of_a_map_are_checked_apart() {
    let mut text = String::new();
    let mut event = |process: usize, kind: &str, f: &str, key: usize, value: &str| {
        text += &format!(
            "{{:process {process}, :type :{kind}, :f :{f}, :key \"{key}\", :value {value}}}\n"
        );
    };
    // Without keys apart, this has about 40! orders.
    for key in 0..40 {
        event(key, "invoke", "append", key, "\"a\"");
    }
    for key in 0..40 {
        event(key, "ok", "append", key, "\"a\"");
        event(key, "invoke", "get", key, "nil");
        event(key, "ok", "get", key, if key == 33 { "\"\"" } else { "\"a\"" });
    }
    let report = run(text.as_bytes(), "", "", "").expect("a file");
    assert_eq!(report.finding, Finding::Violation);
    assert!(report.explanation.contains("\"33\""), "{}", report.explanation);
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    let event = |text: &str| format!("[\n{{:process 1 :type :invoke :f :read}}\n  {text}]");
    for (text, wanted) in [
        (event("{:process 1 :type :ok"), "line 3, column 24: a stray ']'"),
        (event("7"), "line 3, column 3: a number where an event, which is a map,"),
        (event("{:type :ok}"), "line 3, column 3: an event without :process"),
        (event("{:process 1.5 :type :ok}"), "line 3, column 13: a number where the number of a"),
        (event("{:process 1 :type :done}"), "line 3, column 21: a keyword where :invoke, :ok"),
        (event("{:process 2 :type :ok :f :read}"), "line 3, column 3: process 2 has no open"),
        (event("{:process 1 :type :ok :f :write}"), "line 3, column 3: process 1 ends :write, but"),
        (event("{:process 1 :type :invoke :f :read}"), "process 1 invokes while its operation of"),
        (
            event("{:process 1 :type :info} {:process 1 :type :invoke :f :read}"),
            "line 3, column 28: process 1 invokes after the unknown outcome",
        ),
        (event("") + " 7", "line 3, column 5: a number where the end of the file"),
        (event("{:process 2 :type :invoke :f :flip}"), "the operation :flip, where the model has"),
        (event("{:process 2 :type :invoke :f :cas :value 3}"), "3 where two values [old new]"),
    ] {
        let error = run(text.as_bytes(), "edn-vector", "cas-register", "").expect_err(&text);
        assert!(error.to_string().contains(wanted), "{text}: {error}");
        assert!(error.to_string().starts_with("line 3, column "), "{text}: {error}");
    }
    for (line, wanted) in [
        ("INFO  jepsen.util - 3\t:gone :read nil", "line 2, column 23: :gone where :invoke"),
        ("INFO  jepsen.util - 3\t:invoke", "line 2, column 30: no name of an operation"),
        ("INFO  jepsen.util - 3 :invoke :cas [1 2", "line 2, column 40: the file ends before"),
        ("INFO  jepsen.util - 3 :ok :read 1", "line 2, column 21: process 3 has no open"),
    ] {
        let text = format!("WARN other words\n{line}\n");
        let error = run(text.as_bytes(), "jepsen-log", "", "").expect_err(line);
        assert!(error.to_string().starts_with(wanted), "{line}: {error}");
    }
    let error =
        run(b"{\"squall_history\":1}\n{\"index\":x}\n", "", "register", "").expect_err("json");
    assert!(error.to_string().starts_with("line 2, column 10"), "{error}");
}

#[test]
fn a_request_that_fits_nothing_is_told_what_would() {
    let told =
        |text: &str, model: &str| run(text.as_bytes(), "", model, "").unwrap_err().to_string();
    assert!(told("[]", "regster").contains("cas-register"));
    assert!(told("[]", "").contains("does not tell the model"));
    assert!(told("hello", "register").contains("looks like no format"));
    let error = "porcupine".parse::<Format>().expect_err("no format");
    assert!(error.to_string().contains("jepsen-log, kv-log, edn-vector"), "{error}");
    let level = Request {
        model: Some("register".into()),
        level: Some("serializable".into()),
        ..Request::default()
    };
    assert!(check(&mut &b"[]"[..], &level).unwrap_err().to_string().contains("no level"));
}

#[test]
fn our_own_lines_are_read_back_whatever_the_values() {
    let recorder = Recorder::new();
    let values = [Value::Nil, Value::Int(7), Value::Text("x".into()), Value::List(vec![])];
    for (at, value) in (0..).zip(&values) {
        let write = recorder.invoke(0, RegisterCall::Write(value.clone()), 3 * at);
        recorder.ok(write, RegisterReturn::Written, 3 * at + 1);
        let read = recorder.invoke(0, RegisterCall::<Value>::Read, 3 * at + 2);
        recorder.ok(read, RegisterReturn::Value(value.clone()), 3 * at + 2);
    }
    let mut file = Vec::new();
    recorder.finish().write_jsonl(&mut file).expect("memory takes all");
    let report = run(&file, "", "register", "").expect("our own lines");
    assert_eq!((report.finding, report.operations), (Finding::Valid, 8));
}

#[test]
fn a_bound_makes_a_file_undecided_and_tells_how_far_it_came() {
    let mut events = Vec::new();
    for process in 0..12 {
        events
            .push(format!("{{:process {process} :type :invoke :f :add :value {}}}", 1 << process));
    }
    for process in 0..12 {
        events.push(format!("{{:process {process} :type :ok :f :add :value {}}}", 1 << process));
    }
    events.push("{:process 99 :type :invoke :f :read}".to_owned());
    events.push("{:process 99 :type :ok :f :read :value 7}".to_owned());
    let text = events.join("\n");
    let mut request = Request { model: Some("counter".into()), ..Request::default() };
    let report = check(&mut text.as_bytes(), &request).expect("a file");
    assert_eq!(report.finding, Finding::Violation);
    request.limits.steps = 1_000;
    let report = check(&mut text.as_bytes(), &request).expect("a file");
    assert_eq!(report.finding, Finding::Undecided);
    assert!(report.explanation.contains("at most 12 of 13 operations"), "{}", report.explanation);
    request.limits = Limits { time: Some(std::time::Duration::ZERO), ..Limits::default() };
    let report = check(&mut text.as_bytes(), &request).expect("a file");
    assert_eq!(report.finding, Finding::Undecided);
}

/// Pieces that files are made of.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        ":process ",
        "1 ",
        "2 ",
        ":nemesis ",
        ":type ",
        ":invoke ",
        ":ok ",
        ":info ",
        ":fail ",
        ":f ",
        ":read ",
        ":write ",
        ":cas ",
        ":value ",
        "nil ",
        "[1 2] ",
        ":key ",
        "\"a\" ",
        "\n",
        "INFO  jepsen.util - ",
        "{\"squall_history\":1}\n",
        ":txn ",
        "{:process 1 :type :invoke :f :read}\n",
        "{:process 1 :type :ok :f :read :value 1}\n",
        "[[:read :x 1] [:write :x 2]] ",
        ":acquire ",
        ":enqueue ",
        ":add ",
        ";",
        "\"",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_a_check_panic(
        text in text(),
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        format in prop::sample::select(vec!["", "jepsen-log", "kv-log", "edn-vector", "jsonl"]),
        model in prop::sample::select(vec![
            "register", "cas-register", "append-kv", "multi-register", "set", "counter", "queue",
            "priority-queue", "stack", "mutex", "fenced-lock", "semaphore", "log",
        ]),
    ) {
        for text in [text.as_bytes(), &bytes] {
            if let Err(FileError::Parse(error)) = run(text, format, model, "") {
                prop_assert!(error.to_string().starts_with("line "), "{}", error);
            }
        }
    }
}
