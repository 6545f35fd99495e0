//! A bus: one log of posts, and a position in it for every subscription.

use super::state::{Image, Record, State};
use super::types::{
    Ask, BATCH, BODY_MAX, Begin, BusConfig, Given, Post, Refused, SUBSCRIPTIONS_MAX, TEXT_MAX, Tell,
};
use squall_env::machine::RequestId;
use squall_env::{Instant, Machine, Never, Turn, mutant};
use std::collections::{BTreeMap, BTreeSet};

/// So many records, or as many as there are posts, and a snapshot replaces them.
const RECORDS_MAX: usize = 128;

/// Whose a subscription is. A reader that lives claims it again, so this need not be durable.
struct Claim {
    reader: u64,
    call: u64,
    until: Instant,
    /// What its last call gave.
    given: Vec<Given>,
}

/// A bus. Its durable part is a [`State`].
pub struct Bus {
    config: BusConfig,
    state: State,
    claims: BTreeMap<String, Claim>,
    since_snapshot: usize,
}

type Answer = Result<Tell, Refused>;

impl Bus {
    /// Its posts and subscriptions.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn persist(&mut self, record: Record, turn: &mut Turn<Bus>) {
        turn.trace(|| format!("persists {record:?}"));
        turn.persist(self, record);
        self.since_snapshot += 1;
        if self.since_snapshot >= RECORDS_MAX.max(self.state.len()) {
            self.since_snapshot = 0;
            turn.compact();
        }
    }

    fn ask(&mut self, ask: Ask, turn: &mut Turn<Bus>) -> Answer {
        match ask {
            Ask::Post(post) => self.post(post, turn),
            Ask::Subscribe(name, kinds, begin) => self.subscribe(name, kinds, begin, turn),
            Ask::Unsubscribe(name) => {
                if self.state.subscription(&name).is_some() {
                    self.claims.remove(&name);
                    self.persist(Record::Unsubscribed(name), turn);
                }
                Ok(Tell::Ok)
            }
            Ask::Fetch { name, reader, call } => self.fetch(name, (reader, call), turn),
            Ask::Done(name, position) => self.done(name, position, turn),
            Ask::Failed(name, position, why) => self.failed(name, (position, false), why, turn),
            Ask::Park(name, position, why) => self.failed(name, (position, true), why, turn),
            Ask::Parked(name, behind) => {
                let from = behind.map_or(0, |position| position.saturating_add(1));
                let parked = self.subscription(&name)?.parked();
                let parked = parked.filter(|parked| parked.position >= from).take(BATCH / 2);
                Ok(Tell::Parked(parked.collect()))
            }
            Ask::Replay(name, position) => {
                let one = self.subscription(&name)?;
                if one.is_parked(position) {
                    turn.sometimes("a parked post was replayed");
                    self.persist(Record::Replayed(name, position), turn);
                } else if !one.is_replay(position) {
                    return Err(Refused::NotParked);
                }
                Ok(Tell::Ok)
            }
            Ask::Drop(name, position) => {
                if !self.subscription(&name)?.is_parked(position) {
                    return Err(Refused::NotParked);
                }
                turn.sometimes("a parked post was dropped");
                self.persist(Record::Dropped(name, position), turn);
                Ok(Tell::Ok)
            }
            Ask::Standing(name) => {
                let one = self.subscription(&name)?;
                Ok(Tell::Standing(one.next(), one.unfinished()))
            }
        }
    }

    fn subscription(&self, name: &str) -> Result<&super::state::Subscription, Refused> {
        self.state.subscription(name).ok_or(Refused::NoSubscription)
    }

    fn post(&mut self, post: Post, turn: &mut Turn<Bus>) -> Answer {
        if let Some(position) = self.state.position_of(post.id)
            && !mutant!(turn, "bus/posts-again-what-is-tried-again")
        {
            turn.sometimes("something was posted again");
            return Ok(Tell::Posted(position));
        }
        if post.body.len() > BODY_MAX || post.kind.len() > TEXT_MAX {
            return Err(Refused::TooLarge);
        }
        if self.state.len() >= self.config.posts_max as usize {
            turn.sometimes("a bus was full");
            if !mutant!(turn, "bus/drops-the-oldest-when-full") {
                return Err(Refused::Full);
            }
            self.persist(Record::Evicted, turn);
        }
        let id = post.id;
        self.persist(Record::PostedAt(post, turn.wall()), turn);
        Ok(Tell::Posted(self.state.position_of(id).unwrap_or_default()))
    }

    fn subscribe(
        &mut self,
        name: String,
        kinds: BTreeSet<String>,
        begin: Begin,
        turn: &mut Turn<Bus>,
    ) -> Answer {
        if let Some(there) = self.state.subscription(&name) {
            return if there.kinds == kinds { Ok(Tell::Ok) } else { Err(Refused::Differs) };
        }
        let bytes: usize = kinds.iter().map(String::len).sum();
        if name.is_empty() || name.len() > TEXT_MAX || bytes > TEXT_MAX {
            return Err(Refused::TooLarge);
        }
        if self.state.subscriptions().count() >= SUBSCRIPTIONS_MAX {
            return Err(Refused::TooMany);
        }
        self.persist(Record::Subscribed(name, kinds, begin), turn);
        Ok(Tell::Ok)
    }

    fn fetch(&mut self, name: String, (reader, call): (u64, u64), turn: &mut Turn<Bus>) -> Answer {
        self.subscription(&name)?;
        let (now, until) = (turn.now(), turn.now() + self.config.claim);
        match self.claims.get_mut(&name) {
            Some(claim) if claim.reader == reader && claim.call >= call => {
                claim.until = until;
                let given = if claim.call == call { claim.given.clone() } else { Vec::new() };
                return Ok(Tell::Given(given));
            }
            Some(claim) if claim.reader != reader && now < claim.until => {
                turn.sometimes("a subscription was another reader's");
                return Ok(Tell::Given(Vec::new()));
            }
            _ => {}
        }
        let mut given = self.give(&name, turn);
        if mutant!(turn, "bus/gives-the-last-first") {
            given.reverse();
        }
        self.claims.insert(name, Claim { reader, call, until, given: given.clone() });
        Ok(Tell::Given(given))
    }

    /// The next posts, the first of which counts as tried. What was tried often enough is parked.
    fn give(&mut self, name: &str, turn: &mut Turn<Bus>) -> Vec<Given> {
        loop {
            let given = self.state.next(name);
            let Some(first) = given.first() else { return given };
            let position = first.position;
            if self.state.tries(name, first) < self.config.attempts_max {
                self.persist(Record::Tried(name.to_owned(), position), turn);
                if mutant!(turn, "bus/moves-on-before-it-is-done") {
                    self.persist(Record::Done(name.to_owned(), position), turn);
                }
                return given;
            }
            if !self.park(name, position, turn) {
                return Vec::new();
            }
        }
    }

    /// Parks a post, unless there is no room for it: then its subscription stands still.
    fn park(&mut self, name: &str, position: u64, turn: &mut Turn<Bus>) -> bool {
        if !self.state.has_room_to_park(name, &self.config) {
            turn.sometimes("a subscription could park no more");
            return false;
        }
        turn.sometimes("a post was parked");
        let record = if mutant!(turn, "bus/drops-what-it-should-park") {
            Record::Done(name.to_owned(), position)
        } else {
            Record::Parked(name.to_owned(), position, turn.wall())
        };
        self.persist(record, turn);
        true
    }

    fn renew(&mut self, name: &str, turn: &Turn<Bus>) {
        let until = turn.now() + self.config.claim;
        if let Some(claim) = self.claims.get_mut(name) {
            claim.until = until;
        }
    }

    fn done(&mut self, name: String, position: u64, turn: &mut Turn<Bus>) -> Answer {
        let one = self.subscription(&name)?;
        if position >= self.state.end() {
            return Err(Refused::NoPost);
        }
        if one.is_replay(position) || one.next() <= position {
            self.renew(&name, turn);
            self.persist(Record::Done(name, position), turn);
        }
        Ok(Tell::Ok)
    }

    /// The post at a position has failed, perhaps for good.
    fn failed(
        &mut self,
        name: String,
        (position, for_good): (u64, bool),
        why: String,
        turn: &mut Turn<Bus>,
    ) -> Answer {
        if why.len() > TEXT_MAX {
            return Err(Refused::TooLarge);
        }
        self.subscription(&name)?;
        let next = self.state.next(&name).into_iter().next();
        if let Some(first) = next.filter(|first| first.position == position) {
            self.renew(&name, turn);
            self.persist(Record::Failed(name.clone(), position, why), turn);
            if for_good || self.state.tries(&name, &first) >= self.config.attempts_max {
                self.park(&name, position, turn);
            }
        }
        Ok(Tell::Ok)
    }
}

impl Machine for Bus {
    type Config = BusConfig;
    type Timer = Never;
    type Message = Never;
    type Request = Ask;
    type Reply = Tell;
    type Record = Record;
    type Snapshot = Image;

    fn restore(config: &BusConfig, snapshot: Option<Image>) -> Bus {
        let state = snapshot.map(Image::into_state).unwrap_or_default();
        Bus { config: *config, state, claims: BTreeMap::new(), since_snapshot: 0 }
    }

    fn apply(&mut self, record: &Record) {
        self.state.apply(record, &self.config);
    }

    fn snapshot(&self) -> Image {
        Image::of(&self.state)
    }

    fn on_start(&mut self, turn: &mut Turn<Bus>) {
        if mutant!(turn, "bus/forgets-positions-at-restart") {
            let all = self.state.subscriptions();
            let all: Vec<_> = all.map(|(name, one)| (name.to_owned(), one.kinds.clone())).collect();
            for (name, kinds) in all {
                self.persist(Record::Subscribed(name, kinds, Begin::Oldest), turn);
            }
        }
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<Bus>) {
        let told = self.ask(ask, turn).unwrap_or_else(Tell::Refused);
        turn.reply(id, told);
    }
}
