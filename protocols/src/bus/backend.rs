//! What every bus can do, whoever keeps it.

use super::types::{Ask, Begin, BusError, Event, Given, Parked, Post, Refused, Tell};
use crate::queue::{Failure, MessageId};
use crate::retry::Backoff;
use squall_env::request::CallError;
use squall_env::sync::Stop;
use squall_env::{Env, race};
use std::collections::BTreeSet;
use std::future::Future;

/// A bus that confirms what is durable, keeps the place of every subscription, and counts attempts
/// by itself. Whoever keeps one answers what is [asked](Backend::ask); the rest follows. What the
/// answers have to be, the [`contract`](super::contract) tells.
///
/// Each request changes something as one step or not at all, and may come again: a log of its own
/// has it as a record, a database as a transaction, a store with scripts as a script. Positions
/// rise in the order in which posts can be read: a number that is drawn before others commit will
/// not do. Only who has a subscription, and until when, need not outlive the process.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Asks something of the bus.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    fn ask(&self, ask: Ask) -> impl Future<Output = Result<Tell, BusError>> + Send;

    /// Posts an event, and answers when it is durable: with its position. To try again, the same
    /// event is posted under the same id.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome; [`Refused::Full`] if a subscription is too far
    /// behind.
    fn post<E: Event>(
        &self,
        id: MessageId,
        event: &E,
    ) -> impl Future<Output = Result<u64, BusError>> + Send {
        let post = Post::of(id, event);
        async move { self.post_again(post.map_err(|_| Refused::TooLarge)?).await }
    }

    /// Posts what may have been posted before, as it is.
    ///
    /// # Errors
    /// As [`Backend::post`].
    fn post_again(&self, post: Post) -> impl Future<Output = Result<u64, BusError>> + Send {
        async move {
            match self.ask(Ask::Post(post)).await? {
                Tell::Posted(position) => Ok(position),
                _ => Err(BusError::Foreign),
            }
        }
    }

    /// Makes a subscription to these kinds of events, or to all if there are none.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    fn subscribe(
        &self,
        name: &str,
        kinds: &[&str],
        begin: Begin,
    ) -> impl Future<Output = Result<(), BusError>> + Send {
        let kinds: BTreeSet<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let ask = Ask::Subscribe(name.to_owned(), kinds, begin);
        async move { done(self.ask(ask).await?) }
    }

    /// Ends a subscription. The bus waits for it no more, and what it has parked is gone.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    fn unsubscribe(&self, name: &str) -> impl Future<Output = Result<(), BusError>> + Send {
        let ask = Ask::Unsubscribe(name.to_owned());
        async move { done(self.ask(ask).await?) }
    }

    /// Some of what a subscription has parked, from behind a position on.
    ///
    /// # Errors
    /// [`BusError`].
    fn parked(
        &self,
        name: &str,
        behind: Option<u64>,
    ) -> impl Future<Output = Result<Vec<Parked>, BusError>> + Send {
        let ask = Ask::Parked(name.to_owned(), behind);
        async move {
            match self.ask(ask).await? {
                Tell::Parked(parked) => Ok(parked),
                _ => Err(BusError::Foreign),
            }
        }
    }

    /// Has a parked post tried again, before what comes next.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    fn replay(
        &self,
        name: &str,
        position: u64,
    ) -> impl Future<Output = Result<(), BusError>> + Send {
        let ask = Ask::Replay(name.to_owned(), position);
        async move { done(self.ask(ask).await?) }
    }

    /// Drops a parked post.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    fn discard(
        &self,
        name: &str,
        position: u64,
    ) -> impl Future<Output = Result<(), BusError>> + Send {
        let ask = Ask::Drop(name.to_owned(), position);
        async move { done(self.ask(ask).await?) }
    }

    /// The first position that a subscription has not done, and how many posts it has parked or
    /// tries again.
    ///
    /// # Errors
    /// [`BusError`].
    fn standing(&self, name: &str) -> impl Future<Output = Result<(u64, u32), BusError>> + Send {
        let ask = Ask::Standing(name.to_owned());
        async move {
            match self.ask(ask).await? {
                Tell::Standing(next, parked) => Ok((next, parked)),
                _ => Err(BusError::Foreign),
            }
        }
    }

    /// Reads a subscription until `stopped` says stop: one post after the other, in order, each
    /// until `handler` has done it or it is parked: at once if the handler says that it cannot be
    /// handled, and else when it has failed too often. A post may come more than once. Of several
    /// readers of one subscription one is given posts; if it is not heard of for the bus's
    /// [claim](super::BusConfig::claim), another one takes over.
    ///
    /// # Errors
    /// If the node has stopped.
    fn read<H, F>(
        &self,
        env: &Env,
        name: &str,
        backoff: Backoff,
        mut stopped: Stop,
        mut handler: H,
    ) -> impl Future<Output = Result<(), BusError>> + Send
    where
        H: FnMut(Given) -> F + Send,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        async move {
            let (reader, mut call, mut failures) = (env.random(), 0, 0);
            let mut is_answered = true;
            while !stopped.stopped() {
                call += u64::from(is_answered);
                let fetched = self.ask(Ask::Fetch { name: name.to_owned(), reader, call }).await;
                is_answered = fetched.is_ok();
                let given = match fetched {
                    Ok(Tell::Given(given)) => given,
                    Err(error @ (BusError::Closed(_) | BusError::Call(CallError::Stopped))) => {
                        return Err(error);
                    }
                    _ => Vec::new(),
                };
                let mut wait = given.is_empty();
                for one in given {
                    let position = one.position;
                    let handled = handler(one).await;
                    let ask = match handled {
                        Ok(()) => Ask::Done(name.to_owned(), position),
                        Err(Failure::Retry(why)) => Ask::Failed(name.to_owned(), position, why),
                        Err(for_good) => Ask::Park(name.to_owned(), position, for_good.to_string()),
                    };
                    let (failed, done) =
                        (matches!(ask, Ask::Failed(..)), matches!(ask, Ask::Done(..)));
                    // What the bus has not heard of comes again.
                    let is_heard = self.ask(ask).await.is_ok();
                    failures = if failed { failures + 1 } else { 0 };
                    wait = failed || !is_heard || stopped.stopped();
                    // What could not be parked comes again before what is behind it.
                    if wait || !done {
                        break;
                    }
                }
                if wait {
                    let rest = env.sleep(backoff.after(failures.max(1), env));
                    race(stopped.wait(), rest).await;
                }
            }
            Ok(())
        }
    }
}

fn done(tell: Tell) -> Result<(), BusError> {
    match tell {
        Tell::Ok => Ok(()),
        _ => Err(BusError::Foreign),
    }
}
