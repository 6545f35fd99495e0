//! Small sagas whose owner crashes between any two things that it does, and so does the one that
//! takes over.

use super::super::*;
use super::world::{Deed, Stopped, Trouble, World};
use super::{order, patience};

const NAMES: [&str; 6] = ["create", "reserve", "credit", "charge", "ship", "notify"];

/// Everything that can be wrong with one participant, and nothing.
fn troubles() -> Vec<Option<(&'static str, Trouble)>> {
    let kinds = [
        Trouble::Refuses,
        Trouble::LosesAnswers(1),
        Trouble::LosesAnswers(100),
        Trouble::LosesCalls(1),
        Trouble::LosesCalls(100),
    ];
    let each = kinds.into_iter().flat_map(|kind| NAMES.map(|name| Some((name, kind))));
    each.chain([None]).collect()
}

fn position(world: &World, step: &str, is_undo: bool) -> Option<usize> {
    world.deeds.iter().position(|deed| *deed == (step.to_owned(), is_undo))
}

/// What must hold of a saga that is over: what was done was done once, what was undone was done
/// before, and the effects are those that the ending says.
fn agrees(world: &World, definition: &Definition, ending: &Ending) {
    let state = world.state();
    for step in definition.steps() {
        let name = definition.name_of(step);
        let count = |is_undo| {
            let same = |deed: &&Deed| deed.0 == name && deed.1 == is_undo;
            world.deeds.iter().filter(same).count()
        };
        let (done, undone) = (count(false), count(true));
        match ending {
            Ending::Done { .. } => assert_eq!((done, undone), (1, 0), "{name} {:?}", world.deeds),
            Ending::Undone { .. } => assert!(done < 2 && done == undone, "{:?}", world.deeds),
        }
        let (began, ended) = (position(world, name, false), position(world, name, true));
        assert!(ended.is_none_or(|ended| Some(ended) > began));
        for before in definition.before(step).map(|before| definition.name_of(before)) {
            let (done, undone) = (position(world, before, false), position(world, before, true));
            assert!(began.is_none() || done.is_some() && done < began, "{:?}", world.deeds);
            assert!(ended.is_none() || undone > ended, "{:?}", world.deeds);
        }
    }
    // What completed was undone in reverse, as far as the log can tell.
    let entries: Vec<Entry> = world.log.iter().map(|e| Entry::decode(e).unwrap()).collect();
    let undone = entries.iter().filter_map(|entry| match entry.event {
        Event::Undone { step } => Some(step),
        _ => None,
    });
    let completed = |step: &Step| state.completed().iter().any(|(done, _)| done == step);
    let undone: Vec<Step> = undone.filter(completed).collect();
    if let Ending::Undone { .. } = ending {
        let reverse: Vec<Step> = state.completed().iter().rev().map(|(step, _)| *step).collect();
        assert_eq!(undone, reverse);
    }
}

/// The owner's third successor has good participants; if it gets stuck, it is told to try again.
fn finish(world: &mut World, definition: &Definition) -> Ending {
    for token in 3.. {
        match world.work(definition, token, usize::MAX) {
            Stopped::Over(ending) => return ending,
            Stopped::Stuck(halt) => {
                assert_eq!(world.state().halt(), Some(&halt));
                world.trouble.clear();
                assert_eq!(world.state().allows(&Command::Retry, definition), Ok(()));
                world.record(0, Event::Commanded(Command::Retry));
            }
            Stopped::Crashed => unreachable!("it has no reason to"),
        }
    }
    unreachable!()
}

/// Every call ever made arrives once more, in both orders: nothing changes.
fn copies_change_nothing(world: &mut World) {
    let (deeds, calls) = (world.deeds.clone(), world.calls.clone());
    for call in calls.iter().chain(calls.iter().rev()) {
        world.carry_out(call, None);
    }
    assert_eq!(world.deeds, deeds);
}

/// Goes through all crashes of the first owner and of its successor; says how many there were.
fn crash_everywhere(start: &World, definition: &Definition) -> usize {
    let mut runs = 0;
    for first in 0.. {
        let mut world = start.clone();
        let first_ended = world.work(definition, 1, first) != Stopped::Crashed;
        for second in 0.. {
            let mut world = world.clone();
            let second_ended = world.work(definition, 2, second) != Stopped::Crashed;
            let ending = finish(&mut world, definition);
            agrees(&world, definition, &ending);
            copies_change_nothing(&mut world);
            runs += 1;
            if second_ended {
                break;
            }
        }
        if first_ended {
            return runs;
        }
    }
    unreachable!()
}

#[test]
fn a_saga_is_all_done_or_all_undone_wherever_its_owner_crashes() {
    let definition = order();
    let mut runs = 0;
    for trouble in troubles() {
        for last_first in [false, true] {
            let mut world = World { last_first, ..World::started(&definition) };
            world.trouble.extend(trouble.map(|(name, trouble)| (name.to_owned(), trouble)));
            runs += crash_everywhere(&world, &definition);
        }
    }
    assert!(runs > 10_000, "only {runs} runs");
}

#[test]
fn a_saga_that_cannot_be_undone_at_first_is_undone_wherever_its_owner_crashes() {
    let definition = order();
    for name in ["create", "reserve", "credit"] {
        for times in [1, 2, 5] {
            let mut world = World::started(&definition);
            world.trouble.insert("charge".to_owned(), Trouble::Refuses);
            world.trouble.insert(name.to_owned(), Trouble::RefusesUndo(times));
            crash_everywhere(&world, &definition);
        }
    }
}

#[test]
fn a_saga_needs_no_pivot_and_nothing_but_one() {
    let of = || Definition::of("mix", 1).patience(patience());
    let mixes = [
        of().compensatable("create", &[]).compensatable("reserve", &["create"]),
        of().compensatable("create", &[]).retriable("ship", &[]).retriable("notify", &["ship"]),
        of().retriable("ship", &[]).retriable("notify", &[]),
        of().pivot("charge"),
    ];
    for mix in mixes {
        let definition = mix.build().unwrap();
        let (mut done, mut undone) = (0, 0);
        for trouble in troubles() {
            let mut world = World::started(&definition);
            world.trouble.extend(trouble.map(|(name, trouble)| (name.to_owned(), trouble)));
            crash_everywhere(&world, &definition);
            match finish(&mut world, &definition) {
                Ending::Done { .. } => done += 1,
                Ending::Undone { .. } => undone += 1,
            }
        }
        let turns_back = definition.steps().any(|s| definition.kind_of(s) != Kind::Retriable);
        assert!(done > 0 && (undone > 0) == turns_back, "{done} done, {undone} undone");
    }
}

#[test]
fn two_troubles_at_once_are_no_more_than_one() {
    let definition = Definition::of("pair", 1)
        .compensatable("reserve", &[])
        .compensatable("credit", &[])
        .pivot("charge")
        .patience(patience())
        .build()
        .unwrap();
    let kinds = [Trouble::Refuses, Trouble::LosesAnswers(100), Trouble::LosesCalls(100)];
    for one in kinds {
        for other in kinds {
            for last_first in [false, true] {
                let mut world = World { last_first, ..World::started(&definition) };
                world.trouble.insert("reserve".to_owned(), one);
                world.trouble.insert("credit".to_owned(), other);
                crash_everywhere(&world, &definition);
            }
        }
    }
}

#[test]
fn every_action_and_every_undo_may_happen_twice() {
    let definition = order();
    for trouble in troubles() {
        let mut world = World { twice: true, ..World::started(&definition) };
        world.trouble.extend(trouble.map(|(name, trouble)| (name.to_owned(), trouble)));
        let ending = finish(&mut world, &definition);
        agrees(&world, &definition, &ending);
        copies_change_nothing(&mut world);
    }
}

#[test]
fn what_is_late_is_refused_once_it_was_undone() {
    let definition = order();
    let mut world = World::started(&definition);
    // The calls are on their way for so long that the saga gives up.
    world.trouble.insert("reserve".to_owned(), Trouble::LosesCalls(100));
    let Stopped::Over(Ending::Undone { why, left }) = world.work(&definition, 1, usize::MAX) else {
        panic!("it turns back");
    };
    assert_eq!((why, left), (Why::Unknown { step: Step(1) }, Vec::new()));
    let late = world.calls.iter().find(|call| call.step == "reserve").unwrap().clone();
    assert_eq!(world.carry_out(&late, None), Answer::Refused("it was undone before".to_owned()));
    assert_eq!(position(&world, "reserve", false), None);
}

#[test]
fn what_was_refused_stays_refused_when_its_copy_comes_late() {
    let definition = order();
    let mut world = World::started(&definition);
    world.trouble.insert("reserve".to_owned(), Trouble::Refuses);
    let Stopped::Over(Ending::Undone { .. }) = world.work(&definition, 1, usize::MAX) else {
        panic!("it turns back");
    };
    let late = world.calls.iter().find(|call| call.step == "reserve").unwrap().clone();
    // There would be room now.
    assert_eq!(world.carry_out(&late, None), Answer::Refused("no room".to_owned()));
    assert_eq!(position(&world, "reserve", false), None);
}
