//! Files that were damaged, cut, doubled and mixed: every reader and every model answers, with a
//! verdict or with the place of the problem, and never panics.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use squall_check::file::{FileError, MODELS, Request, check};
use squall_check::{Limits, SetCall, SetReturn};

/// A file of each kind of operation, whole before it is damaged.
fn seeds() -> Vec<String> {
    let vocabulary = [
        ("read", "nil", "3"),
        ("write", "3", "3"),
        ("cas", "[0 3]", "[0 3]"),
        ("txn", "[[:read :x nil] [:write :y 2]]", "[[:read :x 0] [:write :y 2]]"),
        ("add", "1", "1"),
        ("remove", "1", "true"),
        ("contains", "1", "false"),
        ("read", "nil", "#{1 2}"),
        ("enqueue", "1", "1"),
        ("dequeue", "nil", "1"),
        ("push", "1", "1"),
        ("pop", "nil", "nil"),
        ("acquire", "nil", "1"),
        ("release", "nil", "2"),
        ("renew", "nil", "9"),
        ("expire", "0", "0"),
        ("append", "\"a\"", "0"),
        ("read-at", "0", "\"a\""),
        ("read", "nil", "[1 2]"),
    ];
    let mut seeds = Vec::new();
    for (f, asked, answered) in vocabulary {
        let event = |kind: &str, process: u8, value: &str| {
            format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}, :time 7}}\n")
        };
        let invoked = [event("invoke", 0, asked), event("invoke", 1, asked)].concat();
        let ended = [event("ok", 1, answered), event("info", 0, asked)].concat();
        seeds.push(format!("[{invoked}{ended}{}]", event("invoke", 2, asked)));
        seeds.push(format!("{invoked}{ended}").replace(":f ", ":key \"k\", :f "));
        let line = |kind: &str, process: u8, value: &str| {
            format!("INFO  jepsen.util - {process}\t:{kind}\t:{f}\t{value}\n")
        };
        let first = [line("invoke", 0, asked), line("ok", 0, answered)].concat();
        seeds.push(first + &line("invoke", 1, asked) + &line("fail", 1, ":timed-out"));
    }
    for (w, list) in [("append", "[1 2]"), ("w", "2")] {
        seeds.push(format!(
            "{{:type :invoke :process 0 :index 0 :value [[:{w} x 1] [:r y nil]]}}\n\
             {{:type :invoke :process 1 :index 1 :value [[:{w} x 2] [:r x nil]]}}\n\
             {{:type :ok :process 0 :index 2 :value [[:{w} x 1] [:r y nil]]}}\n\
             {{:type :ok :process 1 :index 3 :value [[:{w} x 2] [:r x {list}]]}}\n"
        ));
        let list = list.replace(' ', ",");
        seeds.push(format!(
            "[{{\"type\":\"ok\",\"process\":0,\"value\":[[\"{w}\",\"x\",1],[\"r\",\"y\",null]]}},\n\
             {{\"type\":\"ok\",\"process\":1,\"value\":[[\"{w}\",\"x\",2],[\"r\",\"x\",{list}]]}}]"
        ));
        let array = seeds[seeds.len() - 1].replace("},\n", "}\n");
        seeds.push(array[1..array.len() - 1].to_owned());
    }
    seeds.push("w(1,1,1,1)\nr(1,1,1,2)\nw(2,2,2,3)\nr(1,0,2,3)\nw(1,9,3,-1)\n".to_owned());
    seeds.push(
        "---\n- - events:\n      - write: true\n        variable: 1\n        value: 3\n        \
         success: true\n    success: true\n  - events: []\n    success: false\n- []\n"
            .to_owned(),
    );
    seeds.push(ours());
    seeds
}

/// A history in our own form.
fn ours() -> String {
    let recorder = squall_check::Recorder::new();
    let add = recorder.invoke(0, SetCall::Add(1), 0);
    recorder.ok(add, SetReturn::<u64>::Done, 1);
    let read = recorder.invoke(0, SetCall::Read, 2);
    recorder.ok(read, SetReturn::Elements([1].into()), 3);
    let lost = recorder.invoke(1, SetCall::Remove(1), 4);
    recorder.unknown(lost, 5);
    let mut lines = Vec::new();
    recorder.finish().write_jsonl(&mut lines).expect("memory takes all");
    String::from_utf8(lines).expect("JSON is text")
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Remove(Index, usize),
    Double(Index, usize),
    Insert(Index, &'static str),
    /// The rest is that of another file.
    Splice(Index, Index),
}

/// What readers and models may stumble over.
const WORDS: &[&str] = &[
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999999",
    "-1",
    "0",
    "1e308",
    "nil",
    "[]",
    "{}",
    "()",
    "#{1 1}",
    "\"\"",
    "\"\\u0000\"",
    "\\",
    "#_",
    "#inst",
    "##NaN",
    ":",
    ";",
    "\u{feff}",
    "é",
    "\r\n",
    "\n",
    "\t",
    ":nemesis",
    ":info",
    "null",
    "true",
    "[[[[[[[[",
    "- - - -",
    "r(",
    ",",
];

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), 1..200_usize).prop_map(|(at, count)| Damage::Double(at, count)),
        (any::<Index>(), select(WORDS)).prop_map(|(at, word)| Damage::Insert(at, word)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, other)| Damage::Splice(at, other)),
    ]
}

fn inflict(damage: &Damage, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = |index: &Index| index.index(bytes.len() + 1);
    match damage {
        Damage::Byte(index, byte) => {
            let at = at(index);
            if let Some(old) = bytes.get_mut(at) {
                *old = *byte;
            }
        }
        Damage::Remove(index, count) => {
            let at = at(index);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Damage::Double(index, count) => {
            let at = at(index);
            let copy = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, copy);
        }
        Damage::Insert(index, word) => {
            let at = at(index);
            bytes.splice(at..at, word.bytes());
        }
        Damage::Splice(index, from) => {
            let at = at(index);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
    }
}

const FORMATS: [&str; 8] = [
    "jepsen-log",
    "kv-log",
    "edn-vector",
    "edn-lines",
    "json-lines",
    "rw-text",
    "dbcop-yaml",
    "jsonl",
];

/// Those of operations, and the two of transactions.
fn models() -> Vec<&'static str> {
    [MODELS, &["list-append", "rw-register"]].concat()
}

/// Holds a file against a model and says whether it has operations; an error of the file has a
/// place.
fn judge(bytes: &[u8], format: Option<&str>, model: Option<&str>) -> Result<bool, TestCaseError> {
    let mut request = Request {
        format: format.map(|format| format.parse().expect("a format")),
        model: model.map(str::to_owned),
        limits: Limits { steps: 20_000, minimise_steps: 20_000, ..Limits::default() },
        ..Request::default()
    };
    request.limits.time = Some(Duration::from_secs(5));
    request.initial = (model == Some("lease")).then(|| "10".parse().expect("a number"));
    match check(&mut &bytes[..], &request) {
        Ok(report) => Ok(report.operations > 0),
        Err(FileError::Parse(error)) => {
            let text = error.to_string();
            prop_assert!(text.starts_with("line ") && text.contains(", column "), "{}", text);
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

/// Each seed is valid input for some model in some format, or the fuzzing would not come far.
#[test]
fn every_seed_is_read_by_something() {
    let mut unread = Vec::new();
    for seed in seeds() {
        let is_read = FORMATS.iter().any(|format| {
            models()
                .iter()
                .any(|model| judge(seed.as_bytes(), Some(format), Some(model)).expect("a place"))
        });
        if !is_read {
            unread.push(seed);
        }
    }
    assert!(unread.is_empty(), "read by nothing: {unread:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_damaged_file_makes_a_check_panic(
        seed in any::<Index>(),
        other in any::<Index>(),
        damages in prop::collection::vec(damage(), 0..6),
        format in select(&FORMATS[..]),
    ) {
        let seeds = seeds();
        let other = &seeds[other.index(seeds.len())];
        let mut bytes = seeds[seed.index(seeds.len())].clone().into_bytes();
        for damage in &damages {
            inflict(damage, &mut bytes, other.as_bytes());
        }
        for model in models() {
            judge(&bytes, None, Some(model))?;
            judge(&bytes, Some(format), Some(model))?;
        }
        judge(&bytes, None, None)?;
    }
}
