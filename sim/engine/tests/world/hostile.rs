//! Repro files that no build wrote: each is refused with a reason, or runs to its end.

use crate::probe::probe;
use proptest::prelude::*;
use serde_json::{Value, json};
use squall::plan::{Episode, Fate, Kind, Override, Plan, When};
use squall::{Class, Expected, Repro, Scenario, run_plan};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a run may take that has bounds as small as these.
const RUN_MAX: Duration = Duration::from_secs(20);

/// The probe never ends by itself: its bounds end it.
fn scenario() -> Scenario {
    probe().events_max(3_000).pending_max(2_000)
}

fn file(plan: &Plan) -> Repro {
    Repro::new("test/probe", 7, plan, Expected { property: None, fingerprint: None, digest: None })
}

/// A file with something of everything.
fn rich(seed: u64) -> Value {
    let mut plan = scenario().plan(seed);
    let client = "node-1".to_owned();
    plan.overrides.push(Override::SkipOperation { client: client.clone(), number: 3 });
    plan.overrides.push(Override::OnlyOperations { client, numbers: vec![0, 2] });
    plan.overrides.push(Override::Message {
        from: "node-1".to_owned(),
        to: "node-2".to_owned(),
        port: 1,
        message_kind: 0,
        payload: Some(5),
        nth: 0,
        count: Some(1),
        at_ns: Some(9),
        fate: Fate::Delivered { after_ns: 5, copy_after_ns: Some(6), damage: Some(7) },
    });
    for (id, node) in (90..).zip(["node-1", "node-2", "node-3"]) {
        let node = node.to_owned();
        let kind = match id {
            90 => Kind::CrashLoop { node, power_loss: true, times: 3 },
            91 => Kind::WallStrobe { node, by_ns: 5, every_ns: 100_000_000 },
            _ => Kind::SlowDisk { node, factor: 3 },
        };
        plan.episodes.push(Episode { id, kind, from: When::AtNs(1_000), for_ns: Some(1_000_000) });
    }
    serde_json::to_value(file(&plan)).unwrap()
}

/// All places in a value, as paths of keys and numbers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(n, v)| places(v, &format!("{at}/{n}"), all));
        }
        Value::Object(values) => {
            values.iter().for_each(|(key, v)| places(v, &format!("{at}/{key}"), all));
        }
        _ => {}
    }
}

/// What somebody may put there.
fn hostile() -> impl Strategy<Value = Value> {
    let deep = (0..100).fold(json!(1), |inside, _| json!([inside]));
    prop_oneof![
        Just(json!(u64::MAX)),
        Just(json!(u32::MAX)),
        Just(json!(u16::MAX)),
        Just(json!(1_000_000_000_000_000_u64)),
        Just(json!(i64::MIN)),
        Just(json!(0)),
        Just(json!(1)),
        Just(json!(1.5e300)),
        Just(json!("node-2")),
        Just(json!("")),
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(deep),
        any::<u32>().prop_map(|number| json!(number)),
    ]
}

/// Reads, checks and runs it. The answer is what was wrong with it, if anything was.
fn tried(text: &[u8]) -> Result<Option<Class>, String> {
    let file = Path::new("hostile.json");
    let repro = Repro::parse(file, text).map_err(|error| error.to_string())?;
    repro.check(file, &scenario()).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let outcome = run_plan(&scenario(), repro.seed, &repro.plan, squall::Watch::default());
    assert!(began.elapsed() < RUN_MAX, "a run of 3000 events took {:?}", began.elapsed());
    Ok(outcome.failure.map(|failure| failure.class))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn any_value_may_stand_at_any_place(
        seed in 0..40_u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), hostile()), 1..4),
    ) {
        let mut value = rich(seed);
        for (index, hostile) in changes {
            let mut all = Vec::new();
            places(&value, "", &mut all);
            *value.pointer_mut(&all[index.index(all.len())]).unwrap() = hostile;
        }
        if let Err(why) = tried(value.to_string().as_bytes()) {
            prop_assert!(why.contains("hostile.json"), "{why}");
        }
    }

    #[test]
    fn any_part_may_be_cut_off_doubled_or_written_over(
        seed in 0..40_u64, from in any::<prop::sample::Index>(), length in 0..80_usize,
        what in 0..3_u8, byte in any::<u8>(),
    ) {
        let mut text = rich(seed).to_string().into_bytes();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        match what {
            0 => text.truncate(from),
            1 => {
                let part = text[from..to].to_vec();
                text.splice(to..to, part);
            }
            _ => text[from] = byte,
        }
        if let Err(why) = tried(&text) {
            prop_assert!(why.contains("hostile.json"), "{why}");
        }
    }
}

/// What is said of a file that differs from a good one in a part of its text.
fn said(part: &str, other: &str) -> String {
    let text = rich(1).to_string();
    assert!(text.contains(part), "{part} is not in {text}");
    tried(text.replacen(part, other, 1).as_bytes()).expect_err("it is refused")
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_column() {
    for (part, other, wanted) in [
        ("\"seed\":7", "\"seed\":7,\"seed\":8", "duplicate field `seed` at line 1 column"),
        ("\"seed\":7", "\"seed\":NaN", "expected value at line 1 column"),
        ("\"seed\":7", "\"seed\":-7", "invalid value: integer `-7`, expected u64 at line 1 column"),
        ("\"seed\":7", "\"seed\":1e999", "number out of range at line 1 column"),
        ("\"seed\":7", "\"seed\":[7]", "invalid type: sequence, expected u64 at line 1 column"),
        ("\"format\":1", "\"format\":2", "has format 2, and this build reads format 1"),
        ("\"id\":90", "\"id\":4294967296", "expected u32 at line 1 column"),
    ] {
        let said = said(part, other);
        assert!(said.contains(wanted), "{said}");
    }
    let deep = format!("\"plan\":{}", "[".repeat(100_000));
    let said = said("\"plan\":", &deep);
    assert!(said.contains("at line 1 column"), "{said}");
}

#[test]
fn what_would_go_on_for_ever_is_ended_by_the_bounds_of_the_scenario() {
    let mut plan = scenario().plan(1);
    let node = || "node-1".to_owned();
    plan.heal_at_ns = squall::plan::TIME_MAX_NS;
    plan.episodes = vec![
        Kind::CrashLoop { node: node(), power_loss: true, times: u32::MAX },
        Kind::WallStrobe { node: node(), by_ns: i64::from(i32::MAX), every_ns: 0 },
        Kind::SlowDisk { node: node(), factor: u32::MAX },
    ]
    .into_iter()
    .zip(0..)
    .map(|(kind, id)| Episode { id, kind, from: When::AtNs(0), for_ns: None })
    .collect();
    let text = serde_json::to_vec(&file(&plan)).unwrap();
    assert_eq!(tried(&text), Ok(Some(Class::Runaway)));
}

#[test]
fn a_hundred_thousand_overrides_of_one_lane_cost_no_more_than_they_must() {
    let mut plan = scenario().plan(1);
    plan.heal_at_ns = squall::plan::TIME_MAX_NS;
    plan.overrides = (0..100_000)
        .map(|payload| Override::Message {
            from: "node-1".to_owned(),
            to: "node-2".to_owned(),
            port: squall_env::Port::named("probe").number(),
            message_kind: 0,
            payload: Some(payload),
            nth: 0,
            count: None,
            at_ns: None,
            fate: Fate::Lost,
        })
        .collect();
    let text = serde_json::to_vec(&file(&plan)).unwrap();
    assert_eq!(tried(&text), Ok(Some(Class::Runaway)));
    plan.overrides.extend(vec![plan.overrides[0].clone(); 900_001]);
    let why = tried(&serde_json::to_vec(&file(&plan)).unwrap()).unwrap_err();
    assert!(why.contains("it has 1000001 overrides; at most 1000000 is right"), "{why}");
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.json");
    // It takes no room on the disk.
    std::fs::File::create(&path).unwrap().set_len(squall::repro::BYTES_MAX + 1).unwrap();
    let why = Repro::read(&path).expect_err("it is too large").to_string();
    assert!(why.contains("large.json has more than 67108864 bytes"), "{why}");
}
