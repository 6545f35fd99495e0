//! What follows from what a saga's log says.

use super::super::*;
use super::world::{Deed, Stopped, Trouble, World};
use super::{order, patience};

fn entry(token: u64, event: Event) -> Entry {
    Entry { token, event }
}

fn intended(step: u16) -> Event {
    Event::Intended { step: Step(step), attempt: 1 }
}

fn done(step: u16) -> Event {
    Event::Done { step: Step(step), output: vec![step as u8] }
}

/// A saga of [`order`] that one owner holds, with these events behind that.
fn saga(events: &[Event]) -> State {
    let mut world = World::started(&order());
    world.record(1, Event::Claimed);
    events.iter().for_each(|event| world.record(1, event.clone()));
    world.state()
}

fn asks(state: &State) -> Vec<(Step, bool, u32)> {
    match state.next(&order()) {
        Next::Ask(asks) => asks.iter().map(|a| (a.step, a.is_undo, a.attempt)).collect(),
        other => panic!("it asks nobody: {other:?}"),
    }
}

#[test]
fn steps_that_nothing_orders_go_on_beside_each_other() {
    assert_eq!(asks(&saga(&[])), [(Step(0), false, 1)]);
    assert_eq!(asks(&saga(&[intended(0)])), []);
    let beside = saga(&[intended(0), done(0)]);
    assert_eq!(asks(&beside), [(Step(1), false, 1), (Step(2), false, 1)]);
    let half = [intended(0), done(0), intended(1), intended(2), done(2)];
    assert_eq!(asks(&saga(&half)), [], "the pivot waits for both");
    let both = [&half[..], &[done(1)]].concat();
    assert_eq!(asks(&saga(&both)), [(Step(3), false, 1)]);
}

#[test]
fn what_an_owner_left_open_is_unknown_to_the_next() {
    let mut state = saga(&[intended(0)]);
    state.apply(&entry(2, Event::Claimed)).unwrap();
    assert_eq!(state.progress(Step(0)), Some(&Progress::Unknown { attempts: 1 }));
    assert_eq!(asks(&state), [(Step(0), false, 2)]);
}

#[test]
fn an_owner_that_was_overtaken_can_write_nothing_more() {
    let mut state = saga(&[intended(0)]);
    state.apply(&entry(2, Event::Claimed)).unwrap();
    for (token, event) in [(1, done(0)), (1, Event::Claimed), (2, Event::Claimed)] {
        let nonsense = Unreadable::Nonsense { at: 4, event: event.clone() };
        assert_eq!(state.clone().apply(&entry(token, event)), Err(nonsense));
    }
}

#[test]
fn what_completed_is_undone_in_reverse_and_what_is_unknown_before_it() {
    // Credit was done before the reservation, which was asked for first.
    let events = [intended(0), done(0), intended(1), intended(2), done(2), done(1), intended(3)];
    let refused = Event::Refused { step: Step(3), reason: "no money".to_owned() };
    let mut state = saga(&[&events[..], &[refused]].concat());
    let mut order_of_undo = Vec::new();
    loop {
        match state.next(&order()) {
            Next::Record(event) => state.apply(&entry(1, event)).unwrap(),
            Next::Ask(asks) => {
                let [ask] = asks[..] else { panic!("one after the other: {asks:?}") };
                assert!(ask.is_undo);
                order_of_undo.push(ask.step.0);
                state.apply(&entry(1, ask.intent())).unwrap();
                state.apply(&entry(1, Event::Undone { step: ask.step })).unwrap();
            }
            Next::Over(ending) => {
                let why = Why::Refused { step: Step(3), reason: "no money".to_owned() };
                assert_eq!(ending, Ending::Undone { why, left: Vec::new() });
                break;
            }
            Next::Stuck(halt) => panic!("{halt:?}"),
        }
    }
    // The pivot was refused, so there is nothing to undo.
    assert_eq!(order_of_undo, [1, 2, 0]);
}

/// What is said of a saga after each entry of its log, as often as that changes.
fn statuses(log: &[Vec<u8>], definition: &Definition) -> Vec<String> {
    let said = |most| {
        let state = State::read(&log[..most]).expect("the log makes sense");
        Report::of(&state, definition).status.to_string()
    };
    let mut all: Vec<String> = (1..=log.len()).map(said).collect();
    all.dedup();
    all
}

#[test]
fn four_steps_behind_which_one_fails_are_undone_from_the_last_to_the_first() {
    let definition = Definition::of("delivery", 1)
        .compensatable("create", &[])
        .compensatable("reserve", &["create"])
        .compensatable("charge", &["reserve"])
        .compensatable("ship", &["charge"])
        .compensatable("confirm", &["ship"])
        .patience(patience())
        .build()
        .expect("the steps make sense");
    let mut world = World::started(&definition);
    world.trouble.insert("confirm".to_owned(), Trouble::Refuses);
    let why = Why::Refused { step: Step(4), reason: "no room".to_owned() };
    let undone = Ending::Undone { why, left: Vec::new() };
    assert_eq!(world.work(&definition, 1, usize::MAX), Stopped::Over(undone));

    let forward = ["create", "reserve", "charge", "ship"].map(|step| (step.to_owned(), false));
    let back = ["ship", "charge", "reserve", "create"].map(|step| (step.to_owned(), true));
    assert_eq!(world.deeds, [forward, back.clone()].concat());
    let asked = world.calls.iter().filter(|call| call.is_undo);
    let asked: Vec<Deed> = asked.map(|call| (call.step.clone(), true)).collect();
    assert_eq!(asked, back, "each undo is asked for once");

    let expected = ["PENDING", "RUNNING", "COMPENSATING", "FAILED"];
    assert_eq!(statuses(&world.log, &definition), expected);
    let report = Report::of(&world.state(), &definition);
    let cause = Cause::Refused { step: "confirm".to_owned(), reason: "no room".to_owned() };
    assert_eq!(report.status, Status::Failed { cause, left: Vec::new() });
    let steps: Vec<StepStatus> = report.steps.iter().map(|step| step.status).collect();
    let compensated = [StepStatus::Compensated; 4];
    assert_eq!(steps, [&compensated[..], &[StepStatus::Failed]].concat());
}

#[test]
fn a_saga_that_turns_back_before_its_first_step_ends() {
    let mut state = saga(&[]);
    assert_eq!(state.allows(&Command::Cancel, &order()), Ok(()));
    state.apply(&entry(0, Event::Commanded(Command::Cancel))).unwrap();
    for _ in 0..2 {
        let Next::Record(event) = state.next(&order()) else { panic!("it goes back") };
        state.apply(&entry(1, event)).unwrap();
    }
    let ending = Ending::Undone { why: Why::Cancelled, left: Vec::new() };
    assert_eq!(state.next(&order()), Next::Over(ending));
    let refused = Event::Refused { step: Step(0), reason: "closed".to_owned() };
    let mut state = saga(&[intended(0), refused]);
    for _ in 0..2 {
        let Next::Record(event) = state.next(&order()) else { panic!("it goes back") };
        state.apply(&entry(1, event)).unwrap();
    }
    assert!(matches!(state.ending(), Some(Ending::Undone { why: Why::Refused { .. }, .. })));
}

#[test]
fn nobody_cancels_what_may_have_been_decided() {
    let before = [intended(0), done(0), intended(1), intended(2), done(2), done(1)];
    assert_eq!(saga(&before).allows(&Command::Cancel, &order()), Ok(()));
    let pivot = saga(&[&before[..], &[intended(3)]].concat());
    assert_eq!(pivot.allows(&Command::Cancel, &order()), Err(NotAllowed::TooLate));
}

/// Works until it stands still.
fn stuck(world: &mut World, token: u64) -> Halt {
    match world.work(&order(), token, usize::MAX) {
        Stopped::Stuck(halt) => halt,
        other => panic!("it is not stuck: {other:?}"),
    }
}

fn command(world: &mut World, command: Command) {
    assert_eq!(world.state().allows(&command, &order()), Ok(()));
    world.record(0, Event::Commanded(command));
}

fn ending(world: &mut World, token: u64) -> Ending {
    match world.work(&order(), token, usize::MAX) {
        Stopped::Over(ending) => ending,
        other => panic!("it is not over: {other:?}"),
    }
}

#[test]
fn an_undo_that_stays_refused_is_visible_and_an_operator_decides() {
    let mut start = World::started(&order());
    start.trouble.insert("charge".to_owned(), Trouble::Refuses);
    start.trouble.insert("reserve".to_owned(), Trouble::RefusesUndo(4));
    let halt = stuck(&mut start, 1);
    let expected = Halt { step: Step(1), is_undo: true, reason: "not today".to_owned() };
    assert_eq!(halt, expected);
    assert_eq!(start.state().allows(&Command::Cancel, &order()), Err(NotAllowed::TooLate));
    let ended = |left| {
        let why = Why::Refused { step: Step(3), reason: "no room".to_owned() };
        Ending::Undone { why, left }
    };

    let mut retried = start.clone();
    command(&mut retried, Command::Retry);
    // It is refused twice more, and then there is room.
    assert_eq!(stuck(&mut retried, 2), expected);
    command(&mut retried, Command::Retry);
    assert_eq!(ending(&mut retried, 3), ended(vec![]));
    assert_eq!(retried.deeds.iter().filter(|(_, is_undo)| *is_undo).count(), 3);

    let mut skipped = start.clone();
    command(&mut skipped, Command::Skip);
    assert_eq!(ending(&mut skipped, 2), ended(vec![Step(1)]), "what is left is said");
    assert_eq!(skipped.deeds.iter().filter(|(_, is_undo)| *is_undo).count(), 2);

    let mut forced = start.clone();
    command(&mut forced, Command::Force(Vec::new()));
    assert_eq!(ending(&mut forced, 2), ended(vec![]));
    assert_eq!(forced.state().allows(&Command::Retry, &order()), Err(NotAllowed::Over));
}

#[test]
fn a_pivot_of_which_nobody_knows_is_found_out_about_and_never_skipped() {
    let mut world = World::started(&order());
    world.trouble.insert("charge".to_owned(), Trouble::LosesAnswers(2));
    let halt = stuck(&mut world, 1);
    assert_eq!((halt.step, halt.is_undo), (Step(3), false));
    assert_eq!(world.state().allows(&Command::Skip, &order()), Err(NotAllowed::Pivot));
    command(&mut world, Command::Retry);
    assert_eq!(ending(&mut world, 2), Ending::Done { left: vec![] });
    assert_eq!(world.deeds.iter().filter(|(step, _)| step == "charge").count(), 1);
}

#[test]
fn behind_the_point_of_no_return_a_saga_gets_stuck_and_does_not_turn_back() {
    let mut start = World::started(&order());
    start.trouble.insert("ship".to_owned(), Trouble::Refuses);
    let halt = stuck(&mut start, 1);
    assert_eq!(halt, Halt { step: Step(4), is_undo: false, reason: "no room".to_owned() });
    assert_eq!(start.state().why_back(), None);

    let mut skipped = start.clone();
    command(&mut skipped, Command::Skip);
    assert_eq!(ending(&mut skipped, 2), Ending::Done { left: vec![Step(4)] });

    let mut forced = start.clone();
    command(&mut forced, Command::Force(b"by hand".to_vec()));
    assert_eq!(ending(&mut forced, 2), Ending::Done { left: vec![] });
    let shipped =
        forced.state().completed().iter().any(|done| *done == (Step(4), b"by hand".into()));
    assert!(shipped, "what was done by hand is what came of it");

    let mut retried = start;
    retried.trouble.clear();
    command(&mut retried, Command::Retry);
    assert_eq!(ending(&mut retried, 2), Ending::Done { left: vec![] });
}

#[test]
fn a_log_that_makes_no_sense_is_an_error_and_no_panic() {
    assert_eq!(State::read(&[]), Err(Unreadable::Empty));
    let mut world = World::started(&order());
    world.record(1, done(0));
    assert!(matches!(State::read(&world.log), Err(Unreadable::Nonsense { at: 1, .. })));
    let claimed = entry(1, Event::Claimed);
    assert!(matches!(State::fold([&claimed]), Err(Unreadable::Nonsense { at: 0, .. })));
    let good = World::started(&order()).log;
    let undecodable = |bytes: Vec<u8>| match State::read(&[good[0].clone(), bytes]) {
        Err(Unreadable::Undecodable { at: 1, why }) => why,
        other => panic!("it is read: {other:?}"),
    };
    assert_eq!(undecodable(vec![]), DecodeError::Bytes);
    assert_eq!(undecodable(vec![9, 1, 2]), DecodeError::Format(9));
    let mut long = claimed.encode();
    assert_eq!(Entry::decode(&long), Ok(claimed));
    long.push(0);
    assert_eq!(undecodable(long), DecodeError::Bytes);
    for cut in 0..good[0].len() {
        assert!(Entry::decode(&good[0][..cut]).is_err());
    }
}
