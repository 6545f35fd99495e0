//! What participants remember.

use super::super::*;
use std::collections::BTreeMap;

fn call(step: &str, is_undo: bool, token: u64) -> Call {
    Call {
        saga: SagaId(1),
        step: step.to_owned(),
        is_undo,
        kind: Kind::Compensatable,
        token,
        input: Vec::new(),
        outputs: BTreeMap::new(),
    }
}

/// Serves a call as a participant with room for it does, and says whether anything changed.
fn serve(effects: &mut Effects, call: &Call) -> (Answer, bool) {
    let served = effects.judge(call, || Ok(((), b"shelf 4".to_vec())), |_| Ok(()));
    served.mark.iter().for_each(|mark| effects.apply(mark));
    (served.answer, served.change.is_some())
}

#[test]
fn a_step_is_done_once_and_undone_once() {
    let mut effects = Effects::default();
    let done = Answer::Done(b"shelf 4".to_vec());
    let undone = Answer::Done(Vec::new());
    assert_eq!(serve(&mut effects, &call("reserve", false, 1)), (done.clone(), true));
    assert_eq!(serve(&mut effects, &call("reserve", false, 1)), (done, false));
    assert_eq!(serve(&mut effects, &call("reserve", true, 1)), (undone.clone(), true));
    assert_eq!(serve(&mut effects, &call("reserve", true, 1)), (undone, false));
    assert_eq!(effects.effect(SagaId(1), "reserve"), Some(&Effect::Undone));
}

#[test]
fn an_undo_before_its_step_leaves_a_tombstone() {
    let mut effects = Effects::default();
    assert_eq!(serve(&mut effects, &call("reserve", true, 1)), (Answer::Done(Vec::new()), false));
    let late = serve(&mut effects, &call("reserve", false, 1));
    assert_eq!(late, (Answer::Refused("it was undone before".to_owned()), false));
    // It is a tombstone for that step of that saga alone.
    assert!(serve(&mut effects, &call("credit", false, 1)).1);
    let other = Call { saga: SagaId(2), ..call("reserve", false, 1) };
    assert!(serve(&mut effects, &other).1);
}

#[test]
fn an_owner_that_was_overtaken_is_refused_even_what_was_done() {
    let mut effects = Effects::default();
    assert!(serve(&mut effects, &call("reserve", false, 4)).1);
    // The answer is known, and whoever asks owns the saga from now on.
    assert!(!serve(&mut effects, &call("reserve", false, 6)).1);
    assert_eq!(effects.token(SagaId(1)), 6);
    for is_undo in [false, true] {
        let stale = serve(&mut effects, &call("reserve", is_undo, 5));
        assert_eq!(stale, (Answer::Overtaken, false));
    }
    let other = Call { saga: SagaId(2), ..call("reserve", false, 1) };
    assert!(serve(&mut effects, &other).1, "tokens are those of one saga");
}

#[test]
fn only_what_can_be_turned_back_from_is_refused_for_good() {
    let mut effects = Effects::default();
    let full = |effects: &mut Effects, call: &Call| {
        let refuse = || Err("no room".to_owned());
        let served: Served<()> = effects.judge(call, refuse, |_| Ok(()));
        served.mark.iter().for_each(|mark| effects.apply(mark));
        served.answer
    };
    let refused = Answer::Refused("no room".to_owned());
    let ship = Call { kind: Kind::Retriable, ..call("ship", false, 1) };
    assert_eq!(full(&mut effects, &ship), refused);
    assert!(serve(&mut effects, &ship).1, "there is room now");
    let pivot = Call { kind: Kind::Pivot, ..call("charge", false, 1) };
    assert_eq!(full(&mut effects, &pivot), refused);
    assert_eq!(serve(&mut effects, &pivot), (refused.clone(), false));
    // To undo what was refused is nothing to do.
    assert_eq!(full(&mut effects, &call("reserve", false, 1)), refused);
    assert_eq!(serve(&mut effects, &call("reserve", true, 1)), (Answer::Done(Vec::new()), false));
}

#[test]
fn an_undo_that_is_refused_leaves_what_was_done() {
    let mut effects = Effects::default();
    serve(&mut effects, &call("reserve", false, 1));
    let undo = call("reserve", true, 1);
    let act = || Ok(((), Vec::new()));
    let served = effects.judge(&undo, act, |_| Err("it is locked".to_owned()));
    assert_eq!(served.answer, Answer::Refused("it is locked".to_owned()));
    assert_eq!((served.mark, served.change), (None, None));
    assert!(serve(&mut effects, &undo).1, "it can be undone later");
}
