//! One limit for many nodes: its owner and its borrowers as values, and their bound under any order
//! of what they do.

use proptest::prelude::*;
use squall_env::Instant;
use squall_protocols::limiter::leased::{Config, Owner, PortionId, Portions};
use squall_protocols::limiter::{LimitError, Quota};
use std::collections::BTreeMap;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A cell each 10 ms, 25 at once, and portions of 6 for 100 ms: 15 of them are lent at once.
fn config() -> Config {
    let quota = Quota::per(MS * 10, 1).unwrap().with_burst(25).unwrap();
    Config { quota, term: MS * 100, portion: 6, drift_max_ppm: 0 }
}

fn ms(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(millis)
}

fn id(borrower: u64, number: u64) -> PortionId {
    PortionId { borrower, number }
}

/// An owner that has been there for long.
fn owner() -> Owner {
    Owner::new(config(), Instant::ORIGIN).unwrap()
}

#[test]
fn of_the_burst_that_is_lent_which_is_left_beside_what_comes_in_a_term() {
    assert_eq!(config().lends().unwrap().burst(), 15);
    let longer = Config { term: MS * 100 + Duration::from_nanos(1), ..config() };
    assert_eq!(longer.lends().unwrap().burst(), 14, "a part of an interval is one");
    for config in [
        Config { term: MS * 250, ..config() },
        Config { term: Duration::MAX, ..config() },
        Config { portion: 0, ..config() },
    ] {
        assert_eq!(config.lends(), Err(LimitError::Term));
        assert_eq!(Owner::new(config, ms(0)).err(), Some(LimitError::Term));
        assert_eq!(Portions::new(config).err(), Some(LimitError::Term));
    }
    assert_eq!(config().usable(), MS * 100);
    let drifting = Config { term: MS * 102, drift_max_ppm: 20_000, ..config() };
    assert_eq!(drifting.usable(), MS * 98, "slow here, and fast there");
}

#[test]
fn an_owner_lends_what_it_has_and_says_when_there_is_more() {
    let mut owner = owner();
    assert_eq!(owner.lend(id(1, 1), 6, ms(0)), Err(ms(10)), "who knows what was lent before");
    assert_eq!(owner.lend(id(1, 1), 6, ms(15)), Err(ms(10)), "a copy of the same question");
    assert_eq!(owner.lend(id(1, 2), 6, ms(15)), Ok(1));
    assert_eq!(owner.lend(id(1, 2), 6, ms(19)), Ok(1), "the same, once more");
    assert_eq!(owner.lend(id(1, 3), 6, ms(19)), Err(ms(20)));
    assert_eq!(owner.lend(id(1, 2), 6, ms(90)), Err(ms(90)), "nobody waits for that any more");
    assert_eq!(owner.lend(id(2, 0), 6, ms(90)), Ok(6), "it was lent nothing");
    let lent = [1, 2, 3, 4].map(|number| owner.lend(id(2, number), 6, ms(1_000)));
    assert_eq!(lent, [Ok(6), Ok(6), Ok(3), Err(ms(1_010))]);
    assert_eq!(owner.lend(id(3, 1), 99, ms(1_150)), Ok(6), "no more than a portion");
    assert_eq!(owner.len(), 1, "those before have ended");
    assert_eq!(owner.lend(id(3, 2), 0, ms(1_150)), Ok(1), "and no less than one");
}

#[test]
fn what_comes_back_in_time_was_never_lent() {
    let mut owner = owner();
    let all = |owner: &mut Owner, borrower, at| {
        let lent = (1..).map_while(|number| owner.lend(id(borrower, number), 6, at).ok());
        lent.sum::<u32>()
    };
    assert_eq!(all(&mut owner, 1, ms(1_000)), 15);
    owner.take_back(id(1, 1), 2, ms(1_005));
    owner.take_back(id(1, 1), 2, ms(1_005));
    assert_eq!(all(&mut owner, 2, ms(1_005)), 4, "two of six were used");
    owner.take_back(id(1, 2), 99, ms(1_009));
    owner.take_back(id(9, 9), 0, ms(1_009));
    assert_eq!(all(&mut owner, 3, ms(1_009)), 0);
    // Much has come free by itself since: what comes back now does not count twice.
    owner.take_back(id(1, 2), 0, ms(1_095));
    assert_eq!(all(&mut owner, 4, ms(1_095)), 15);
    owner.take_back(id(4, 1), 0, ms(1_195));
    assert_eq!(all(&mut owner, 5, ms(1_195)), 10, "its term was over");
}

#[test]
fn a_borrower_admits_what_it_holds_until_it_ends_and_asks_before() {
    let mut portions = Portions::new(config()).unwrap();
    assert!(portions.is_low(ms(0)) && !portions.take(ms(0)));
    let number = portions.asks();
    assert!(!portions.take(ms(1)), "it holds nothing while it asks");
    portions.lent(number, 99, ms(0));
    assert_eq!((portions.left(ms(50)), portions.is_low(ms(50))), (6, false));
    assert!((0..2).all(|_| portions.take(ms(50))) && !portions.is_low(ms(50)));
    assert!(portions.take(ms(50)) && portions.is_low(ms(50)), "half of it is left");
    let next = portions.asks();
    portions.lent(next, 2, ms(60));
    assert_eq!((portions.left(ms(99)), portions.left(ms(100))), (5, 2));
    assert_eq!((portions.forget(ms(100)), portions.forget(ms(100))), (3, 0));
    assert!(portions.take(ms(159)) && !portions.take(ms(160)));
    let last = portions.asks();
    portions.lent(last, 4, ms(200));
    assert!(portions.take(ms(200)));
    assert_eq!(portions.give_up(ms(250)), [(last, 1)]);
    assert!(!portions.take(ms(250)) && portions.give_up(ms(250)).is_empty());
}

/// Something that happens after so many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A borrower asks; the question and its answer take so long.
    Ask(u64, u64, u64),
    /// So many come to a borrower.
    Come(u64, u32),
    /// A borrower gives up what it has, and the owner hears of it after so long, if at all.
    GiveUp(u64, Option<u64>),
    /// The owner starts anew.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        6 => (0u64..3, 0u64..40, 0u64..120).prop_map(|(who, there, back)| {
            Step::Ask(who, there, back)
        }),
        6 => (0u64..3, 1u32..20).prop_map(|(who, count)| Step::Come(who, count)),
        2 => (0u64..3, proptest::option::of(0u64..150)).prop_map(|(who, after)| {
            Step::GiveUp(who, after)
        }),
        1 => Just(Step::Restart),
    ];
    let pause = prop_oneof![3 => 0u64..5, 2 => 0u64..40, 1 => 0u64..200];
    proptest::collection::vec((pause, step), 1..150)
}

/// What is on its way.
#[derive(Clone, Copy)]
enum Message {
    Question { id: PortionId, asked: u64, back: u64 },
    Answer { id: PortionId, cells: u32, asked: u64 },
    Return { id: PortionId, used: u32 },
}

struct World {
    owner: Owner,
    borrowers: [Portions; 3],
    /// By when they arrive.
    messages: BTreeMap<(u64, u32), Message>,
    sent: u32,
    through: Vec<u64>,
}

impl World {
    fn send(&mut self, at: u64, message: Message) {
        self.sent += 1;
        self.messages.insert((at, self.sent), message);
    }

    /// Everything until then arrives.
    fn run(&mut self, until: u64) {
        while let Some(((at, _), message)) = self.messages.first_key_value()
            && *at <= until
        {
            let (at, message) = (*at, *message);
            self.messages.pop_first();
            match message {
                Message::Question { id, asked, back } => {
                    if let Ok(cells) = self.owner.lend(id, 6, ms(at)) {
                        self.send(at + back, Message::Answer { id, cells, asked });
                    }
                }
                Message::Answer { id, cells, asked } => {
                    self.borrowers[id.borrower as usize].lent(id.number, cells, ms(asked));
                }
                Message::Return { id, used } => self.owner.take_back(id, used, ms(at)),
            }
        }
    }

    fn step(&mut self, now: u64, step: Step) {
        match step {
            Step::Ask(who, there, back) => {
                let id = id(who, self.borrowers[who as usize].asks());
                self.send(now + there, Message::Question { id, asked: now, back });
            }
            Step::Come(who, count) => {
                let borrower = &mut self.borrowers[who as usize];
                let through = (0..count).filter(|_| borrower.take(ms(now))).count();
                self.through.extend(std::iter::repeat_n(now, through));
            }
            Step::GiveUp(who, after) => {
                for (number, used) in self.borrowers[who as usize].give_up(ms(now)) {
                    if let Some(after) = after {
                        self.send(now + after, Message::Return { id: id(who, number), used });
                    }
                }
            }
            Step::Restart => self.owner = Owner::new(config(), ms(now)).unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn no_time_lets_more_through_than_the_burst_and_the_rate_whatever_is_lost_and_late(
        steps in steps()
    ) {
        let borrowers = [(); 3].map(|()| Portions::new(config()).unwrap());
        let (messages, through) = (BTreeMap::new(), Vec::new());
        let mut world = World { owner: owner(), borrowers, messages, sent: 0, through };
        let mut now = 1_000;
        for (pause, step) in steps {
            now += pause;
            world.run(now);
            world.step(now, step);
        }
        for (first, from) in world.through.iter().enumerate() {
            for (last, to) in world.through.iter().enumerate().skip(first) {
                prop_assert!((last - first + 1) as u64 <= 25 + (to - from) / 10);
            }
        }
    }
}
