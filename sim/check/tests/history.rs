//! How histories are recorded, written, read and merged.

mod common;

use common::{Call, RegisterHistory, Return, actions, build, check, history};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use squall_check::{Counts, History, IllFormed, MergeError, Outcome, ReadError, Recorder};

const HEADER: &str = "{\"squall_history\":1}\n";

fn read(text: &str) -> Result<RegisterHistory, ReadError> {
    History::read_jsonl(text.as_bytes())
}

fn event(index: u64, process: u64, event: &str) -> String {
    format!("{{\"index\":{index},\"time_ns\":{index},\"process\":{process},\"event\":{event}}}\n")
}

fn read_events(events: &[String]) -> Result<RegisterHistory, ReadError> {
    read(&format!("{HEADER}{}", events.concat()))
}

#[test]
fn a_recorder_numbers_every_event_in_order() {
    let recorder = Recorder::new();
    let write = recorder.invoke(4, Call::Write(1), 10);
    let read = recorder.clone().invoke(5, Call::Read, 11);
    recorder.fail(read, 12);
    recorder.ok(write, Return::Written, 13);
    let open = recorder.invoke(5, Call::Read, 14);
    let history = recorder.finish();
    let indices: Vec<_> = history
        .operations()
        .iter()
        .map(|operation| (operation.invoked.index, operation.returned.map(|at| at.index)))
        .collect();
    assert_eq!(indices, [(0, Some(3)), (1, Some(2)), (4, None)]);
    assert_eq!(history.operations()[2].outcome, Outcome::Unknown);
    assert_eq!(history.counts(), Counts { ok: 1, fail: 1, unknown: 1 });
    recorder.ok(open, Return::Value(0), 15);
    assert!(recorder.finish().is_empty());
}

#[test]
fn the_first_outcome_of_an_operation_stands() {
    let recorder = Recorder::new();
    let write = recorder.invoke(0, Call::Write(1), 1);
    recorder.unknown(write, 2);
    recorder.ok(write, Return::Written, 3);
    let history = recorder.finish();
    assert_eq!(history.operations()[0].outcome, Outcome::Unknown);
    assert_eq!(history.operations()[0].returned.map(|at| at.time_ns), Some(2));
}

#[test]
fn a_client_may_go_on_under_a_new_process_number_only() {
    let recorder: Recorder<Call, Return> = Recorder::new();
    let invoke = |at_ns| {
        let invoke = || recorder.invoke(0, Call::Write(1), at_ns);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(invoke)).ok()
    };
    let write = invoke(1).expect("a new process");
    assert_eq!(invoke(2), None, "its operation is open");
    recorder.unknown(write, 3);
    assert_eq!(invoke(4), None, "its operation may still take effect");
    recorder.invoke(1, Call::Read, 5);
    assert_eq!(recorder.finish().len(), 2);
}

#[test]
fn the_file_form_is_the_documented_one() {
    let mut bytes = Vec::new();
    history("3:w7 4:r 3:done 4:fail 4:w8 4:? 5:r").write_jsonl(&mut bytes).expect("memory");
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"squall_history":1,"events":7}"#,
            r#"{"index":0,"time_ns":0,"process":3,"event":{"invoke":{"write":7}}}"#,
            r#"{"index":1,"time_ns":1000000,"process":4,"event":{"invoke":"read"}}"#,
            r#"{"index":2,"time_ns":2000000,"process":3,"event":{"ok":"written"}}"#,
            r#"{"index":3,"time_ns":3000000,"process":4,"event":"fail"}"#,
            r#"{"index":4,"time_ns":4000000,"process":4,"event":{"invoke":{"write":8}}}"#,
            r#"{"index":5,"time_ns":5000000,"process":4,"event":"unknown"}"#,
            r#"{"index":6,"time_ns":6000000,"process":5,"event":{"invoke":"read"}}"#,
        ]
    );
    assert_eq!(read(&text).expect("it was just written").len(), 4);
}

#[test]
fn an_output_that_is_null_in_json_survives() {
    let recorder: Recorder<Option<u8>, ()> = Recorder::new();
    let id = recorder.invoke(0, None, 1);
    recorder.ok(id, (), 2);
    let history = recorder.finish();
    let mut bytes = Vec::new();
    history.write_jsonl(&mut bytes).expect("memory");
    assert_eq!(History::read_jsonl(bytes.as_slice()).expect("it was just written"), history);
}

#[test]
fn a_file_without_a_header_is_refused() {
    assert!(matches!(read(""), Err(ReadError::Empty)));
    let error = read(&event(0, 0, r#"{"invoke":"read"}"#)).expect_err("no header");
    assert!(matches!(error, ReadError::NotAHeader { .. }), "{error}");
    assert_eq!(error.line(), 1);
}

#[test]
fn a_future_version_is_refused_by_its_number() {
    let error = read("{\"squall_history\":2,\"new\":[]}\n").expect_err("from the future");
    assert!(matches!(error, ReadError::UnsupportedVersion { found: 2 }), "{error}");
}

#[test]
fn a_malformed_line_is_refused_with_its_number() {
    let good = event(0, 0, r#"{"invoke":"read"}"#);
    for bad in ["{", "\n", "7", "\u{0}", &event(1, 0, "\"maybe\""), &event(1, 0, "{\"ok\":3}")] {
        let error = read_events(&[good.clone(), bad.to_owned()]).expect_err(bad);
        assert!(matches!(error, ReadError::Malformed { line: 3, .. }), "{bad}: {error}");
    }
}

#[test]
fn events_that_no_run_produces_are_refused_with_their_line() {
    let invoke = |index| event(index, 1, r#"{"invoke":"read"}"#);
    let unknown = |index| event(index, 1, "\"unknown\"");
    let cases = [
        (vec![unknown(0)], 2, IllFormed::ReturnWithoutInvoke { process: 1 }),
        (
            vec![invoke(0), event(1, 2, "\"fail\"")],
            3,
            IllFormed::ReturnWithoutInvoke { process: 2 },
        ),
        (vec![invoke(0), unknown(1), unknown(2)], 4, IllFormed::ReturnWithoutInvoke { process: 1 }),
        (vec![invoke(3), invoke(4)], 3, IllFormed::ConcurrentOperations { process: 1, open: 3 }),
        (
            vec![invoke(3), unknown(4), invoke(5)],
            4,
            IllFormed::ReusedAfterUnknown { process: 1, unknown: 3 },
        ),
        (vec![invoke(3), unknown(3)], 3, IllFormed::IndexOutOfOrder { index: 3, previous: 3 }),
    ];
    for (events, expected_line, expected) in cases {
        match read_events(&events) {
            Err(ReadError::IllFormed { line, source }) => {
                assert_eq!((line, source), (expected_line, expected));
            }
            other => panic!("{other:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_file_that_lost_its_end_is_refused() {
    let mut bytes = Vec::new();
    history("0:w1 0:done 1:r 1:0").write_jsonl(&mut bytes).expect("memory");
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    let end = text.trim_end().rfind('\n').expect("several lines");
    let error = read(&text[..=end]).expect_err("the last return is missing");
    assert!(matches!(error, ReadError::WrongLength { line: 4, expected: 4, found: 3 }), "{error}");
}

#[test]
fn a_reader_that_fails_is_reported_with_its_line() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let reader = std::io::BufReader::new(std::io::Read::chain(HEADER.as_bytes(), Broken));
    let error = RegisterHistory::read_jsonl(reader).expect_err("the disk is gone");
    assert!(matches!(error, ReadError::Io { line: 2, .. }), "{error}");
}

/// A history of one process from pairs of invocation and return time.
fn timed(process: u64, operations: &[(Call, u64, Return, u64)]) -> RegisterHistory {
    let recorder = Recorder::new();
    for &(call, invoked, answer, returned) in operations {
        let id = recorder.invoke(process, call, invoked);
        recorder.ok(id, answer, returned);
    }
    recorder.finish()
}

const WRITE: Call = Call::Write(1);

#[test]
fn merged_histories_are_ordered_by_time() {
    let writer = timed(0, &[(WRITE, 10, Return::Written, 20)]);
    let read_at = |invoked| timed(1, &[(Call::Read, invoked, Return::Value(0), invoked + 5)]);
    let merge = |invoked| History::merge(vec![read_at(invoked), writer.clone()]).expect("merges");
    assert!(check(&merge(12)).is_ok());
    assert!(check(&merge(21)).violation().is_some());
}

#[test]
fn operations_that_touch_are_concurrent_after_a_merge() {
    let writer = timed(0, &[(WRITE, 10, Return::Written, 20)]);
    let reader = timed(1, &[(Call::Read, 20, Return::Value(0), 20)]);
    for histories in [vec![writer.clone(), reader.clone()], vec![reader, writer]] {
        let merged = History::merge(histories).expect("merges");
        assert!(check(&merged).is_ok());
        assert_eq!(merged.counts().ok, 2);
    }
}

#[test]
fn a_process_keeps_its_own_order_at_one_time() {
    let turning =
        timed(0, &[(WRITE, 10, Return::Written, 20), (Call::Read, 20, Return::Value(0), 30)]);
    let reader = timed(1, &[(Call::Read, 20, Return::Value(0), 20)]);
    let merged = History::merge(vec![turning, reader]).expect("merges");
    let verdict = check(&merged);
    let violation = verdict.violation().expect("process 0 misses its own write");
    assert!(violation.operations().iter().all(|operation| operation.process == 0));
}

#[test]
fn a_merge_that_cannot_be_ordered_is_refused() {
    let turning = |process| {
        timed(
            process,
            &[(Call::Read, 1, Return::Value(0), 5), (Call::Read, 5, Return::Value(0), 9)],
        )
    };
    assert_eq!(
        History::merge(vec![turning(0), turning(1)]),
        Err(MergeError::ClockTooCoarse { first: 0, second: 1, time_ns: 5 })
    );
    assert_eq!(
        History::merge(vec![turning(0), turning(0)]),
        Err(IllFormed::ConcurrentOperations { process: 0, open: 0 }.into())
    );
    let back = timed(7, &[(Call::Read, 5, Return::Value(0), 4)]);
    assert_eq!(
        History::merge(vec![turning(0), back]),
        Err(MergeError::ClockWentBack { history: 1, process: 7, index: 1 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_reads_back_the_same(seed in any::<u64>()) {
        let history = build(&actions(seed, 60), 3, 20);
        let mut bytes = Vec::new();
        history.write_jsonl(&mut bytes).expect("memory");
        let read = RegisterHistory::read_jsonl(bytes.as_slice()).expect("it was just written");
        prop_assert_eq!(read, history);
    }

    #[test]
    fn merging_one_history_changes_nothing(seed in any::<u64>()) {
        let history = build(&actions(seed, 60), 3, 20);
        let merged = History::merge(vec![history.clone()]).expect("times ascend");
        let processes = |history: &RegisterHistory| -> Vec<_> {
            history.operations().iter().map(|one| (one.process, one.input, one.outcome)).collect()
        };
        prop_assert_eq!(processes(&merged), processes(&history));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(RegisterHistory::read_jsonl(bytes.as_slice()));
        let with_header = [HEADER.as_bytes(), &bytes].concat();
        drop(RegisterHistory::read_jsonl(with_header.as_slice()));
    }

    #[test]
    fn no_damage_to_a_file_makes_the_reader_panic(
        seed in any::<u64>(),
        damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        build(&actions(seed, 60), 3, 20).write_jsonl(&mut bytes).expect("memory");
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(history) = RegisterHistory::read_jsonl(bytes.as_slice()) {
            drop(check(&history));
        }
        bytes.truncate(end.index(bytes.len()));
        drop(RegisterHistory::read_jsonl(bytes.as_slice()));
    }
}
