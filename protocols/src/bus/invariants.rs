//! What holds of a bus at every moment: what its clients asked and were told, against what it
//! holds. A client shows it by [`Watched`].

use super::client::Witness;
use super::machine::Bus;
use super::types::{Ask, Tell};
use crate::queue::MessageId;
use squall_env::{Env, NodeId, Shown, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Something that a client asked or was told.
#[derive(Clone, Debug)]
enum Event {
    /// It was told that its post stands there.
    Posted(MessageId, u64),
    /// A subscription's reader was given the post there; or it was parked and is tried again.
    Given(String, u64, bool),
    /// A reader has done the post there and is about to say so.
    Doing(String, u64),
    /// It was told that the bus has heard of it.
    Done(String, u64),
    /// Somebody is about to drop the parked post there.
    Dropping(String, u64),
}

/// What the clients of a node asked and were told, in order. It grows with every operation: it is
/// for tests.
#[derive(Clone)]
pub struct Watched {
    env: Env,
    told: Arc<Shown<Told>>,
}

/// What is on show.
#[derive(Default)]
struct Told(Vec<Event>);

impl Watched {
    /// Shows what the clients of this node ask and are told.
    pub fn new(env: &Env) -> Watched {
        Watched { env: env.clone(), told: Arc::new(env.show("told", Told::default())) }
    }

    fn note(&self, event: Event) {
        self.env.trace(|| format!("bus: {event:?}"));
        self.told.update(&self.env, |told| told.0.push(event));
    }
}

impl Witness for Watched {
    async fn asks(&self, ask: &Ask) {
        match ask {
            Ask::Done(name, position) => self.note(Event::Doing(name.clone(), *position)),
            Ask::Drop(name, position) => self.note(Event::Dropping(name.clone(), *position)),
            _ => return,
        }
        // Whoever crashes in the moment in which it asks would show nothing of it any more.
        self.env.sleep(Duration::from_nanos(1)).await;
    }

    fn told(&self, ask: &Ask, tell: &Tell) {
        match (ask, tell) {
            (Ask::Post(post), Tell::Posted(position)) => {
                self.note(Event::Posted(post.id, *position));
            }
            (Ask::Fetch { name, .. }, Tell::Given(given)) => {
                for one in given {
                    self.note(Event::Given(name.clone(), one.position, one.is_replay));
                }
            }
            (Ask::Done(name, position), Tell::Ok) => {
                self.note(Event::Done(name.clone(), *position));
            }
            _ => {}
        }
    }
}

/// The events that a property has not yet heard, of all nodes and boots.
#[derive(Default)]
struct Ears(BTreeMap<(NodeId, u64), usize>);

impl Ears {
    fn news(&mut self, view: &View<'_>) -> Vec<Event> {
        let mut news = Vec::new();
        for told in view.changed::<Told>() {
            let heard = self.0.entry((told.node, told.number)).or_default();
            news.extend(told.0.iter().skip(*heard).cloned());
            *heard = told.0.len();
        }
        news
    }
}

/// Of what was posted, a subscription that was there goes on behind what a reader says is done, and
/// behind what it has parked, and behind nothing else; and what it has yet to do is on the bus.
/// The subscriptions are there before the first post, and take every kind.
pub fn nothing_is_left_out() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let (mut posted, mut done) = (BTreeSet::new(), BTreeSet::new());
    move |view| {
        for event in ears.news(view) {
            match event {
                Event::Posted(_, position) => drop(posted.insert(position)),
                Event::Doing(name, position) | Event::Dropping(name, position) => {
                    done.insert((name, position));
                }
                _ => {}
            }
        }
        let Some(bus) = view.up::<Bus>().next() else { return Ok(()) };
        let kept: BTreeSet<u64> = bus.state().posts().map(|(position, _)| position).collect();
        for (name, one) in bus.state().subscriptions() {
            let aside: BTreeSet<u64> =
                one.parked().map(|parked| parked.position).chain(one.replays()).collect();
            let is_left_out = |position: &&u64| {
                let waits = **position >= one.next() && kept.contains(*position);
                !waits
                    && !aside.contains(*position)
                    && !done.contains(&(name.to_owned(), **position))
            };
            if let Some(position) = posted.iter().find(is_left_out) {
                return Err(format!("{name} has left out the post at {position}"));
            }
        }
        Ok(())
    }
}

/// What was posted under one id has one position.
pub fn a_post_has_one_position() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let mut positions: BTreeMap<MessageId, u64> = BTreeMap::new();
    move |view| {
        for event in ears.news(view) {
            if let Event::Posted(id, position) = event {
                positions.entry(id).or_insert(position);
            }
        }
        let Some(bus) = view.up::<Bus>().next() else { return Ok(()) };
        let mut posts = bus.state().posts();
        let other = posts.find(|(at, post)| positions.get(&post.id).is_some_and(|p| p != at));
        match other {
            None => Ok(()),
            Some((at, post)) => Err(format!("{} stands at {at} and at another position", post.id)),
        }
    }
}

/// What comes to a subscription for the first time stands behind all that came before, but for what
/// was parked and is tried again.
pub fn posts_come_in_order() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let mut given: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    move |view| {
        for event in ears.news(view) {
            if let Event::Given(name, position, false) = event {
                let given = given.entry(name.clone()).or_default();
                let last = given.last().copied().unwrap_or_default();
                if given.insert(position) && position < last {
                    return Err(format!("{name} was given {position} after {last}"));
                }
            }
        }
        Ok(())
    }
}

/// A subscription does not go back behind what a reader was told to be done.
pub fn what_is_done_is_done() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut ears = Ears::default();
    let mut done: BTreeMap<String, u64> = BTreeMap::new();
    move |view| {
        for event in ears.news(view) {
            if let Event::Done(name, position) = event {
                let last = done.entry(name).or_default();
                *last = position.max(*last);
            }
        }
        let Some(bus) = view.up::<Bus>().next() else { return Ok(()) };
        for (name, one) in bus.state().subscriptions() {
            if let Some(last) = done.get(name).filter(|last| one.next() <= **last) {
                return Err(format!("{name} is to do {} again, and has done {last}", one.next()));
            }
        }
        Ok(())
    }
}
