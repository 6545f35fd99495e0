//! Fourteen mistakes that checkers of histories are known to make, each as the history that shows
//! it, in the order in which the documentation of the crate lists them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use squall_check::file::{Finding, Format, Initial, Request, check as check_file};
use squall_check::properties::{Status, set, set_full};
use squall_check::transactions::{self, Kind, Level, Options, TransactionVerdict};
use squall_check::*;

/// What comes out of a file, with the usual initial state of its format if none is given.
#[track_caller]
fn judge(format: &str, model: &str, initial: Option<&str>, text: &str) -> Finding {
    let request = Request {
        format: Some(format.parse().expect("a format")),
        model: Some(model.to_owned()),
        initial: initial.map(|initial| initial.parse::<Initial>().expect("a state")),
        ..Request::default()
    };
    match check_file(&mut text.as_bytes(), &request) {
        Ok(report) => report.finding,
        Err(error) => panic!("{error} in {text}"),
    }
}

/// Events written as `process type f value`, as a vector of maps.
fn vector(events: &str) -> String {
    let mut text = String::from("[");
    for line in events.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [process, kind, f, value] = words[..] else { panic!("{line}") };
        text += &format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n");
    }
    text + "]"
}

/// The same as log lines.
fn log(events: &str) -> String {
    let mut text = String::new();
    for line in events.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [process, kind, f, value] = words[..] else { panic!("{line}") };
        text += &format!("INFO  jepsen.util - {process}\t:{kind}\t:{f}\t{value}\n");
    }
    text
}

#[track_caller]
fn assert_cas(events: &str, expected: Finding) {
    assert_eq!(judge("edn-vector", "cas-register", None, &vector(events)), expected, "{events}");
}

#[test]
fn an_open_operation_takes_effect_at_any_later_time_or_never() {
    for end in ["1 info cas [0 5]", ""] {
        let open = format!("1 invoke cas [0 5]\n {end}");
        for seen in ["0", "5"] {
            assert_cas(&format!("{open}\n2 invoke read nil\n2 ok read {seen}"), Finding::Valid);
        }
        // Long after, and in a state that it did not fit when it was invoked.
        assert_cas(
            &format!(
                "2 invoke write 4\n2 ok write 4\n{open}\n2 invoke write 0\n2 ok write 0
                2 invoke read nil\n2 ok read 0\n2 invoke read nil\n2 ok read 5"
            ),
            Finding::Valid,
        );
        // But once only, and not before it was invoked.
        assert_cas(
            &format!(
                "{open}\n2 invoke read nil\n2 ok read 5\n2 invoke write 0\n2 ok write 0
                2 invoke read nil\n2 ok read 5"
            ),
            Finding::Violation,
        );
        assert_cas(&format!("2 invoke read nil\n2 ok read 5\n{open}"), Finding::Violation);
    }
}

#[test]
fn a_failed_operation_had_no_effect_and_says_nothing_of_the_state() {
    let failed = "1 invoke cas [0 5]\n1 fail cas [0 5]\n2 invoke read nil\n";
    assert_cas(&format!("{failed}2 ok read 0"), Finding::Valid);
    assert_cas(&format!("{failed}2 ok read 5"), Finding::Violation);
    let log = log("1 invoke write 3\n1 ok write 3\n1 invoke cas [3 5]\n1 fail cas [3 5]");
    assert_eq!(judge("jepsen-log", "cas-register", None, &log), Finding::Valid);
}

#[test]
fn a_read_of_nil_is_any_value_in_a_vector_and_the_initial_one_in_a_log() {
    let events = "1 invoke write 3\n1 ok write 3\n2 invoke read nil\n2 ok read nil";
    let judge = |format: &str, text: &str| judge(format, "cas-register", None, text);
    assert_eq!(judge("edn-vector", &vector(events)), Finding::Valid);
    assert_eq!(judge("jepsen-log", &log(events)), Finding::Violation);
    let before = "2 invoke read nil\n2 ok read nil\n1 invoke write 3\n1 ok write 3";
    assert_eq!(judge("jepsen-log", &log(before)), Finding::Valid);
}

/// A file in which the first value of a register is read as the given one.
type File<'a> = &'a dyn Fn(&str) -> String;

#[test]
fn the_initial_value_is_that_of_the_format() {
    let read = |value: &str| format!("1 invoke read nil\n1 ok read {value}");
    let kv = |value: &str| {
        format!(
            "{{:process 0, :type :invoke, :f :get, :key \"a\", :value nil}}\n\
             {{:process 0, :type :ok, :f :get, :key \"a\", :value {value}}}\n"
        )
    };
    let lines = |value: &str| format!("{{:process 0 :type :ok :value [[:r x {value}]]}}");
    let dbcop = |value: &str| {
        let fields = ["write: false".into(), "variable: 1".into(), format!("value: {value}")];
        let event = fields.join("\n        ");
        format!("- - events:\n      - {event}\n        success: true\n    success: true\n")
    };
    let cases: [(&str, &str, File<'_>, &str, &str); 6] = [
        ("edn-vector", "cas-register", &|value| vector(&read(value)), "0", "1"),
        ("jepsen-log", "cas-register", &|value| log(&read(value)), "nil", "0"),
        ("kv-log", "append-kv", &kv, "\"\"", "\"0\""),
        ("edn-lines", "rw-register", &lines, "nil", "0"),
        ("rw-text", "rw-register", &|value| format!("r(1,{value},1,1)\n"), "0", "7"),
        ("dbcop-yaml", "rw-register", &dbcop, "0", "7"),
    ];
    for (format, model, text, initial, other) in cases {
        let judge = |value: &str| judge(format, model, None, &text(value));
        assert_eq!(judge(initial), Finding::Valid, "{format} starts with {initial}");
        assert_eq!(judge(other), Finding::Violation, "{format} does not start with {other}");
    }
    // Explicit initial writes are transactions as others are, before all that saw them.
    let explicit = "w(1,5,0,0)\nw(1,7,1,1)\nr(1,5,2,2)\n";
    assert_eq!(judge("rw-text", "rw-register", None, explicit), Finding::Valid);
    assert_eq!(judge("edn-vector", "register", Some("7"), &vector(&read("7"))), Finding::Valid);
}

#[test]
fn processes_have_any_numbers_and_those_with_names_do_not_count() {
    // Whoever crashes is replaced by the process five numbers further, a thousand times.
    let mut events = String::new();
    for crash in 0..1_000 {
        let process = 3 + 5 * crash;
        events += &format!("{process} invoke write {crash}\n:nemesis info start nil\n");
        events += &format!("{process} info write {crash}\n:nemesis info stop [1 2]\n");
    }
    let seen = |value: u32| format!("{events}2 invoke read nil\n2 ok read {value}");
    assert_cas(&seen(500), Finding::Valid);
    assert_cas(&seen(1_000), Finding::Violation);
}

type Cell = History<RegisterCall<u8>, RegisterReturn<u8>>;

/// A write of 1 and a read of 0 by processes with recorders of their own.
fn touching(write: (u64, u64), read: (u64, u64)) -> [Cell; 2] {
    let recorders = [Recorder::new(), Recorder::new()];
    let id = recorders[0].invoke(0, RegisterCall::Write(1), write.0);
    recorders[0].ok(id, RegisterReturn::Written, write.1);
    let id = recorders[1].invoke(1, RegisterCall::Read, read.0);
    recorders[1].ok(id, RegisterReturn::Value(0), read.1);
    recorders.map(|recorder| recorder.finish())
}

#[test]
fn at_equal_times_invocations_come_before_returns() {
    let is_allowed = |write, read| {
        let [one, other] = touching(write, read);
        let both = [vec![one.clone(), other.clone()], vec![other, one]];
        let verdicts = both.map(|histories| {
            let history = History::merge(histories).expect("one clock");
            linearizable(&Register::new(0), &history, &Limits::default()).is_ok()
        });
        assert_eq!(verdicts[0], verdicts[1], "the order of the files does not count");
        verdicts[0]
    };
    assert!(is_allowed((10, 20), (20, 30)), "operations that touch are concurrent");
    assert!(!is_allowed((10, 20), (21, 30)));
    assert!(is_allowed((10, 10), (10, 10)), "an operation may take no time");
    assert!(!is_allowed((10, 10), (11, 11)));
}

#[test]
fn nothing_is_valid_and_a_set_that_was_never_read_is_undecided() {
    for format in ["jepsen-log", "kv-log", "edn-vector"] {
        assert_eq!(judge(format, "cas-register", None, ""), Finding::Valid, "{format}");
    }
    for format in ["edn-lines", "rw-text", "dbcop-yaml", "json-lines"] {
        assert_eq!(judge(format, "rw-register", None, ""), Finding::Valid, "{format}");
    }
    assert_cas(":nemesis info start nil\n:nemesis info stop nil", Finding::Valid);
    let nemesis = "{:process :nemesis :type :info :f :start :value nil}";
    assert_eq!(judge("edn-lines", "list-append", None, nemesis), Finding::Valid);
    let ours = "{\"squall_history\":1,\"events\":0}\n";
    assert_eq!(judge("jsonl", "queue", None, ours), Finding::Valid);
    let recorder = Recorder::new();
    let add = recorder.invoke(0, SetCall::Add(1), 0);
    recorder.ok(add, SetReturn::Done, 1);
    let unread = recorder.finish();
    assert!(matches!(set(&unread).status(), Status::Undecided(_)));
    assert!(matches!(set_full(&unread, false).status(), Status::Undecided(_)));
    assert!(linearizable(&Set::new(), &unread, &Limits::default()).is_ok());
}

/// A number whose states all have one hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum(i64);

impl Hash for Sum {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Sums by key; adding answers with the sum before, and each key is a part.
struct Sums;

impl Model for Sums {
    type State = BTreeMap<u16, Sum>;
    type Input = (u16, i64);
    type Output = i64;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &Self::State,
        &(key, amount): &(u16, i64),
        output: Option<&i64>,
    ) -> Option<Self::State> {
        let before = state.get(&key).map_or(0, |sum| sum.0);
        let fits = output.is_none_or(|output| *output == before);
        let mut after = state.clone();
        after.insert(key, Sum(before + amount));
        fits.then_some(after)
    }

    fn describe(&self, (key, amount): &(u16, i64), output: Option<&i64>) -> String {
        format!("adds {amount} to {key} and sees {output:?}")
    }

    fn parts(&self, inputs: &[&(u16, i64)]) -> Vec<usize> {
        inputs.iter().map(|(key, _)| usize::from(*key)).collect()
    }
}

/// Concurrent additions to a key of 1, 2, 4 and so on, in the order of which each saw a sum; the
/// last one sees what no order leads to if the history is to be wrong.
fn additions(recorder: &Recorder<(u16, i64), i64>, key: u16, count: u32, is_wrong: bool) {
    let process = |bit: u32| u64::from(key) * 100 + u64::from(bit);
    let ids: Vec<_> =
        (0..count).map(|bit| recorder.invoke(process(bit), (key, 1 << bit), 0)).collect();
    for (bit, id) in (0..count).zip(ids) {
        let is_last = is_wrong && bit + 1 == count;
        recorder.ok(id, if is_last { 999 } else { (1 << bit) - 1 }, 0);
    }
}

#[test]
fn configurations_are_compared_in_full_and_not_by_hash() {
    for (is_wrong, count) in [(false, 8), (true, 8), (false, 1), (true, 1)] {
        let recorder = Recorder::new();
        additions(&recorder, 0, count, is_wrong);
        let verdict = linearizable(&Sums, &recorder.finish(), &Limits::default());
        assert_eq!(verdict.is_ok(), !is_wrong);
    }
    // The last addition fits after the open one alone, whose state has the hash of the one before.
    let recorder = Recorder::new();
    let open = recorder.invoke(9, (0, 7), 0);
    let late = recorder.invoke(10, (0, 1), 0);
    recorder.ok(late, 7, 0);
    recorder.unknown(open, 0);
    assert!(linearizable(&Sums, &recorder.finish(), &Limits::default()).is_ok());
}

#[test]
fn parts_are_found_although_returns_name_no_key_and_reported_in_one_order() {
    // The returns name no key; only the invocation they belong to has one.
    let mut text = String::new();
    for (process, key) in [(0, "a"), (1, "b")] {
        text += &format!(
            "{{:process {process}, :type :invoke, :f :append, :key {key:?}, :value \"{key}\"}}\n"
        );
    }
    for process in [1, 0] {
        text += &format!("{{:process {process}, :type :ok, :f :append}}\n");
    }
    for (process, key) in [(0, "a"), (1, "b")] {
        text +=
            &format!("{{:process {process}, :type :invoke, :f :get, :key {key:?}, :value nil}}\n");
    }
    let read = |process: u8, value: &str| {
        format!("{{:process {process}, :type :ok, :f :get, :value {value:?}}}\n")
    };
    let right = format!("{text}{}{}", read(1, "b"), read(0, "a"));
    assert_eq!(judge("kv-log", "append-kv", None, &right), Finding::Valid);
    let swapped = format!("{text}{}{}", read(1, "a"), read(0, "b"));
    assert_eq!(judge("kv-log", "append-kv", None, &swapped), Finding::Violation);

    // All keys are wrong; the report is about the first of them, whoever finishes first.
    let recorder = Recorder::new();
    for key in [7, 3, 200, 5] {
        additions(&recorder, key, 7, true);
    }
    for key in 220..820 {
        additions(&recorder, key, 7, true);
    }
    let history = recorder.finish();
    assert!(history.len() > 4_000, "on so few operations, threads are not worth it");
    let report = |cores| {
        let limits = Limits { cores, ..Limits::default() };
        linearizable(&Sums, &history, &limits).violation().expect("all are wrong").to_string()
    };
    let first = report(1);
    assert!(first.contains("to 7 and sees"), "{first}");
    for cores in (1..8).chain([0]) {
        assert_eq!(report(cores), first, "on {cores} cores");
    }
}

/// Transactions, each a line of micro-operations, one of Elle's events.
fn transactions(kind: Kind, options: &Options, lines: &[&str]) -> TransactionVerdict {
    let mut file = String::new();
    for (process, line) in lines.iter().enumerate() {
        file += &format!("{{:process {process} :type :invoke :value [{line}]}}\n");
    }
    for (process, line) in lines.iter().enumerate() {
        file += &format!("{{:process {process} :type :ok :value [{line}]}}\n");
    }
    let history =
        transactions::read(file.as_bytes(), Format::EdnLines, kind, &options.initial).unwrap();
    transactions::check(&history, Level::StrictSerializable, options)
}

fn lists(lines: &[&str]) -> TransactionVerdict {
    transactions(Kind::ListAppend, &Options::default(), lines)
}

fn registers(lines: &[&str]) -> TransactionVerdict {
    transactions(Kind::RwRegister, &Options::default(), lines)
}

fn has(verdict: &TransactionVerdict, anomaly: &str) -> bool {
    verdict.anomalies().iter().any(|one| one.kind.to_string() == anomaly)
}

#[test]
fn a_read_of_what_nobody_wrote_is_wrong_unless_the_initial_state_is_unknown() {
    let lines = ["[:w x 1]", "[:r x 7]"];
    let verdict = registers(&lines);
    assert_eq!(verdict.status(), &Status::Violated);
    assert!(has(&verdict, "garbage-read"), "{verdict}");
    let unknown = Options { initial: transactions::Initial::unknown(), ..Options::default() };
    let verdict = transactions(Kind::RwRegister, &unknown, &lines);
    assert_eq!(verdict.status(), &Status::Holds, "{verdict}");
}

#[test]
fn two_missed_writes_in_a_row_are_allowed_by_snapshots_and_others_are_not() {
    let skew = lists(&["[:r x []] [:append y 1]", "[:r y []] [:append x 1]"]);
    assert_eq!(skew.status_of(Level::SnapshotIsolation), &Status::Holds, "{skew}");
    assert_eq!(skew.status_of(Level::Serializable), &Status::Violated, "{skew}");
    assert!(!has(&skew, "G-single") && !has(&skew, "G-nonadjacent"), "{skew}");
    let fork =
        lists(&["[:append x 1]", "[:append y 1]", "[:r x [1]] [:r y []]", "[:r x []] [:r y [1]]"]);
    assert!(has(&fork, "G-nonadjacent") && !has(&fork, "G-single"), "{fork}");
    assert_eq!(fork.status_of(Level::SnapshotIsolation), &Status::Violated, "{fork}");
}

#[test]
fn an_append_that_no_read_shows_comes_after_the_longest_read() {
    let unread = ["[:append x 1]", "[:append x 2] [:append y 1]"];
    let holds = lists(&[&unread[..], &["[:r x [1]] [:r y []]"]].concat());
    assert_eq!(holds.status(), &Status::Holds, "{holds}");
    let missed = lists(&[&unread[..], &["[:r x [1]] [:r y [1]]"]].concat());
    assert!(has(&missed, "G-single"), "{missed}");
    assert_eq!(missed.status_of(Level::SnapshotIsolation), &Status::Violated, "{missed}");
}

#[test]
fn a_lost_update_is_found_without_a_cycle() {
    // Nobody reads either write, so nothing shows the order of the two.
    let lost = registers(&["[:r x nil] [:w x 1]", "[:r x nil] [:w x 2]"]);
    assert!(has(&lost, "lost-update"), "{lost}");
    assert_eq!(lost.status_of(Level::SnapshotIsolation), &Status::Violated, "{lost}");
    assert_eq!(lost.status_of(Level::ReadAtomic), &Status::Holds, "{lost}");
    let kept = registers(&["[:r x nil] [:w x 1]", "[:r x 1] [:w x 2]"]);
    assert_eq!(kept.status(), &Status::Holds, "{kept}");
}

#[test]
fn a_limit_is_no_verdict_and_a_violation_elsewhere_outweighs_it() {
    let steps = Limits { steps: 20_000, ..Limits::default() };
    let memory = Limits { memory: 100_000, ..Limits::default() };
    let time = Limits { time: Some(Duration::ZERO), ..Limits::default() };
    for limits in [steps, memory, time] {
        for cores in [1, 4] {
            let limits = Limits { cores, ..limits };
            let verdict = |keys: &[(u16, u32)]| {
                let recorder = Recorder::new();
                // Enough operations for threads to be worth it.
                (1_000..1_600).for_each(|key| additions(&recorder, key, 7, false));
                keys.iter().for_each(|&(key, count)| additions(&recorder, key, count, true));
                linearizable(&Subsets, &recorder.finish(), &limits)
            };
            let hard = (1, 40);
            let undecided = verdict(&[hard]);
            assert!(matches!(undecided, Verdict::Undecided { .. }), "{limits:?}");
            for keys in [[hard, (2, 2)], [(2, 2), hard]] {
                assert!(verdict(&keys).violation().is_some(), "{limits:?} {keys:?}");
            }
        }
    }
}

/// As [`Sums`], but an addition sees nothing unless it sees 999: every order of the others fits.
struct Subsets;

impl Model for Subsets {
    type State = BTreeMap<u16, Sum>;
    type Input = (u16, i64);
    type Output = i64;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &Self::State,
        input: &(u16, i64),
        output: Option<&i64>,
    ) -> Option<Self::State> {
        let is_possible = output != Some(&999);
        Sums.step(state, input, None).filter(|_| is_possible)
    }

    fn describe(&self, input: &(u16, i64), output: Option<&i64>) -> String {
        Sums.describe(input, output)
    }

    fn parts(&self, inputs: &[&(u16, i64)]) -> Vec<usize> {
        Sums.parts(inputs)
    }
}
