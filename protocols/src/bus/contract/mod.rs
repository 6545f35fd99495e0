//! What every backend of a bus has to keep, as one suite that runs against any of them.
//!
//! It runs wherever an [`Env`] does, takes some seconds of its clock, and wants a bus that is
//! empty. It ends the subscriptions that it makes, whose names begin with `contract/`.

mod parking;
mod posts;

use super::backend::Backend;
use super::types::{Ask, Begin, BusConfig, BusError, Given, Post, Refused, Tell};
use crate::queue::MessageId;
use squall_env::Env;
use squall_env::platform::BoxFuture;
use std::fmt::Debug;

type Checked = Result<(), String>;

/// One promise, and the check of it.
type Promise<B> = (&'static str, for<'a> fn(&'a Suite<B>) -> BoxFuture<'a, Checked>);

/// Runs the whole suite on a bus that is kept with this configuration: with room for at least four
/// posts and as many ids, all of which are posted; with at least three attempts and two posts to be
/// parked; and with a claim that is several times as long as an operation takes at its slowest.
///
/// # Errors
/// The first promise that the backend does not keep, and what was seen.
pub async fn contract<B: Backend>(env: &Env, bus: &B, config: BusConfig) -> Checked {
    let suite = Suite { env: env.clone(), bus: bus.clone(), config };
    for (promise, check) in all() {
        check(&suite).await.map_err(|why| format!("{promise}: {why}"))?;
    }
    Ok(())
}

/// The promises in the order in which they are checked.
pub fn promises() -> Vec<&'static str> {
    all::<super::BusClient>().into_iter().map(|(promise, _)| promise).collect()
}

/// Each check rests on those before it alone.
fn all<B: Backend>() -> Vec<Promise<B>> {
    vec![
        ("nobody waits for who has unsubscribed", |suite| Box::pin(suite.unsubscribes())),
        ("a post has one position", |suite| Box::pin(suite.posts_once())),
        ("the ids of the window are known", |suite| Box::pin(suite.knows_ids())),
        ("posts come in order to everybody", |suite| Box::pin(suite.is_in_order())),
        ("a subscription begins where it says", |suite| Box::pin(suite.begins())),
        ("what is not done comes again", |suite| Box::pin(suite.comes_again())),
        ("what is done comes no more", |suite| Box::pin(suite.goes_on())),
        ("a lost reader has used an attempt", |suite| Box::pin(suite.counts_lost_readers())),
        ("the same call gets the same", |suite| Box::pin(suite.repeats())),
        ("a subscription is one reader's", |suite| Box::pin(suite.is_claimed())),
        ("what fails too often is parked", |suite| Box::pin(suite.parks())),
        ("of several posts the first is tried", |suite| Box::pin(suite.counts_the_first())),
        ("a parked post can be tried again", |suite| Box::pin(suite.replays())),
        ("a parked post can be dropped", |suite| Box::pin(suite.discards())),
        ("what cannot be read is parked at once", |suite| Box::pin(suite.parks_at_once())),
        ("a post says when it was posted", |suite| Box::pin(suite.says_when())),
        ("a subscription hears of its kinds alone", |suite| Box::pin(suite.takes_kinds())),
        ("posters wait before a post is dropped", |suite| Box::pin(suite.holds_up())),
        ("who can park no more stands still", |suite| Box::pin(suite.stands_still())),
        ("refusals are typed", |suite| Box::pin(suite.refuses())),
        ("readers go on one by one", |suite| Box::pin(suite.reads())),
    ]
}

struct Suite<B> {
    env: Env,
    bus: B,
    config: BusConfig,
}

/// A reader of a subscription.
struct Reader {
    name: &'static str,
    reader: u64,
    call: u64,
}

const KIND: &str = "counted";

fn text(error: BusError) -> String {
    error.to_string()
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

fn same<T: PartialEq + Debug>(is: T, wanted: T, what: &str) -> Checked {
    ensure(is == wanted, || format!("{what}: {is:?} and not {wanted:?}"))
}

fn numbers(given: &[Given]) -> Vec<u8> {
    given.iter().filter_map(|one| one.post.body.first().copied()).collect()
}

/// Why it was refused, which it has to be.
fn refusal<T: Debug>(told: Result<T, BusError>) -> Result<Refused, String> {
    match told {
        Err(BusError::Refused(why)) => Ok(why),
        other => Err(format!("{other:?} and no refusal")),
    }
}

impl<B: Backend> Suite<B> {
    fn id(&self) -> MessageId {
        MessageId(u128::from(self.env.random()) << 64 | u128::from(self.env.random()))
    }

    fn saying(&self, kind: &str, number: u8) -> Post {
        Post { id: self.id(), kind: kind.to_owned(), body: vec![number] }
    }

    async fn post(&self, number: u8) -> Result<u64, String> {
        self.bus.post_again(self.saying(KIND, number)).await.map_err(text)
    }

    /// Makes a subscription to everything, and a reader of it.
    async fn subscribe(&self, name: &'static str, begin: Begin) -> Result<Reader, String> {
        self.bus.subscribe(name, &[], begin).await.map_err(text)?;
        Ok(self.reader(name))
    }

    fn reader(&self, name: &'static str) -> Reader {
        Reader { name, reader: self.env.random(), call: 0 }
    }

    async fn end(&self, reader: Reader) -> Checked {
        self.bus.unsubscribe(reader.name).await.map_err(text)
    }

    async fn fetch(&self, reader: &mut Reader) -> Result<Vec<Given>, String> {
        reader.call += 1;
        self.fetch_again(reader).await
    }

    async fn fetch_again(&self, reader: &Reader) -> Result<Vec<Given>, String> {
        let Reader { name, reader, call } = *reader;
        match self.bus.ask(Ask::Fetch { name: name.to_owned(), reader, call }).await {
            Ok(Tell::Given(given)) => Ok(given),
            other => Err(format!("who asks for posts is told {other:?}")),
        }
    }

    /// The reader is given just this.
    async fn gets(&self, reader: &mut Reader, wanted: &[u8]) -> Checked {
        same(numbers(&self.fetch(reader).await?), wanted.to_vec(), "what is given")
    }

    async fn tell(&self, ask: Ask) -> Checked {
        match self.bus.ask(ask).await {
            Ok(Tell::Ok) => Ok(()),
            other => Err(format!("it is told {other:?}")),
        }
    }

    async fn done(&self, reader: &Reader, position: u64) -> Checked {
        self.tell(Ask::Done(reader.name.to_owned(), position)).await
    }

    async fn failed(&self, reader: &Reader, position: u64, why: &str) -> Checked {
        self.tell(Ask::Failed(reader.name.to_owned(), position, why.to_owned())).await
    }

    /// Has a post fail as often as it takes to be parked.
    async fn park(&self, reader: &mut Reader, position: u64) -> Checked {
        for _ in 0..self.config.attempts_max {
            let first = self.fetch(reader).await?.first().map(|first| first.position);
            same(first, Some(position), "what is tried")?;
            self.failed(reader, position, "declined").await?;
        }
        Ok(())
    }

    /// The positions of what is parked.
    async fn parked(&self, reader: &Reader) -> Result<Vec<u64>, String> {
        let (mut all, mut behind) = (Vec::new(), None);
        loop {
            let some = self.bus.parked(reader.name, behind).await.map_err(text)?;
            let Some(last) = some.last() else { return Ok(all) };
            ensure(behind < Some(last.position), || "the list does not go on".to_owned())?;
            behind = Some(last.position);
            all.extend(some.iter().map(|parked| parked.position));
        }
    }
}
