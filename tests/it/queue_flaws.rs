//! Who breaks a promise of queues is found out by it.

use crate::parity::{CHECK_MAX, in_the_simulated_world, text};
use squall_env::Env;
use squall_protocols::queue::{
    Ask, Backend, DeadLetter, Message, MessageId, QueueClient, QueueError, Receipt, Refused, Tell,
    Verdict, contract, promises, serve,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const VISIBILITY: Duration = Duration::from_millis(700);

/// How a queue breaks a promise.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Flaw {
    DrawsIds,
    KnowsIdsForEver,
    RefusesTheSecondAck,
    TakesLateAcks,
    IgnoresHeartbeats,
    TriesOnceMore,
    ForgetsWhenItFailed,
    HoldsUpOthers,
    LosesReasons,
    CountsFailuresFromTheStart,
    TriesWhatCannotBeRead,
    IgnoresKeys,
    TakesEveryCallForAnother,
    DelaysNothing,
    HasOneError,
}

use Flaw::*;

/// Of every promise one that breaks it.
const FLAWS: &[(&str, Flaw)] = &[
    ("a message is published once", DrawsIds),
    ("the ids of the window are known", KnowsIdsForEver),
    ("what is acked is gone", RefusesTheSecondAck),
    ("a lease ends, and its receipt with it", TakesLateAcks),
    ("a heartbeat keeps a lease", IgnoresHeartbeats),
    ("three retries are four deliveries", TriesOnceMore),
    ("a lost consumer has used an attempt", ForgetsWhenItFailed),
    ("a message that fails holds up no other", HoldsUpOthers),
    ("a dead letter has its reason and can be tried again", LosesReasons),
    ("a dead letter says when it failed first", CountsFailuresFromTheStart),
    ("what cannot be read is dead at once", TriesWhatCannotBeRead),
    ("messages of one key come in order", IgnoresKeys),
    ("a consumer gets what it has room for", TakesEveryCallForAnother),
    ("a delayed message comes later", DelaysNothing),
    ("refusals are typed", HasOneError),
];

/// What a queue with a flaw remembers, beside what it should.
#[derive(Default)]
struct Memory {
    published: BTreeSet<(String, MessageId)>,
    acked: BTreeSet<(String, Receipt)>,
}

/// A queue with a flaw, before one that has none.
#[derive(Clone)]
struct Flawed {
    env: Env,
    queue: QueueClient,
    flaw: Flaw,
    memory: Arc<Mutex<Memory>>,
}

impl Flawed {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a request on its way.
    fn before(&self, mut ask: Ask) -> Ask {
        match (self.flaw, &mut ask) {
            (DrawsIds, Ask::Publish(message)) => {
                message.id = MessageId(u128::from(self.env.random()));
            }
            (HoldsUpOthers, Ask::Publish(message)) => message.key = Some("all".to_owned()),
            (IgnoresKeys, Ask::Publish(message)) => message.key = None,
            (DelaysNothing, Ask::Publish(message)) => message.delay = Duration::ZERO,
            (TriesOnceMore, Ask::Declare(config)) => config.delivery_limit += 1,
            (LosesReasons, Ask::Settle(_, Verdict::Dead { why })) => why.clear(),
            (TriesWhatCannotBeRead, Ask::Settle(_, verdict)) => {
                if let Verdict::Malformed { why } = verdict {
                    *verdict = Verdict::Retry { after: Duration::ZERO, why: why.clone() };
                }
            }
            (TakesEveryCallForAnother, Ask::Receive { consumer, .. }) => {
                *consumer = self.env.random();
            }
            _ => {}
        }
        ask
    }

    /// What is answered without asking.
    fn instead(&self, queue: &str, ask: &Ask) -> Option<Result<Tell, QueueError>> {
        match (self.flaw, ask) {
            (KnowsIdsForEver, Ask::Publish(Message { id, .. })) => {
                let is_new = self.memory().published.insert((queue.to_owned(), *id));
                (!is_new).then_some(Ok(Tell::Published { known: true }))
            }
            (RefusesTheSecondAck, Ask::Settle(receipt, Verdict::Ack)) => {
                let is_first = self.memory().acked.insert((queue.to_owned(), *receipt));
                (!is_first).then_some(Err(Refused::Stale.into()))
            }
            (IgnoresHeartbeats, Ask::Heartbeat(_)) => Some(Ok(Tell::Lost(Vec::new()))),
            _ => None,
        }
    }

    /// What becomes of an answer on its way back.
    fn after(&self, ask: &Ask, told: Result<Tell, QueueError>) -> Result<Tell, QueueError> {
        match (self.flaw, ask, told) {
            (
                TakesLateAcks,
                Ask::Settle(_, Verdict::Ack),
                Err(QueueError::Refused(Refused::Stale)),
            ) => Ok(Tell::Done),
            (HasOneError, _, Err(QueueError::Refused(Refused::TooLarge))) => {
                Err(QueueError::Foreign)
            }
            (_, _, Ok(Tell::DeadLetters(mut letters))) => {
                letters.iter_mut().for_each(|letter| self.misdates(letter));
                Ok(Tell::DeadLetters(letters))
            }
            (.., told) => told,
        }
    }

    fn misdates(&self, letter: &mut DeadLetter) {
        match self.flaw {
            ForgetsWhenItFailed => letter.first_failed = None,
            CountsFailuresFromTheStart => letter.first_failed = Some(letter.published),
            _ => {}
        }
    }
}

impl Backend for Flawed {
    async fn ask(&self, queue: &str, ask: Ask) -> Result<Tell, QueueError> {
        let ask = self.before(ask);
        if let Some(told) = self.instead(queue, &ask) {
            return told;
        }
        let told = self.queue.ask(queue, ask.clone()).await;
        self.after(&ask, told)
    }
}

#[test]
fn whoever_breaks_a_promise_is_found_out() {
    let broken: Vec<&str> = FLAWS.iter().map(|(promise, _)| *promise).collect();
    assert_eq!(broken, promises(), "of each promise there is a flaw");
    for (promise, flaw) in FLAWS {
        in_the_simulated_world(1, move |env: Env| async move {
            let broker = env.spawn("broker", serve(env.clone()));
            let queue = QueueClient::open(&env, env.me(), Duration::from_secs(5)).map_err(text)?;
            let memory = Arc::new(Mutex::new(Memory::default()));
            let flawed = Flawed { env: env.clone(), queue, flaw: *flaw, memory };
            let found = env.timeout(CHECK_MAX, contract(&env, &flawed, VISIBILITY)).await;
            broker.cancel();
            match found {
                Ok(Err(why)) if why.starts_with(promise) => Ok(()),
                other => Err(format!("{flaw:?} should break {promise:?}, and {other:?}")),
            }
        });
    }
}
