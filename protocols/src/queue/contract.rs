//! What every backend of a queue has to keep, as one suite that runs against any of them.
//!
//! It runs wherever an [`Env`] does, takes some seconds of its clock, and leaves queues behind
//! whose names begin with `contract/`: it wants a store that is empty.

use super::backend::{Backend, Session};
use super::client::QueueClient;
use super::types::{
    DeadLetter, DeadReason, Delivery, Depth, Message, MessageId, QueueConfig, QueueError, Refused,
    Verdict,
};
use squall_env::Env;
use squall_env::platform::BoxFuture;
use std::fmt::Debug;
use std::time::Duration;

/// How long is waited for what has to come.
const PATIENCE: Duration = Duration::from_secs(10);

type Checked = Result<(), String>;

/// One promise, and the check of it.
type Promise<B> = (&'static str, for<'a> fn(&'a Suite<B>) -> BoxFuture<'a, Checked>);

/// Runs the whole suite. A delivery is its consumer's for `visibility`: several times as long as an
/// operation takes at its slowest.
///
/// # Errors
/// The first promise that the backend does not keep, and what was seen.
pub async fn contract<B: Backend>(env: &Env, backend: &B, visibility: Duration) -> Checked {
    let suite = Suite { env: env.clone(), backend: backend.clone(), visibility };
    for (promise, check) in all() {
        check(&suite).await.map_err(|why| format!("{promise}: {why}"))?;
    }
    Ok(())
}

/// The promises in the order in which they are checked.
pub fn promises() -> Vec<&'static str> {
    all::<QueueClient>().into_iter().map(|(promise, _)| promise).collect()
}

/// Each check rests on those before it alone.
fn all<B: Backend>() -> Vec<Promise<B>> {
    vec![
        ("a message is published once", |suite| Box::pin(suite.is_published_once())),
        ("the ids of the window are known", |suite| Box::pin(suite.knows_ids())),
        ("what is acked is gone", |suite| Box::pin(suite.acks())),
        ("a lease ends, and its receipt with it", |suite| Box::pin(suite.ends_leases())),
        ("a heartbeat keeps a lease", |suite| Box::pin(suite.keeps_by_heartbeats())),
        ("three retries are four deliveries", |suite| Box::pin(suite.retries())),
        ("a lost consumer has used an attempt", |suite| Box::pin(suite.counts_lost_consumers())),
        ("a message that fails holds up no other", |suite| Box::pin(suite.goes_on())),
        ("a dead letter has its reason and can be tried again", |suite| {
            Box::pin(suite.buries_with_reasons())
        }),
        ("a dead letter says when it failed first", |suite| Box::pin(suite.says_when())),
        ("what cannot be read is dead at once", |suite| Box::pin(suite.buries_at_once())),
        ("messages of one key come in order", |suite| Box::pin(suite.is_in_order())),
        ("a consumer gets what it has room for", |suite| Box::pin(suite.has_room())),
        ("a delayed message comes later", |suite| Box::pin(suite.delays())),
        ("refusals are typed", |suite| Box::pin(suite.refuses())),
    ]
}

struct Suite<B> {
    env: Env,
    backend: B,
    visibility: Duration,
}

fn id(number: u128) -> MessageId {
    MessageId(number)
}

fn text(error: QueueError) -> String {
    error.to_string()
}

fn same<T: PartialEq + Debug>(is: T, wanted: T, what: &str) -> Checked {
    if is == wanted { Ok(()) } else { Err(format!("{what}: {is:?} and not {wanted:?}")) }
}

fn retry(after: Duration) -> Verdict {
    Verdict::Retry { after, why: "it failed".to_owned() }
}

/// How long before its death a message failed for the first time.
fn failed_before(letter: &DeadLetter) -> Option<Duration> {
    let nanos = letter.died.as_unix_nanos() - letter.first_failed?.as_unix_nanos();
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

impl<B: Backend> Suite<B> {
    async fn queue(&self, name: &str, config: QueueConfig) -> Result<String, String> {
        let name = format!("contract/{name}");
        let config = QueueConfig { visibility: self.visibility, ..config };
        self.backend.declare(&name, config).await.map_err(text)?;
        Ok(name)
    }

    async fn publish(&self, queue: &str, number: u128) -> Checked {
        let message = Message::new(id(number), number.to_le_bytes());
        self.backend.publish(queue, message).await.map(drop).map_err(text)
    }

    async fn depth(&self, queue: &str) -> Result<Depth, String> {
        self.backend.depth(queue).await.map_err(text)
    }

    /// Waits for a delivery.
    async fn next(&self, session: &mut Session) -> Result<Delivery, String> {
        let until = self.env.now() + PATIENCE;
        while self.env.now() < until {
            let mut got = self.backend.receive(session).await.map_err(text)?;
            if let Some(first) = got.pop() {
                same(got.len(), 0, "deliveries beside the one there is room for")?;
                return Ok(first);
            }
            self.env.sleep(Duration::from_millis(10)).await;
        }
        Err(format!("nothing came from {}", session.queue()))
    }

    async fn nothing(&self, session: &mut Session, what: &str) -> Checked {
        let got = self.backend.receive(session).await.map_err(text)?;
        same(got, Vec::new(), what)
    }

    async fn settle(&self, queue: &str, delivery: &Delivery, verdict: Verdict) -> Checked {
        self.backend.settle(queue, delivery.receipt, verdict).await.map_err(text)
    }

    /// Settles it with a receipt that must not count any more.
    async fn is_stale(&self, queue: &str, delivery: &Delivery, verdict: Verdict) -> Checked {
        let settled = self.backend.settle(queue, delivery.receipt, verdict).await;
        let stale = matches!(settled, Err(QueueError::Refused(Refused::Stale)));
        if stale { Ok(()) } else { Err(format!("a stale receipt gave {settled:?}")) }
    }

    async fn is_published_once(&self) -> Checked {
        let queue = self.queue("once", QueueConfig::default()).await?;
        let message = Message::new(id(1), "body");
        for known in [false, true] {
            let told = self.backend.publish(&queue, message.clone()).await.map_err(text)?;
            same(told, known, "whether a message is known")?;
        }
        same(self.depth(&queue).await?.queued, 1, "messages after two publications of one")?;
        // Also after it was taken out.
        let mut session = Session::new(&self.env, &queue, 1);
        let delivery = self.next(&mut session).await?;
        same(&delivery.body[..], b"body", "the body")?;
        self.settle(&queue, &delivery, Verdict::Ack).await?;
        same(self.backend.publish(&queue, message).await.map_err(text)?, true, "a known id")?;
        self.nothing(&mut session, "what was acked and published again").await
    }

    async fn knows_ids(&self) -> Checked {
        let config = QueueConfig { remembers: 2, ..QueueConfig::default() };
        let queue = self.queue("window", config).await?;
        let mut session = Session::new(&self.env, &queue, 1);
        for number in [1, 2, 3] {
            self.publish(&queue, number).await?;
            let delivery = self.next(&mut session).await?;
            self.settle(&queue, &delivery, Verdict::Ack).await?;
        }
        for (number, known) in [(2, true), (3, true), (1, false)] {
            let message = Message::new(id(number), "");
            let told = self.backend.publish(&queue, message).await.map_err(text)?;
            same((number, told), (number, known), "whether a number is known")?;
        }
        Ok(())
    }

    async fn acks(&self) -> Checked {
        let queue = self.queue("acked", QueueConfig::default()).await?;
        self.publish(&queue, 1).await?;
        let mut session = Session::new(&self.env, &queue, 2);
        let delivery = self.next(&mut session).await?;
        same(self.depth(&queue).await?.in_flight, 1, "messages in flight")?;
        self.settle(&queue, &delivery, Verdict::Ack).await?;
        // Whoever did not hear the answer asks again.
        self.settle(&queue, &delivery, Verdict::Ack).await?;
        self.is_stale(&queue, &delivery, retry(Duration::ZERO)).await?;
        same(self.depth(&queue).await?, Depth::default(), "what is left")
    }

    async fn ends_leases(&self) -> Checked {
        let queue = self.queue("lease", QueueConfig::default()).await?;
        self.publish(&queue, 1).await?;
        let (mut one, mut other) =
            (Session::new(&self.env, &queue, 1), Session::new(&self.env, &queue, 1));
        let first = self.next(&mut one).await?;
        self.nothing(&mut other, "what another has").await?;
        let second = self.next(&mut other).await?;
        same((first.attempt, second.attempt), (1, 2), "attempts")?;
        self.is_stale(&queue, &first, Verdict::Ack).await?;
        self.is_stale(&queue, &first, retry(Duration::ZERO)).await?;
        self.settle(&queue, &second, Verdict::Ack).await?;
        self.is_stale(&queue, &first, Verdict::Ack).await
    }

    async fn keeps_by_heartbeats(&self) -> Checked {
        let queue = self.queue("heartbeat", QueueConfig::default()).await?;
        self.publish(&queue, 1).await?;
        let (mut one, mut other) =
            (Session::new(&self.env, &queue, 1), Session::new(&self.env, &queue, 1));
        let delivery = self.next(&mut one).await?;
        for _ in 0..8 {
            self.env.sleep(self.visibility / 4).await;
            let lost = self.backend.heartbeat(&queue, vec![delivery.receipt]).await;
            same(lost.map_err(text)?, Vec::new(), "lost leases")?;
            self.nothing(&mut other, "what is kept by heartbeats").await?;
        }
        let again = self.next(&mut other).await?;
        let lost = self.backend.heartbeat(&queue, vec![delivery.receipt]).await;
        same(lost.map_err(text)?, vec![delivery.receipt], "lost leases")?;
        self.settle(&queue, &again, Verdict::Ack).await
    }

    async fn retries(&self) -> Checked {
        let queue = self.queue("limit", QueueConfig::default().retries(3)).await?;
        self.publish(&queue, 1).await?;
        let mut session = Session::new(&self.env, &queue, 1);
        for attempt in 1..=4 {
            let delivery = self.next(&mut session).await?;
            same(delivery.attempt, attempt, "the attempt")?;
            let why = format!("failure {attempt}");
            let again = Verdict::Retry { after: Duration::ZERO, why };
            self.settle(&queue, &delivery, again.clone()).await?;
            self.settle(&queue, &delivery, again).await?;
            self.is_stale(&queue, &delivery, Verdict::Ack).await?;
        }
        self.nothing(&mut session, "a fifth delivery").await?;
        let dead = self.backend.dead_letters(&queue, None).await.map_err(text)?;
        let reasons: Vec<DeadReason> = dead.into_iter().map(|letter| letter.reason).collect();
        same(reasons, vec![DeadReason::DeliveryLimit("failure 4".to_owned())], "the reasons")
    }

    async fn counts_lost_consumers(&self) -> Checked {
        let queue = self.queue("lost", QueueConfig::default().retries(1)).await?;
        self.publish(&queue, 1).await?;
        for attempt in 1..=2 {
            // Nobody settles what these get.
            let mut session = Session::new(&self.env, &queue, 1);
            same(self.next(&mut session).await?.attempt, attempt, "the attempt")?;
        }
        self.env.sleep(self.visibility * 2).await;
        let mut session = Session::new(&self.env, &queue, 1);
        self.nothing(&mut session, "a third delivery").await?;
        same(self.depth(&queue).await?, Depth { dead: 1, ..Depth::default() }, "what is left")?;
        let letters = self.backend.dead_letters(&queue, None).await.map_err(text)?;
        // The second consumer had it for a while.
        let before = letters.first().and_then(failed_before);
        same(before >= Some(self.visibility / 2), true, "whether the first loss was noticed")
    }

    async fn goes_on(&self) -> Checked {
        let queue = self.queue("poison", QueueConfig::default()).await?;
        self.publish(&queue, 1).await?;
        let mut session = Session::new(&self.env, &queue, 1);
        let poison = self.next(&mut session).await?;
        self.settle(&queue, &poison, retry(self.visibility)).await?;
        let since = self.env.now();
        self.publish(&queue, 2).await?;
        let other = self.next(&mut session).await?;
        same(other.receipt.id, id(2), "who comes while another rests")?;
        self.settle(&queue, &other, Verdict::Ack).await?;
        let again = self.next(&mut session).await?;
        same((again.receipt.id, again.attempt), (id(1), 2), "who comes after its rest")?;
        let rested = self.env.now() - since >= self.visibility / 2;
        same(rested, true, "whether it has rested")?;
        self.settle(&queue, &again, Verdict::Ack).await
    }

    async fn buries_with_reasons(&self) -> Checked {
        let queue = self.queue("dead", QueueConfig::default().retries(0)).await?;
        self.publish(&queue, 1).await?;
        self.publish(&queue, 2).await?;
        let mut session = Session::new(&self.env, &queue, 1);
        let mut deliveries = Vec::new();
        for why in ["no such customer", "no such product"] {
            let delivery = self.next(&mut session).await?;
            self.settle(&queue, &delivery, Verdict::Dead { why: why.to_owned() }).await?;
            deliveries.push(delivery);
        }
        let dead = self.backend.dead_letters(&queue, None).await.map_err(text)?;
        same(dead.len(), 2, "dead letters")?;
        same(&dead[0].reason, &DeadReason::Rejected("no such customer".to_owned()), "the reason")?;
        same(&dead[0].body[..], &deliveries[0].body[..], "the body")?;
        let rest = self.backend.dead_letters(&queue, Some(dead[0].place)).await.map_err(text)?;
        same(rest.iter().map(|letter| letter.receipt.id).collect(), vec![id(2)], "those behind")?;
        for _ in 0..2 {
            self.backend.redrive(&queue, dead[0].receipt).await.map_err(text)?;
            self.backend.discard(&queue, dead[1].receipt).await.map_err(text)?;
        }
        same(self.depth(&queue).await?, Depth { queued: 1, ..Depth::default() }, "what is left")?;
        let again = self.next(&mut session).await?;
        same((again.receipt.id, again.attempt), (id(1), 1), "what was redriven")?;
        same(again.receipt == deliveries[0].receipt, false, "whether the receipt is an old one")?;
        self.is_stale(&queue, &deliveries[0], Verdict::Ack).await?;
        self.settle(&queue, &again, Verdict::Ack).await?;
        let late = self.backend.redrive(&queue, dead[0].receipt).await;
        let not_dead = matches!(late, Err(QueueError::Refused(Refused::NotDead)));
        same(not_dead, true, "whether what is not dead cannot be redriven")
    }

    async fn says_when(&self) -> Checked {
        let queue = self.queue("first", QueueConfig::default().retries(1)).await?;
        self.publish(&queue, 1).await?;
        self.publish(&queue, 2).await?;
        let mut session = Session::new(&self.env, &queue, 1);
        let first = self.next(&mut session).await?;
        self.settle(&queue, &first, retry(self.visibility)).await?;
        let other = self.next(&mut session).await?;
        let reject = Verdict::Dead { why: "no such customer".to_owned() };
        self.settle(&queue, &other, reject.clone()).await?;
        let again = self.next(&mut session).await?;
        self.settle(&queue, &again, retry(Duration::ZERO)).await?;
        let dead = self.backend.dead_letters(&queue, None).await.map_err(text)?;
        same(dead.len(), 2, "dead letters")?;
        let rested = failed_before(&dead[0]) >= Some(self.visibility / 2);
        same(rested, true, "whether the first failure is told from the last")?;
        same(dead[1].first_failed, Some(dead[1].died), "the first failure, which was the last")?;
        // It has all its attempts again, and its history.
        self.backend.redrive(&queue, dead[1].receipt).await.map_err(text)?;
        let redriven = self.next(&mut session).await?;
        self.settle(&queue, &redriven, reject).await?;
        let last = self.backend.dead_letters(&queue, Some(dead[0].place)).await.map_err(text)?;
        let last = last.first().map(|letter| letter.first_failed);
        same(last, Some(dead[1].first_failed), "the first failure of what was redriven")
    }

    async fn buries_at_once(&self) -> Checked {
        let queue = self.queue("malformed", QueueConfig::default()).await?;
        self.publish(&queue, 1).await?;
        let mut session = Session::new(&self.env, &queue, 1);
        let delivery = self.next(&mut session).await?;
        let malformed = Verdict::Malformed { why: "it is no order".to_owned() };
        for _ in 0..2 {
            self.settle(&queue, &delivery, malformed.clone()).await?;
        }
        self.is_stale(&queue, &delivery, Verdict::Ack).await?;
        self.nothing(&mut session, "what nobody can read").await?;
        let dead = self.backend.dead_letters(&queue, None).await.map_err(text)?;
        let dead: Vec<_> = dead.into_iter().map(|one| (one.receipt.attempt, one.reason)).collect();
        let reason = DeadReason::Malformed("it is no order".to_owned());
        same(dead, vec![(1, reason)], "attempts and reasons")
    }

    async fn is_in_order(&self) -> Checked {
        let queue = self.queue("order", QueueConfig::default()).await?;
        for number in 1..=3 {
            let message = Message::new(id(number), "").key("customer-7");
            self.backend.publish(&queue, message).await.map_err(text)?;
        }
        let mut other = Session::new(&self.env, &queue, 9);
        let mut session = Session::new(&self.env, &queue, 1);
        let first = self.next(&mut session).await?;
        same(first.receipt.id, id(1), "the first")?;
        self.nothing(&mut other, "one behind a message in flight").await?;
        self.settle(&queue, &first, retry(self.visibility / 4)).await?;
        self.nothing(&mut other, "one behind a message that rests").await?;
        for number in 1..=3 {
            let delivery = self.next(&mut session).await?;
            same(delivery.receipt.id, id(number), "the next")?;
            self.settle(&queue, &delivery, Verdict::Ack).await?;
        }
        Ok(())
    }

    async fn has_room(&self) -> Checked {
        let queue = self.queue("prefetch", QueueConfig::default()).await?;
        for number in 1..=5 {
            self.publish(&queue, number).await?;
        }
        let mut session = Session::new(&self.env, &queue, 2);
        let got = self.backend.receive(&mut session).await.map_err(text)?;
        same(got.len(), 2, "deliveries")?;
        self.nothing(&mut session, "more than there is room for").await?;
        self.settle(&queue, &got[0], Verdict::Ack).await?;
        let more = self.backend.receive(&mut session).await.map_err(text)?;
        same(more.len(), 1, "deliveries in the room of the one that was settled")
    }

    async fn delays(&self) -> Checked {
        let queue = self.queue("delay", QueueConfig::default()).await?;
        let since = self.env.now();
        let message = Message::new(id(1), "").delay(self.visibility);
        self.backend.publish(&queue, message).await.map_err(text)?;
        let mut session = Session::new(&self.env, &queue, 1);
        let delivery = self.next(&mut session).await?;
        let waited = self.env.now() - since;
        // The clocks of two nodes may tick a little apart.
        same(waited >= self.visibility / 2, true, "whether it was delayed")?;
        self.settle(&queue, &delivery, Verdict::Ack).await
    }

    async fn refuses(&self) -> Checked {
        let config = QueueConfig { messages_max: 2, ..QueueConfig::default() };
        let queue = self.queue("refusals", config).await?;
        self.publish(&queue, 1).await?;
        self.publish(&queue, 2).await?;
        let refused = |refused: Result<bool, QueueError>| match refused {
            Err(QueueError::Refused(why)) => Ok(why),
            other => Err(format!("{other:?} and no refusal")),
        };
        let full = self.backend.publish(&queue, Message::new(id(3), "")).await;
        same(refused(full)?, Refused::Full, "what a full queue says")?;
        let large = Message::new(id(3), vec![0; super::types::BODY_MAX + 1]);
        let large = self.backend.publish(&queue, large).await;
        same(refused(large)?, Refused::TooLarge, "what a large body meets")?;
        let nowhere = self.backend.publish("contract/nowhere", Message::new(id(1), "")).await;
        same(refused(nowhere)?, Refused::NoQueue, "what no queue says")?;
        let there = QueueConfig { visibility: self.visibility, ..config };
        self.backend.declare(&queue, there).await.map_err(text)?;
        let other = QueueConfig { delivery_limit: 1, ..there };
        let differs = self.backend.declare(&queue, other).await.map(|()| false);
        same(refused(differs)?, Refused::Differs(there), "another configuration")?;
        let nothing = QueueConfig { delivery_limit: 0, ..there };
        let bad = self.backend.declare("contract/bad", nothing).await.map(|()| false);
        same(refused(bad)?, Refused::BadConfig, "a limit of zero")
    }
}
