use crate::probe::{MS, SECOND, calm, notes, run_until};
use squall::digest::hash_bytes;
use squall::plan::{Fate, Latency, Matched, Override};
use squall::{Plan, RunOutcome, Scenario};
use squall_env::{Env, Port};
use std::sync::Mutex;
use std::time::Duration;

type Seen = &'static Mutex<Vec<u8>>;

/// One node sends a message with each of these numbers, a millisecond apart, the first at once;
/// the other notes what came in the run that was last.
fn sending(numbers: &'static [u8], seen: Seen) -> Scenario {
    Scenario::new("test/overrides").nodes("node", 2..=2, move |env: Env| async move {
        let mut socket = env.bind(Port::named("pair")).map_err(|e| e.to_string())?;
        if env.me().ordinal() == 1 {
            seen.lock().unwrap().clear();
            let to = env.addresses("node", socket.port())[1];
            for number in numbers {
                socket.send(to, &[*number; 9]);
                env.sleep(Duration::from_millis(1)).await;
            }
        }
        let mut buffer = Vec::new();
        while socket.receive(&mut buffer).await.is_ok() {
            seen.lock().unwrap().push(buffer[0]);
        }
        Ok::<(), String>(())
    })
}

/// The names of a message: the number in it and which one of those, the count, and the time.
#[derive(Clone, Copy, Default)]
struct Names {
    number: Option<u8>,
    nth: u64,
    count: Option<u64>,
    at_ns: Option<u64>,
}

fn lost(names: Names) -> Override {
    Override::Message {
        from: "node-1".to_owned(),
        to: "node-2".to_owned(),
        port: Port::named("pair").number(),
        message_kind: 0,
        payload: names.number.map(|number| hash_bytes(&[number; 9])),
        nth: names.nth,
        count: names.count,
        at_ns: names.at_ns,
        fate: Fate::Lost,
    }
}

fn plan(overrides: Vec<Override>) -> Plan {
    let mut plan = calm(2);
    plan.weather.latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan.overrides = overrides;
    plan
}

/// What arrived, and the outcome.
fn run(numbers: &'static [u8], overrides: Vec<Override>) -> (Vec<u8>, RunOutcome) {
    let seen: Seen = notes();
    let plan = plan(overrides);
    let outcome = run_until(&sending(numbers, seen), 5, &plan, 10 * SECOND);
    (seen.lock().unwrap().clone(), outcome)
}

const NUMBERS: &[u8] = &[0, 1, 2, 3, 1, 5];

/// A change of the code: another message comes before all of them, and the first 1 is gone.
const CHANGED: &[u8] = &[9, 0, 2, 3, 1, 5];

#[test]
fn a_message_is_found_by_its_hash_by_its_count_or_by_its_time() {
    let by_hash = Names { number: Some(1), nth: 1, ..Names::default() };
    let (came, outcome) = run(NUMBERS, vec![lost(by_hash)]);
    assert_eq!(came, [0, 1, 2, 3, 5]);
    assert_eq!(outcome.overrides, Matched { by_hash: 1, ..Matched::default() });
    let by_count = Names { count: Some(2), ..Names::default() };
    let (came, outcome) = run(NUMBERS, vec![lost(by_count)]);
    assert_eq!(came, [0, 1, 3, 1, 5]);
    assert_eq!(outcome.overrides, Matched { by_count: 1, ..Matched::default() });
    // The first at or after this time; a node's clock may begin at any time, but not the run's.
    let by_time = Names { at_ns: Some(2 * MS + 1), ..Names::default() };
    let (came, outcome) = run(NUMBERS, vec![lost(by_time)]);
    assert_eq!(came, [0, 1, 2, 1, 5]);
    assert_eq!(outcome.overrides, Matched { by_time: 1, ..Matched::default() });
}

#[test]
fn a_name_that_matches_nothing_any_more_gives_way_to_the_next() {
    let all = Names { number: Some(1), nth: 1, count: Some(4), at_ns: Some(4 * MS) };
    let (came, outcome) = run(NUMBERS, vec![lost(all)]);
    assert_eq!((came, outcome.overrides.by_hash), (vec![0, 1, 2, 3, 5], 1));
    let (came, outcome) = run(CHANGED, vec![lost(all)]);
    assert_eq!((came, outcome.overrides.by_count), (vec![9, 0, 2, 3, 5], 1));
    let (came, outcome) = run(CHANGED, vec![lost(Names { count: Some(100), ..all })]);
    assert_eq!((came, outcome.overrides.by_time), (vec![9, 0, 2, 3, 5], 1));
    let late = Names { count: Some(100), at_ns: Some(SECOND), ..all };
    let (came, outcome) = run(CHANGED, vec![lost(late)]);
    assert_eq!((came, outcome.overrides.not_at_all), (CHANGED.to_vec(), 1));
}

#[test]
fn of_several_overrides_each_has_its_own_message_and_the_surest_name_goes_first() {
    let time = Names { at_ns: Some(0), ..Names::default() };
    let hash = Names { number: Some(0), ..Names::default() };
    let (came, outcome) = run(NUMBERS, vec![lost(time), lost(time), lost(hash)]);
    assert_eq!(came, [3, 1, 5]);
    let wanted = Matched { by_hash: 1, by_time: 2, ..Matched::default() };
    assert_eq!(outcome.overrides, wanted);
}

#[test]
fn an_override_of_a_message_moves_no_other() {
    let delayed = |names| match lost(names) {
        Override::Message { from, to, port, message_kind, payload, nth, count, at_ns, .. } => {
            let fate = Fate::DeliveredAfterNs(500 * MS);
            Override::Message { from, to, port, message_kind, payload, nth, count, at_ns, fate }
        }
        other => other,
    };
    let names = Names { count: Some(3), ..Names::default() };
    assert_eq!(run(NUMBERS, vec![delayed(names)]).0, [0, 1, 2, 1, 5, 3]);
    assert_eq!(run(NUMBERS, Vec::new()).0, NUMBERS);
}

#[test]
fn overrides_of_other_lanes_and_other_operations_match_nothing_and_are_counted() {
    let skip = |client: &str| Override::SkipOperation { client: client.to_owned(), number: 0 };
    let mut stray = lost(Names { at_ns: Some(0), ..Names::default() });
    if let Override::Message { to, .. } = &mut stray {
        "node-7".clone_into(to);
    }
    let (came, outcome) = run(NUMBERS, vec![stray, skip("node-2"), skip("nobody")]);
    assert_eq!(came, NUMBERS);
    assert_eq!(outcome.overrides, Matched { not_at_all: 3, ..Matched::default() });
    let line = outcome.overrides.line().unwrap();
    assert!(line.starts_with("of 3 overrides of the plan 0 matched a message by hash"), "{line}");
    assert!(line.ends_with("3 nothing at all"), "{line}");
    assert_eq!(Matched::default().line(), None);
}
