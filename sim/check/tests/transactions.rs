//! Anomalies planted one by one get their names, their levels and their reasons.

use std::collections::BTreeSet;

use squall_check::Value;
use squall_check::file::Format;
use squall_check::transactions::{
    Fate, Initial, Kind, Level, Micro, Options, Status, Transaction, TransactionLimits,
    TransactionVerdict, Transactions, check, read, usual_options,
};

use Level::{
    Causal, ReadAtomic, ReadCommitted, ReadUncommitted, RepeatableRead, Serializable,
    SnapshotIsolation, StrictSerializable, StrongSnapshotIsolation,
};

/// Judges transactions written one a line as Elle writes values, each by a process of its own and
/// at a time of its own. A line may begin with `?` or `!` for an unknown outcome or an abort, with
/// `P:` for the process, and with `from-until` for its time.
fn judge(text: &str, kind: Kind, options: &Options) -> TransactionVerdict {
    let mut events: Vec<(u64, String)> = Vec::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for (number, line) in (0_u64..).zip(lines) {
        let (end, line) = match line.as_bytes()[0] {
            b'?' => (":info", &line[1..]),
            b'!' => (":fail", &line[1..]),
            _ => (":ok", line),
        };
        let (head, value) = line.split_at(line.find('[').unwrap());
        let (process, time) = match head.split_once(':') {
            Some((process, time)) => (process.parse().unwrap(), time),
            None => (100 + number, head),
        };
        let (from, until): (u64, u64) = match time.trim().split_once('-') {
            Some((from, until)) => (from.parse().unwrap(), until.parse().unwrap()),
            None => (number, 1_000 + number),
        };
        let event = |kind: &str, index: u64| {
            let value =
                format!("{{:type {kind} :process {process} :index {index} :value [{value}]}}");
            (index, value)
        };
        events.extend([event(":invoke", from), event(end, until)]);
    }
    events.sort();
    let file: Vec<String> = events.into_iter().map(|(_, event)| event).collect();
    let history = read(file.join("\n").as_bytes(), Format::EdnLines, kind, &options.initial);
    check(&history.unwrap(), StrictSerializable, options)
}

fn lists(text: &str) -> TransactionVerdict {
    judge(text, Kind::ListAppend, &Options::default())
}

fn registers(text: &str) -> TransactionVerdict {
    judge(text, Kind::RwRegister, &Options::default())
}

fn kinds(verdict: &TransactionVerdict) -> BTreeSet<String> {
    verdict.anomalies().iter().map(|anomaly| anomaly.kind.to_string()).collect()
}

/// The anomaly is found, and these are the weakest levels that do not hold.
fn assert_planted(verdict: &TransactionVerdict, name: &str, weakest: &[Level]) {
    assert!(kinds(verdict).contains(name), "no {name}: {verdict}");
    assert_eq!(verdict.weakest_violated(), weakest, "{name}: {verdict}");
    assert_eq!(verdict.status(), &Status::Violated, "{name}: {verdict}");
}

#[test]
fn cycles_of_lists_are_named() {
    let cases: [(&str, &str, &[Level]); 9] = [
        (
            "G0",
            "[:append x 1] [:append y 1]\n [:append x 2] [:append y 2]\n
            [:r x [1 2]] [:r y [2 1]]",
            &[ReadUncommitted],
        ),
        ("G1c", "[:append x 1] [:r y [1]]\n [:append y 1] [:r x [1]]", &[ReadCommitted]),
        (
            "G-single",
            "[:append x 1] [:append y 1]\n [:append x 2] [:r y []]\n
            [:r x [1 2]]",
            &[RepeatableRead, SnapshotIsolation],
        ),
        (
            "G-nonadjacent",
            "[:append x 1]\n [:r x [1]] [:r y []]\n [:append y 1]\n
            [:r y [1]] [:r x []]",
            &[RepeatableRead, SnapshotIsolation],
        ),
        ("G2-item", "[:r x []] [:append y 1]\n [:r y []] [:append x 1]", &[RepeatableRead]),
        ("G-single-process", "1: 0-1 [:append x 1]\n 1: 2-3 [:r x []]", &[Causal]),
        (
            "G-single-realtime",
            "1: 0-1 [:append x 1]\n 2: 2-3 [:r x []]",
            &[StrongSnapshotIsolation],
        ),
        ("G1c-realtime", "1: 0-1 [:r x [1]]\n 2: 2-3 [:append x 1]", &[StrongSnapshotIsolation]),
        (
            "G0-realtime",
            "1: 0-1 [:append x 1]\n 2: 2-3 [:append x 2]\n 3: 4-5 [:r x [2 1]]",
            &[StrongSnapshotIsolation],
        ),
    ];
    for (name, history, weakest) in cases {
        let verdict = lists(history);
        assert_planted(&verdict, name, weakest);
        let base = |kind: &String| name.starts_with(kind.as_str());
        assert!(
            kinds(&verdict).iter().all(|kind| base(kind) || kind.contains("causal")),
            "{verdict}"
        );
    }
}

#[test]
fn a_cycle_of_outdated_reads_in_a_row_over_time_is_named() {
    // T1 misses T2, which misses T3, and T3 had returned before T1 began.
    let verdict = lists(
        "1: 4-9 [:r y []] [:append a 1]\n 2: 0-8 [:r x []] [:append y 1]\n
        3: 1-2 [:append x 1]",
    );
    assert_planted(&verdict, "G2-item-realtime", &[StrictSerializable]);
    assert_eq!(verdict.strongest_held(), [StrongSnapshotIsolation, Serializable]);
}

#[test]
fn what_is_wrong_with_lists_without_a_cycle_is_named() {
    let cases: [(&str, &str, &[Level]); 9] = [
        ("G1a", "![:append x 1]\n [:r x [1]]", &[ReadCommitted]),
        ("G1b", "[:append x 1] [:append x 2]\n [:r x [1]]", &[ReadCommitted]),
        ("dirty-update", "![:append x 1]\n [:append x 2]\n [:r x [1 2]]", &[ReadCommitted]),
        (
            "incompatible-order",
            "[:append x 1]\n [:append x 2]\n [:r x [1 2]]\n [:r x [2]]",
            &[ReadCommitted],
        ),
        ("future-read", "[:r x [1]] [:append x 1]", &[ReadCommitted]),
        ("internal", "[:append x 1]\n [:r x []] [:r x [1]]", &[ReadAtomic, RepeatableRead]),
        (
            "lost-update",
            "[:r x []] [:append x 1]\n [:r x []] [:append x 2]",
            &[RepeatableRead, SnapshotIsolation],
        ),
        ("duplicate-elements", "[:append x 1]\n [:r x [1 1]]", &[ReadUncommitted]),
        ("garbage-read", "[:r x [9]]", &[ReadUncommitted]),
    ];
    for (name, history, weakest) in cases {
        assert_planted(&lists(history), name, weakest);
    }
}

#[test]
fn what_is_wrong_with_registers_is_named() {
    let cases: [(&str, &str, &[Level]); 10] = [
        ("G1a", "![:w x 1]\n [:r x 1]", &[ReadCommitted]),
        ("G1b", "[:w x 1] [:w x 2]\n [:r x 1]", &[ReadCommitted]),
        ("G1c", "[:w x 1] [:r y 1]\n [:w y 1] [:r x 1]", &[ReadCommitted]),
        ("internal", "[:w x 1]\n [:w x 2]\n [:r x 1] [:r x 2]", &[ReadAtomic, RepeatableRead]),
        (
            "fractured-read",
            "[:w x 1] [:w y 1]\n [:r x 1] [:r y nil]",
            &[ReadAtomic, RepeatableRead],
        ),
        (
            "causal-violation",
            "[:w x 1]\n [:r x 1] [:w y 1]\n [:r y 1] [:r x nil]",
            &[Causal, RepeatableRead, SnapshotIsolation],
        ),
        (
            "lost-update",
            "[:r x nil] [:w x 1]\n [:r x nil] [:w x 2]",
            &[RepeatableRead, SnapshotIsolation],
        ),
        ("G2-item", "[:r x nil] [:w y 1]\n [:r y nil] [:w x 1]", &[RepeatableRead]),
        ("garbage-read", "[:r x 9]", &[ReadUncommitted]),
        ("future-read", "[:r x 1] [:w x 1]", &[ReadCommitted]),
    ];
    for (name, history, weakest) in cases {
        assert_planted(&registers(history), name, weakest);
    }
}

#[test]
fn an_unknown_outcome_counts_if_it_was_seen_and_not_otherwise() {
    let unseen = lists("?1: 0-1 [:append x 1]\n 2: 2-3 [:r x []]");
    assert_eq!(unseen.status(), &Status::Holds, "{unseen}");
    let late = lists("?1: 0-1 [:append x 1]\n 2: 2-3 [:r x []]\n 3: 4-5 [:r x [1]]");
    assert_eq!(late.status(), &Status::Holds, "{late}");
    let torn = lists("?1: 0-1 [:append x 1] [:append y 1]\n 2: 4-5 [:r x [1]] [:r y []]");
    assert_planted(&torn, "G-single", &[ReadAtomic, RepeatableRead]);
    let early = lists("2: 0-1 [:r x [1]]\n ?1: 2-3 [:append x 1]");
    assert_planted(&early, "G1c-realtime", &[StrongSnapshotIsolation]);
    let register = registers("?1: 0-1 [:w x 1]\n 2: 2-3 [:r x nil]\n 3: 4-5 [:r x 1]");
    assert_eq!(register.status(), &Status::Holds, "{register}");
}

#[test]
fn each_step_of_a_cycle_has_its_reason() {
    let verdict = lists("[:append x 3]\n [:r x [3]] [:append y 4]\n [:r y [4]] [:r x []]");
    let anomaly =
        verdict.anomalies().iter().find(|one| one.kind.to_string() == "G-single").unwrap();
    assert_eq!(
        anomaly.lines,
        [
            "T3 before T1 before T2 before T3, a cycle",
            "T3 before T1: T3 read x = [] and T1 appended 3 to x after that",
            "T1 before T2: T1 appended 3 to x and T2 read x = [3]",
            "T2 before T3: T2 appended 4 to y and T3 read y = [4]",
            "T1 (process 100, events 0 to 1000): append x 3",
            "T2 (process 101, events 1 to 1001): read x [3], append y 4",
            "T3 (process 102, events 2 to 1002): read y [4], read x []",
        ]
    );
    assert_eq!(anomaly.transactions, [2, 0, 1]);
}

/// Two writers of x of which nobody knows the order: whichever is first, someone read backwards.
const NO_ORDER: &str = "[:w x 1] [:w a 1]\n [:w x 2] [:w b 1]\n
    [:r x 1] [:r b 1]\n [:r x 2] [:r a 1]";

#[test]
fn when_no_order_of_writes_fits_the_proof_is_small() {
    let mut history = NO_ORDER.to_owned();
    for other in 10..30 {
        history += &format!("\n [:w x {other}]\n [:w c {other}] [:r a nil]");
    }
    let verdict = registers(&history);
    assert_eq!(verdict.status_of(SnapshotIsolation), &Status::Violated, "{verdict}");
    let proof = verdict.anomalies().iter().find(|one| one.transactions == [0, 1, 2, 3]);
    let proof = proof.unwrap_or_else(|| panic!("no proof of four transactions: {verdict}"));
    assert!(proof.lines[0].contains("a cycle"), "{proof}");
}

#[test]
fn a_search_ends_undecided_at_its_limits() {
    let mut history = String::new();
    for process in 0..12 {
        history +=
            &format!("[:w x {process}] [:w y {process}]\n [:r x {process}] [:w z {process}]\n");
    }
    let limits = TransactionLimits { steps: 10, ..TransactionLimits::default() };
    let limited = judge(&history, Kind::RwRegister, &Options { limits, ..Options::default() });
    assert!(matches!(limited.status(), Status::Undecided(_)), "{limited}");
    let limits = TransactionLimits { memory: 10, ..TransactionLimits::default() };
    let limited = judge(&history, Kind::RwRegister, &Options { limits, ..Options::default() });
    assert!(matches!(limited.status(), Status::Undecided(_)), "{limited}");
    assert_eq!(registers(&history).status(), &Status::Holds);
}

#[test]
fn a_value_that_was_written_twice_leaves_a_history_undecided() {
    let verdict = registers("[:w x 1]\n [:w x 1]\n [:r x 1]");
    assert!(matches!(verdict.status(), Status::Undecided(_)), "{verdict}");
    let verdict = registers("[:w x 1]\n [:w x 1]\n [:r y nil] [:w z 1]\n [:r z nil] [:w y 1]");
    assert_eq!(verdict.status_of(Serializable), &Status::Violated, "{verdict}");
}

#[test]
fn what_may_be_assumed_of_keys_gives_an_order_of_versions() {
    let history = "1: 0-1 [:w x 1]\n 1: 2-3 [:w x 2]\n 1: 4-5 [:r x 1]";
    let plain = registers(history);
    assert!(!kinds(&plain).contains("cyclic-versions"), "{plain}");
    for options in [
        Options { sequential_keys: true, ..Options::default() },
        Options { linearizable_keys: true, ..Options::default() },
    ] {
        let verdict = judge(history, Kind::RwRegister, &options);
        assert_planted(&verdict, "cyclic-versions", &[ReadUncommitted]);
    }
    let history = "[:r x nil] [:w y 2]\n [:w x 3] [:w y 4]";
    let options = Options { commit_order: [(0, 2), (1, 1)].into(), ..Options::default() };
    let verdict = judge(history, Kind::RwRegister, &options);
    assert!(kinds(&verdict).contains("G-single"), "{verdict}");
    assert_eq!(registers(history).status(), &Status::Holds);
}

#[test]
fn an_initial_state_may_be_given_or_declared_unknown() {
    let history = "[:r x 7]\n [:w x 8]\n [:r y 0]";
    assert_planted(&registers(history), "garbage-read", &[ReadUncommitted]);
    let unknown = Options { initial: Initial::unknown(), ..Options::default() };
    assert_eq!(judge(history, Kind::RwRegister, &unknown).status(), &Status::Holds);
    let keys = [("x".into(), 7.into())].into();
    let given = Initial { default: Some(Value::Int(0)), keys };
    let given = Options { initial: given, ..Options::default() };
    assert_eq!(judge(history, Kind::RwRegister, &given).status(), &Status::Holds);
}

#[test]
fn sessions_are_part_of_every_level_of_the_formats_that_have_them() {
    // The second transaction of session 1 misses the first.
    let file = "w(1,1,1,1)\nr(1,0,1,2)\n";
    let options = usual_options(Format::RwText);
    let history =
        read(file.as_bytes(), Format::RwText, Kind::RwRegister, &options.initial).unwrap();
    let verdict = check(&history, Serializable, &options);
    assert_eq!(verdict.status(), &Status::Violated, "{verdict}");
    assert_eq!(verdict.status_of(ReadAtomic), &Status::Violated, "{verdict}");
    let options = Options { sessions: false, ..options };
    let verdict = check(&history, Serializable, &options);
    assert_eq!(verdict.status(), &Status::Holds, "{verdict}");
    assert_eq!(verdict.status_of(Causal), &Status::Violated, "{verdict}");
}

#[test]
fn levels_have_names_and_imply_each_other() {
    for level in Level::ALL {
        assert_eq!(level.name().parse(), Ok(level));
        for other in Level::ALL {
            let both = level.implies(other, true) && other.implies(level, true);
            assert_eq!(both, level == other, "{level} and {other}");
            assert!(!level.implies(other, false) || level.implies(other, true));
        }
        assert!(StrictSerializable.implies(level, false), "{level}");
        assert!(level.implies(ReadUncommitted, false), "{level}");
    }
    let error = "serialisable".parse::<Level>().unwrap_err();
    assert!(error.to_string().contains("there is no isolation level \"serialisable\""), "{error}");
}

#[test]
fn an_element_that_two_append_is_refused() {
    let mut history = Transactions::new(Kind::ListAppend);
    let mut push = |fate: Fate| {
        let micros = vec![Micro::Append("x".into(), 1.into())];
        let (invoked, returned) = (None, None);
        history.push(Transaction { process: None, number: None, invoked, returned, fate, micros })
    };
    assert_eq!(push(Fate::Aborted), Ok(()));
    assert_eq!(push(Fate::Committed), Ok(()));
    let error = push(Fate::Indeterminate).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 is appended to \"x\" a second time, so reads cannot tell who did"
    );
}
