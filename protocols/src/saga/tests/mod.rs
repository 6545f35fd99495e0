//! The pure core, without a clock, a network or a disk.

mod core;
mod crashes;
mod effects;
mod world;

use super::*;
use std::time::Duration;

fn patience() -> Patience {
    Patience { attempts_max: 2, undo_attempts_max: 2, ..Patience::default() }
}

/// An order: two steps beside each other, one that decides, two behind it.
fn order() -> Definition {
    Definition::of("order", 1)
        .compensatable("create", &[])
        .compensatable("reserve", &["create"])
        .compensatable("credit", &["create"])
        .pivot("charge")
        .retriable("ship", &[])
        .retriable("notify", &["ship"])
        .patience(patience())
        .build()
        .expect("the steps make sense")
}

#[test]
fn steps_that_make_no_definition_are_refused() {
    use DefinitionError::*;
    let of = || Definition::of("order", 1);
    let refused = |builder: Builder| builder.build().expect_err("it makes no sense");
    let name = |name: &str| name.to_owned();
    assert_eq!(refused(of()), NoSteps);
    assert_eq!(refused(of().compensatable("", &[])), Unnamed);
    assert_eq!(refused(Definition::of("", 1).pivot("a")), Unnamed);
    assert_eq!(refused(of().pivot("a").retriable("a", &[])), Twice(name("a")));
    assert_eq!(refused(of().pivot("a").pivot("b")), TwoPivots(name("a"), name("b")));
    let unknown = Unknown { step: name("a"), after: name("b") };
    assert_eq!(refused(of().compensatable("a", &["b"])), unknown);
    let later = LaterPhase { step: name("a"), after: name("b") };
    assert_eq!(refused(of().retriable("b", &[]).compensatable("a", &["b"])), later);
    assert_eq!(refused(of().compensatable("a", &["a"])), Cycle(vec![name("a")]));
    let ring = of()
        .compensatable("free", &[])
        .compensatable("a", &["c"])
        .compensatable("b", &["a"])
        .compensatable("c", &["b", "free"]);
    assert_eq!(refused(ring), Cycle(vec![name("a"), name("b"), name("c")]));
    let many = (0..=STEPS_MAX).fold(of(), |of, n| of.compensatable(&n.to_string(), &[]));
    assert_eq!(refused(many), TooManySteps);
}

#[test]
fn a_saga_keeps_the_definition_that_it_began_with() {
    let second = Definition::of("order", 2).compensatable("create", &[]).build().unwrap();
    let all = Definitions::new([order(), second.clone()]);
    assert_eq!(all.current("order"), Ok(&second));
    assert_eq!(all.current("other"), Err(NotDefined::Name("other".to_owned())));
    let begun = order();
    assert_eq!(all.pinned("order", 1, begun.fingerprint()), Ok(&begun));
    let name = "order".to_owned();
    let absent = NotDefined::Version { name: name.clone(), version: 3 };
    assert_eq!(all.pinned("order", 3, 0), Err(absent.clone()));
    // A new version waits until every node knows it.
    assert_eq!(all.clone().beginning_with("order", 3).unwrap_err(), absent);
    let waits = all.beginning_with("order", 1).unwrap();
    assert_eq!(waits.current("order"), Ok(&begun));
    assert_eq!(waits.pinned("order", 2, second.fingerprint()), Ok(&second));
    // Somebody has changed the steps and left the version as it was.
    let changed = Definition::of("order", 1).compensatable("create", &[]).build().unwrap();
    let changed = Definitions::new([changed]);
    let differs = Err(NotDefined::Changed { name, version: 1 });
    assert_eq!(changed.pinned("order", 1, begun.fingerprint()), differs);
}

#[test]
fn a_step_may_have_a_time_of_its_own_and_is_the_same_step() {
    let two = || Definition::of("order", 1).compensatable("reserve", &[]);
    let plain = two().pivot("charge").build().unwrap();
    let timed = two().within(Duration::from_secs(30)).pivot("charge").build().unwrap();
    let times = |of: &Definition| [0, 1].map(|step| of.call_max(Step(step)).as_secs());
    assert_eq!((times(&plain), times(&timed)), ([5, 5], [30, 5]));
    assert_eq!(plain.fingerprint(), timed.fingerprint());
}

#[test]
fn pauses_double_up_to_the_longest() {
    let patience = Patience::default();
    let pauses = [1, 2, 3, 4, 9, 11, u32::MAX].map(|n| patience.pause_before(n).as_millis());
    assert_eq!(pauses, [0, 100, 200, 400, 12_800, 30_000, 30_000]);
}
