//! The broker of queues as a value: whoever has it says what time it is.

use proptest::prelude::*;
use squall_env::{Instant, Machine};
use squall_protocols::queue::{
    Ask, Broker, DeadLetter, DeadReason, Delivery, Depth, InMemory, Message, MessageId,
    QueueConfig, Receipt, Refused, Request, Tell, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const VISIBILITY: Duration = Duration::from_secs(30);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A broker with one queue, its log, and its clock.
struct Bench {
    broker: Broker,
    log: InMemory,
    calls: BTreeMap<u64, u64>,
}

impl Bench {
    fn new(config: QueueConfig) -> Bench {
        let (broker, log) = (Broker::new(), InMemory::default());
        let mut bench = Bench { broker, log, calls: BTreeMap::new() };
        assert_eq!(bench.ask(Ask::Declare(config)), Tell::Done);
        bench
    }

    fn ask(&mut self, ask: Ask) -> Tell {
        self.broker.handle(Request { queue: "orders".to_owned(), ask }, &mut self.log)
    }

    fn publish(&mut self, message: Message) -> Tell {
        self.ask(Ask::Publish(message))
    }

    fn receive(&mut self, consumer: u64, prefetch: u16) -> Vec<Delivery> {
        let call = self.calls.entry(consumer).or_default();
        *call += 1;
        let call = *call;
        match self.ask(Ask::Receive { consumer, call, prefetch }) {
            Tell::Delivered(deliveries) => deliveries,
            other => panic!("{other:?}"),
        }
    }

    fn retry(&mut self, receipt: Receipt, why: &str) -> Tell {
        let verdict = Verdict::Retry { after: Duration::ZERO, why: why.to_owned() };
        self.ask(Ask::Settle(receipt, verdict))
    }

    fn dead(&mut self) -> Vec<DeadLetter> {
        match self.ask(Ask::DeadLetters { behind: None }) {
            Tell::DeadLetters(letters) => letters,
            other => panic!("{other:?}"),
        }
    }

    fn depth(&mut self) -> Depth {
        match self.ask(Ask::Depth) {
            Tell::Depth(depth) => depth,
            other => panic!("{other:?}"),
        }
    }

    /// What comes back from the records alone, at some other time of the clock.
    fn restart(&mut self) {
        let mut broker = Broker::restore(&(), None);
        self.log.records.iter().for_each(|record| broker.take(record));
        assert_eq!(broker.snapshot(), self.broker.snapshot(), "the records tell all");
        self.log.now += seconds(1_000_000);
        broker.start(&mut self.log);
        self.broker = broker;
    }
}

fn limited(retries: u32) -> QueueConfig {
    QueueConfig { visibility: VISIBILITY, ..QueueConfig::default().retries(retries) }
}

fn message(number: u128) -> Message {
    Message::new(MessageId(number), format!("order {number}"))
}

#[test]
fn three_retries_are_four_deliveries_and_then_a_dead_letter_with_the_reason() {
    let mut bench = Bench::new(limited(3));
    bench.publish(message(1));
    for attempt in 1..=4 {
        let delivery = bench.receive(1, 1).remove(0);
        assert_eq!((delivery.attempt, &delivery.body[..]), (attempt, &b"order 1"[..]));
        assert_eq!(bench.retry(delivery.receipt, "declined"), Tell::Done);
    }
    assert_eq!(bench.receive(1, 1), []);
    let dead = bench.dead();
    assert_eq!(dead[0].reason, DeadReason::DeliveryLimit("declined".to_owned()));
    assert_eq!(dead[0].body, b"order 1");
}

#[test]
fn an_order_that_fails_waits_for_its_review_and_holds_up_no_other() {
    let mut bench = Bench::new(limited(3));
    bench.publish(message(1));
    bench.publish(message(2));
    let bad = bench.receive(1, 1).remove(0);
    let verdict = Verdict::Dead { why: "no such product".to_owned() };
    assert_eq!(bench.ask(Ask::Settle(bad.receipt, verdict)), Tell::Done);
    assert_eq!(bench.receive(1, 1)[0].receipt.id, MessageId(2));
    // To look at it and to do nothing leaves it where it is.
    let dead = bench.dead();
    assert_eq!(bench.dead(), dead);
    assert_eq!(bench.ask(Ask::Redrive(dead[0].receipt)), Tell::Done);
    assert_eq!(bench.receive(2, 1)[0].attempt, 1);
}

#[test]
fn a_restart_has_counted_the_attempt_that_was_under_way() {
    let mut bench = Bench::new(limited(1));
    bench.publish(message(1));
    assert_eq!(bench.receive(1, 1)[0].attempt, 1);
    bench.restart();
    let last = bench.receive(2, 1).remove(0);
    assert_eq!(last.attempt, 2);
    // The last attempt is nobody else's: whoever has it may still say how it went.
    bench.restart();
    assert_eq!(bench.receive(3, 1), []);
    assert_eq!(bench.ask(Ask::Settle(last.receipt, Verdict::Ack)), Tell::Done);
    assert_eq!(bench.depth(), Depth::default());
}

#[test]
fn what_rests_begins_anew_after_a_restart_and_never_comes_early() {
    let mut bench = Bench::new(limited(3));
    bench.publish(message(1).delay(seconds(10)));
    bench.log.now += seconds(9);
    bench.restart();
    bench.log.now += seconds(9);
    assert_eq!(bench.receive(1, 1), []);
    bench.log.now += seconds(1);
    assert_eq!(bench.receive(1, 1).len(), 1);
}

#[test]
fn the_receipt_of_an_attempt_before_a_redrive_settles_nothing() {
    let mut bench = Bench::new(limited(0));
    bench.publish(message(1));
    let old = bench.receive(1, 1).remove(0).receipt;
    // It was not heard of, and its message died.
    bench.log.now += VISIBILITY;
    let dead = bench.dead()[0].receipt;
    assert_eq!(bench.ask(Ask::Redrive(dead)), Tell::Done);
    assert_eq!(bench.ask(Ask::Settle(old, Verdict::Ack)), Tell::Refused(Refused::Stale));
    let new = bench.receive(2, 1).remove(0).receipt;
    assert_ne!(new, old);
    assert_eq!(bench.ask(Ask::Settle(old, Verdict::Ack)), Tell::Refused(Refused::Stale));
    assert_eq!(bench.ask(Ask::Settle(new, Verdict::Ack)), Tell::Done);
}

#[test]
fn a_receipt_that_nobody_was_given_settles_nothing() {
    let mut bench = Bench::new(limited(0));
    bench.publish(message(1));
    let guessed = Receipt { id: MessageId(1), attempt: 0 };
    assert_eq!(bench.ask(Ask::Settle(guessed, Verdict::Ack)), Tell::Refused(Refused::Stale));
    assert_eq!(bench.ask(Ask::Discard(guessed)), Tell::Refused(Refused::NotDead));
    assert_eq!(bench.depth().queued, 1);
}

#[test]
fn a_consumer_whose_answer_was_lost_is_given_the_same_again() {
    let mut bench = Bench::new(limited(3));
    bench.publish(message(1));
    let ask = Ask::Receive { consumer: 7, call: 1, prefetch: 1 };
    let first = bench.ask(ask.clone());
    assert_eq!(bench.ask(ask), first);
    let earlier = Ask::Receive { consumer: 7, call: 0, prefetch: 1 };
    assert_eq!(bench.ask(earlier), Tell::Refused(Refused::Overtaken));
}

#[test]
fn burying_never_lacks_room_since_dead_letters_count_as_messages() {
    let mut bench = Bench::new(QueueConfig { messages_max: 1, ..limited(0) });
    bench.publish(message(1));
    assert_eq!(bench.publish(message(2)), Tell::Refused(Refused::Full));
    let receipt = bench.receive(1, 1).remove(0).receipt;
    assert_eq!(bench.retry(receipt, "declined"), Tell::Done);
    assert_eq!(bench.publish(message(2)), Tell::Refused(Refused::Full));
    assert_eq!(bench.ask(Ask::Discard(receipt)), Tell::Done);
    assert_eq!(bench.publish(message(2)), Tell::Published { known: false });
}

/// Something that a client or the world does.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        number: u8,
        key: Option<u8>,
        delay: u8,
    },
    Receive {
        consumer: u8,
        prefetch: u8,
    },
    /// Settles one of the receipts that were given, perhaps an old one.
    Settle {
        which: prop::sample::Index,
        how: u8,
    },
    Heartbeat {
        which: prop::sample::Index,
    },
    Review {
        redrive: bool,
    },
    Wait {
        seconds: u8,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (0..12u8, prop::option::of(0..2u8), 0..3u8)
            .prop_map(|(number, key, delay)| Step::Publish { number, key, delay: delay * 10 }),
        6 => (1..4u8, 1..4u8)
            .prop_map(|(consumer, prefetch)| Step::Receive { consumer, prefetch }),
        6 => (which(), 0..4u8).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => which().prop_map(|which| Step::Heartbeat { which }),
        1 => any::<bool>().prop_map(|redrive| Step::Review { redrive }),
        2 => (1..40u8).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// What the world knows of the messages, told by the answers alone.
#[derive(Default)]
struct Known {
    given: Vec<Receipt>,
    confirmed: BTreeSet<MessageId>,
    out: BTreeSet<MessageId>,
}

fn play(bench: &mut Bench, known: &mut Known, step: Step) {
    match step {
        Step::Publish { number, key, delay } => {
            let mut message = message(number.into()).delay(seconds(delay.into()));
            message.key = key.map(|key| key.to_string());
            if let Tell::Published { .. } = bench.publish(message) {
                known.confirmed.insert(MessageId(number.into()));
            }
        }
        Step::Receive { consumer, prefetch } => {
            let got = bench.receive(consumer.into(), prefetch.into());
            for delivery in got {
                assert!(!known.out.contains(&delivery.receipt.id), "it was taken out");
                assert!(!known.given.contains(&delivery.receipt), "a receipt was given twice");
                assert!(delivery.attempt <= 3, "it is given too often");
                known.given.push(delivery.receipt);
            }
        }
        Step::Settle { which, how } if !known.given.is_empty() => {
            let receipt = *which.get(&known.given);
            let why = "why".to_owned();
            let verdict = match how {
                0 | 1 => Verdict::Ack,
                2 => Verdict::Retry { after: seconds(5), why },
                _ => Verdict::Dead { why },
            };
            let last = known.given.iter().filter(|given| given.id == receipt.id).max();
            let is_late = last != Some(&receipt);
            match bench.ask(Ask::Settle(receipt, verdict.clone())) {
                Tell::Done => {
                    assert!(!is_late, "an earlier receipt settled it");
                    if verdict == Verdict::Ack {
                        known.out.insert(receipt.id);
                    }
                }
                told => assert_eq!(told, Tell::Refused(Refused::Stale)),
            }
        }
        Step::Heartbeat { which } if !known.given.is_empty() => {
            bench.ask(Ask::Heartbeat(vec![*which.get(&known.given)]));
        }
        Step::Review { redrive } => {
            for letter in bench.dead() {
                let receipt = letter.receipt;
                let ask = if redrive { Ask::Redrive(receipt) } else { Ask::Discard(receipt) };
                assert_eq!(bench.ask(ask), Tell::Done);
                if !redrive {
                    known.out.insert(receipt.id);
                }
            }
        }
        Step::Wait { seconds: some } => bench.log.now += seconds(some.into()),
        Step::Restart => bench.restart(),
        Step::Settle { .. } | Step::Heartbeat { .. } => {}
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_confirmed_message_is_there_until_it_is_taken_out(steps in steps()) {
        let mut bench = Bench::new(QueueConfig { messages_max: 8, ..limited(2) });
        let mut known = Known::default();
        for step in steps {
            play(&mut bench, &mut known, step);
            let queue = bench.broker.queue("orders").expect("it was declared");
            let there: Vec<MessageId> =
                queue.queued().chain(queue.dead()).map(|receipt| receipt.id).collect();
            let distinct: BTreeSet<MessageId> = there.iter().copied().collect();
            prop_assert_eq!(distinct.len(), there.len(), "a message is in two places");
            let wanted: BTreeSet<MessageId> =
                known.confirmed.difference(&known.out).copied().collect();
            prop_assert_eq!(distinct, wanted);
        }
        // Nothing is stuck: what is left comes, again and again, until it is done.
        bench.log.now += seconds(1_000);
        for _ in 0..100 {
            for delivery in bench.receive(99, 8) {
                bench.ask(Ask::Settle(delivery.receipt, Verdict::Ack));
            }
            bench.log.now += seconds(100);
        }
        prop_assert_eq!(bench.depth().queued, 0);
        prop_assert!(bench.log.now > Instant::ORIGIN);
    }
}
