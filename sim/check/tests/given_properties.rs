//! Cases of Jepsen's checkers, with the counts those checkers give.
//!
//! They lie in the folder that the environment variable `SQUALL_HISTORIES` names.

#[path = "common/given.rs"]
mod given;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value as Json, json};
use squall_check::properties::{
    Status, causal_reverse, counter, long_fork, set, set_full, total_queue, unique_ids,
    unordered_queue,
};
use squall_check::{
    CounterCall, CounterReturn, History, QueueCall, QueueReturn, Recorder, SetCall, SetReturn,
};

fn cases() -> String {
    let file = given::folder().join("jepsen/derived_cases.jsonl");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A history of a case. An answer without a question gets one right before it.
fn history<I: Clone, O>(
    case: &Json,
    ask: impl Fn(&str, &Json) -> I,
    answer: impl Fn(&str, &Json) -> O,
) -> History<I, O> {
    let recorder = Recorder::new();
    let mut open = BTreeMap::new();
    // A process that goes on after an unknown outcome does so under a new number.
    let mut aliases: BTreeMap<u64, u64> = BTreeMap::new();
    for (time, event) in (0..).zip(case["history"].as_array().unwrap()) {
        let [process, kind, f, value] = event.as_array().unwrap().as_slice() else {
            panic!("{event} is no event");
        };
        let process = process.as_u64().unwrap();
        let alias = *aliases.get(&process).unwrap_or(&process);
        let f = f.as_str().unwrap();
        let at_ns = 1_000_000 * time;
        if kind == "invoke" {
            open.insert(process, recorder.invoke(alias, ask(f, value), at_ns));
            continue;
        }
        let id = open.remove(&process);
        let id = id.unwrap_or_else(|| recorder.invoke(alias, ask(f, value), at_ns));
        match kind.as_str().unwrap() {
            "ok" => recorder.ok(id, answer(f, value), at_ns),
            "fail" => recorder.fail(id, at_ns),
            "info" => {
                recorder.unknown(id, at_ns);
                aliases.insert(process, alias + 1000);
            }
            other => panic!("{other} is no kind of event"),
        }
    }
    recorder.finish()
}

fn valid(status: Status) -> Json {
    match status {
        Status::Holds => json!(true),
        Status::Violated => json!(false),
        Status::Undecided(_) => json!("unknown"),
    }
}

fn list<'a>(values: impl IntoIterator<Item = &'a Json>) -> Json {
    Json::Array(values.into_iter().cloned().collect())
}

/// A value with an order, for the keys of maps.
fn text(value: &Json) -> String {
    value.to_string()
}

fn texts(values: impl IntoIterator<Item = String>) -> Json {
    let values: Vec<Json> =
        values.into_iter().map(|value| serde_json::from_str(&value).unwrap()).collect();
    list(&values)
}

fn queue(case: &Json) -> History<QueueCall<String>, QueueReturn<String>> {
    let ask = |f: &str, value: &Json| match f {
        "enqueue" => QueueCall::Enqueue(text(value)),
        _ => QueueCall::Dequeue,
    };
    let answer = |f: &str, value: &Json| match f {
        "enqueue" => QueueReturn::Done,
        _ => QueueReturn::Item(text(value)),
    };
    history(case, ask, answer)
}

fn numbers(value: &Json) -> BTreeSet<u64> {
    value.as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect()
}

fn set_history(case: &Json) -> History<SetCall<u64>, SetReturn<u64>> {
    let ask = |f: &str, value: &Json| match f {
        "read" => SetCall::Read,
        _ => SetCall::Add(value.as_u64().unwrap()),
    };
    let answer = |f: &str, value: &Json| match f {
        "read" => SetReturn::Elements(numbers(value)),
        _ => SetReturn::Done,
    };
    history(case, ask, answer)
}

fn counter_history(case: &Json) -> History<CounterCall, CounterReturn> {
    let ask = |f: &str, value: &Json| match f {
        "read" => CounterCall::Read,
        _ => CounterCall::Add(value.as_i64().unwrap()),
    };
    let answer = |f: &str, value: &Json| match f {
        "read" => CounterReturn::Value(value.as_i64().unwrap()),
        _ => CounterReturn::Done,
    };
    history(case, ask, answer)
}

fn judge_total_queue(case: &Json) -> Json {
    let report = total_queue(&queue(case));
    json!({
        "valid": valid(report.status()),
        "lost": texts(report.lost.into_keys()),
        "unexpected": texts(report.unexpected.into_keys()),
        "duplicated": texts(report.duplicated.into_keys()),
        "recovered": texts(report.recovered.into_keys()),
        "attempt_count": report.attempted,
        "acknowledged_count": report.acknowledged,
        "ok_count": report.ok,
    })
}

fn judge_set(case: &Json) -> Json {
    let report = set(&set_history(case));
    json!({
        "valid": valid(report.status()),
        "ok": report.ok, "lost": report.lost, "unexpected": report.unexpected,
        "recovered": report.recovered,
        "attempt_count": report.attempted, "acknowledged_count": report.acknowledged,
    })
}

fn judge_set_full(case: &Json) -> Json {
    let report = set_full(&set_history(case), false);
    json!({
        "valid": valid(report.status()),
        "lost": report.lost(), "stale": report.stale(), "never_read": report.never_read(),
        "stable_count": report.stable().len(),
    })
}

fn judge_unique_ids(case: &Json) -> Json {
    let report = unique_ids(&history(case, |_, _| (), |_, value| value.as_u64().unwrap()));
    let range = report.range.map(|(least, most)| (Some(least), Some(most)));
    let counts = report.duplicated.iter().map(|(id, count)| (id.to_string(), *count));
    json!({
        "valid": valid(report.status()),
        "attempted": report.attempted, "acknowledged": report.acknowledged,
        "duplicated": counts.collect::<BTreeMap<_, _>>(),
        "range": range.unwrap_or((None, None)),
    })
}

fn judge_counter(case: &Json) -> Json {
    let report = counter(0, &counter_history(case));
    let bounds =
        |read: &squall_check::properties::CounterRead| json!([read.lower, read.value, read.upper]);
    json!({
        "valid": valid(report.status()),
        "reads": report.reads.iter().map(bounds).collect::<Vec<_>>(),
        "errors": report.errors().map(bounds).collect::<Vec<_>>(),
    })
}

fn judge_long_fork(case: &Json) -> Json {
    let pairs = |value: &Json| -> BTreeMap<u64, Option<u64>> {
        let pair = |one: &Json| (one[0].as_u64().unwrap(), one[1].as_u64());
        value.as_array().unwrap().iter().map(pair).collect()
    };
    let history = history(case, |_, _| (), |_, value| pairs(value));
    let report = long_fork(&history, |(), seen| Some(seen.clone()));
    json!({ "valid": valid(report.status()), "forks": report.forks.len() })
}

#[test]
#[ignore = "reads histories that are not part of the project"]
fn every_case_of_jepsen_gets_its_counts() {
    let mut checked = 0;
    for line in cases().lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let found = match case["checker"].as_str().unwrap() {
            "queue(unordered)" => json!({ "valid": unordered_queue(&queue(&case)).is_ok() }),
            "total-queue" => judge_total_queue(&case),
            "set" => judge_set(&case),
            "set-full" => judge_set_full(&case),
            "unique-ids" => judge_unique_ids(&case),
            "counter" => judge_counter(&case),
            "long-fork(group 3)" => judge_long_fork(&case),
            "causal-reverse" => {
                json!({ "valid": valid(causal_reverse(&set_history(&case)).status()) })
            }
            other => panic!("{other} is no checker"),
        };
        for (name, expected) in case["expected"].as_object().unwrap() {
            // An empty map and an empty list are the same to who only looks for members.
            let both_empty = expected == &json!([]) && found[name] == json!({});
            assert!(
                both_empty || &found[name] == expected,
                "{}: {name} is {}, not {expected}",
                case["name"],
                found[name]
            );
            checked += 1;
        }
    }
    assert!(checked >= 80, "only {checked} results were checked");
}
