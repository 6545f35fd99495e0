//! Everything that may happen to a machine, each shown by what it brings about, and by that not
//! coming about without it.

use serde::{Deserialize, Serialize};
use squall::explore::system::{Caller, Faults, Out, State, System};
use squall::explore::{Explored, Limits, breadth_first};
use squall_env::machine::RequestId;
use squall_env::{Address, Machine, NodeId, Port, Turn};
use std::time::Duration;

const NAME: &str = "adder";

/// Adds up what it is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Adder {
    total: u8,
    /// How often its timer ran out; not durable.
    ticks: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Message {
    Add,
    /// As `Add`, but answered at once.
    AddEarly,
    Break,
    Added,
}

impl Machine for Adder {
    type Config = ();
    type Timer = u8;
    type Message = Message;
    type Request = u64;
    type Reply = u64;
    type Record = u8;
    type Snapshot = u8;

    fn restore((): &(), snapshot: Option<u8>) -> Adder {
        Adder { total: snapshot.unwrap_or(0), ticks: 0 }
    }

    fn apply(&mut self, record: &u8) {
        self.total += record;
    }

    fn snapshot(&self) -> u8 {
        self.total
    }

    fn on_start(&mut self, turn: &mut Turn<Adder>) {
        turn.arm(7, Duration::from_secs(1));
    }

    fn on_message(&mut self, from: Address, message: Message, turn: &mut Turn<Adder>) {
        match message {
            Message::Add => {
                turn.persist(self, 1);
                turn.send(from, Message::Added);
            }
            Message::AddEarly => {
                turn.persist(self, 1);
                turn.send_early(from, Message::Added);
            }
            Message::Break => panic!("it is broken"),
            Message::Added => turn.reject(from, "an answer reached an adder"),
        }
    }

    fn on_request(&mut self, id: RequestId, count: u64, turn: &mut Turn<Adder>) {
        let drawn = turn.choose(count);
        turn.reply(id, drawn);
    }

    fn on_timer(&mut self, timer: u8, turn: &mut Turn<Adder>) {
        self.ticks += 1;
        turn.arm(timer, Duration::from_secs(1));
    }
}

/// Sends one message, or asks for one number.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct User {
    sends: Option<u8>,
    begun: bool,
    answered: bool,
    crashes: u8,
    drawn: Option<u64>,
}

const MESSAGES: [Message; 4] = [Message::Add, Message::AddEarly, Message::Break, Message::Added];

impl User {
    fn sending(message: Message) -> User {
        let place = MESSAGES.iter().position(|one| *one == message);
        User { sends: place.map(|place| place as u8), ..User::default() }
    }
}

impl Caller<Adder> for User {
    type Event = ();

    fn moves(&self) -> u32 {
        u32::from(!self.begun)
    }

    fn say(&self, _: u32) -> String {
        "begins".to_owned()
    }

    fn act(&mut self, _: u32, out: &mut Out<Adder, ()>) {
        self.begun = true;
        let node = NodeId::new(0, 1);
        match self.sends {
            Some(place) => {
                let to = Address::new(node, Port::named(NAME));
                out.send(to, MESSAGES[usize::from(place)]);
            }
            None => out.ask(node, 5, 3),
        }
        out.record(());
    }

    fn on_message(&mut self, _: Address, message: Message, _: &mut Out<Adder, ()>) {
        self.answered |= message == Message::Added;
    }

    fn on_reply(&mut self, number: u32, reply: u64, _: &mut Out<Adder, ()>) {
        assert_eq!(number, 5);
        self.drawn = Some(reply);
    }

    fn on_crash(&mut self, _: NodeId, _: &mut Out<Adder, ()>) {
        self.crashes += 1;
    }
}

type Is = fn(&State<Adder, User>) -> bool;

/// Explores one adder and one user, and says whether such a state is reached.
fn reaches(user: User, faults: Faults, is_so: Is) -> bool {
    let system = System::new("node", NAME, vec![()]).callers([user]).faults(faults);
    let explored = breadth_first(&system.sometimes("it", is_so), &Limits::default());
    assert_eq!(explored.broken, None);
    explored.unreached.is_empty()
}

fn total(state: &State<Adder, User>) -> u8 {
    state.machines().map(|adder| adder.total).sum()
}

const NONE: Faults = Faults { crashes: 0, losses: 0, copies: 0, timers: 0 };

#[test]
fn an_answer_leaves_only_when_the_record_is_durable() {
    let early: Is = |state| state.callers()[0].answered && state.durable(0).is_none();
    assert!(!reaches(User::sending(Message::Add), NONE, early));
    assert!(reaches(User::sending(Message::AddEarly), NONE, early));
    let late: Is = |state| state.callers()[0].answered && state.durable(0) == Some(1);
    assert!(reaches(User::sending(Message::Add), NONE, late));
}

#[test]
fn a_crash_keeps_any_beginning_of_what_was_not_synced() {
    let lost: Is = |state| {
        let user = &state.callers()[0];
        user.crashes == 1 && user.begun && state.under_way() == 0 && total(state) == 0
    };
    let kept: Is = |state| {
        let user = &state.callers()[0];
        user.crashes == 1 && state.under_way() == 0 && total(state) == 1 && !user.answered
    };
    let one = Faults { crashes: 1, ..NONE };
    for is_so in [lost, kept] {
        assert!(reaches(User::sending(Message::Add), one, is_so));
        assert!(!reaches(User::sending(Message::Add), NONE, is_so));
    }
    let forgotten: Is = |state| state.callers()[0].answered && total(state) == 0;
    assert!(!reaches(User::sending(Message::Add), one, forgotten));
    assert!(reaches(User::sending(Message::AddEarly), one, forgotten));
}

#[test]
fn messages_are_lost_and_come_twice_as_often_as_they_may() {
    let lost: Is = |state| state.callers()[0].begun && state.under_way() == 0 && total(state) == 0;
    assert!(reaches(User::sending(Message::Add), Faults { losses: 1, ..NONE }, lost));
    assert!(!reaches(User::sending(Message::Add), NONE, lost));
    let twice: Is = |state| total(state) == 2;
    let thrice: Is = |state| total(state) == 3;
    let one = Faults { copies: 1, ..NONE };
    assert!(reaches(User::sending(Message::Add), one, twice));
    assert!(!reaches(User::sending(Message::Add), one, thrice));
    assert!(!reaches(User::sending(Message::Add), NONE, twice));
}

#[test]
fn timers_run_out_as_often_as_they_may_and_die_in_a_crash() {
    let ticks: Is = |state| state.machines().any(|adder| adder.ticks == 2);
    assert!(reaches(User::default(), Faults { timers: 2, ..NONE }, ticks));
    assert!(!reaches(User::default(), Faults { timers: 1, ..NONE }, ticks));
    let forgotten: Is = |state| {
        state.callers()[0].crashes == 1 && state.spent().timers == 1 && {
            state.machines().all(|adder| adder.ticks == 0)
        }
    };
    assert!(reaches(User::default(), Faults { timers: 1, crashes: 1, ..NONE }, forgotten));
}

#[test]
fn what_is_drawn_is_everything_that_may_be() {
    let drawn: [Is; 3] = [
        |state| state.callers()[0].drawn == Some(0),
        |state| state.callers()[0].drawn == Some(1),
        |state| state.callers()[0].drawn == Some(2),
    ];
    assert!(drawn.into_iter().all(|is_so| reaches(User::default(), NONE, is_so)));
    let other: Is = |state| state.callers()[0].drawn.is_some_and(|drawn| drawn > 2);
    assert!(!reaches(User::default(), NONE, other));
}

fn explored(message: Message) -> Explored {
    let system = System::new("node", NAME, vec![()]).callers([User::sending(message)]);
    let system = system
        .eventually("it is answered", |state: &State<Adder, User>| state.callers()[0].answered);
    breadth_first(&system, &Limits::default())
}

#[test]
fn a_machine_that_panics_is_found_with_the_way_there() {
    let broken = explored(Message::Break).broken.expect("it panics");
    assert_eq!(broken.property, "no machine panics or fails to recover");
    assert_eq!(broken.why, "a machine panics: it is broken");
    assert_eq!(broken.steps, ["client-1 begins", "node-1 gets Break from client-1"]);
}

#[test]
fn what_never_comes_is_found_and_what_always_comes_is_not() {
    assert!(explored(Message::Add).is_clean());
    let broken = explored(Message::Added).broken.expect("nobody answers an answer");
    assert_eq!(broken.why, "nothing more happens, and it has not come");
    assert_eq!(broken.steps, ["client-1 begins"]);
}
