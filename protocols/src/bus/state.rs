//! The durable state of a bus.

use super::types::{BATCH, Begin, BusConfig, Given, Parked, Post};
use crate::queue::MessageId;
use serde::{Deserialize, Serialize};
use squall_env::WallTime;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A subscription: where it stands, and what it has set aside.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    pub(super) kinds: BTreeSet<String>,
    /// The first position that is not done.
    next: u64,
    /// How often the post at its head was given.
    tries: u32,
    /// How that failed the last time.
    why: String,
    parked: BTreeMap<u64, Parked>,
    /// What is tried again, and how often it was given since.
    replays: BTreeMap<u64, (Parked, u32)>,
}

/// A durable change of a bus.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Record {
    /// Something was posted.
    Posted(Post),
    /// There is a subscription to these kinds, which begins there.
    Subscribed(String, BTreeSet<String>, Begin),
    /// There is none any more.
    Unsubscribed(String),
    /// The post at this position was given to a reader.
    Tried(String, u64),
    /// The post at this position is done.
    Done(String, u64),
    /// The post at this position failed.
    Failed(String, u64, String),
    /// The post at this position is parked, since this wall time.
    Parked(String, u64, WallTime),
    /// The parked post at this position is tried again.
    Replayed(String, u64),
    /// The parked post at this position is gone.
    Dropped(String, u64),
    /// The oldest post is gone, whoever waits for it.
    Evicted,
}

/// The posts that somebody waits for, and the subscriptions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The position of the next post.
    next: u64,
    posts: BTreeMap<u64, Post>,
    recent: BTreeMap<MessageId, u64>,
    order: VecDeque<MessageId>,
    subscriptions: BTreeMap<String, Subscription>,
}

impl State {
    pub(super) fn apply(&mut self, record: &Record, config: &BusConfig) {
        match record {
            Record::Posted(post) => self.post(post, config),
            Record::Subscribed(name, kinds, begin) => {
                let oldest = self.posts.keys().next().copied().unwrap_or(self.next);
                let next = if *begin == Begin::Oldest { oldest } else { self.next };
                let subscription = Subscription {
                    kinds: kinds.clone(),
                    next,
                    tries: 0,
                    why: String::new(),
                    parked: BTreeMap::new(),
                    replays: BTreeMap::new(),
                };
                self.subscriptions.insert(name.clone(), subscription);
            }
            Record::Unsubscribed(name) => drop(self.subscriptions.remove(name)),
            Record::Evicted => drop(self.posts.pop_first()),
            Record::Tried(name, position) => {
                self.change(name, |one| match one.replays.get_mut(position) {
                    Some((_, tries)) => *tries += 1,
                    None => one.tries += 1,
                });
            }
            Record::Done(name, position) => self.change(name, |one| {
                if one.replays.remove(position).is_none() && one.next <= *position {
                    one.go_behind(*position);
                }
            }),
            Record::Failed(name, position, why) => {
                self.change(name, |one| match one.replays.get_mut(position) {
                    Some((parked, _)) => why.clone_into(&mut parked.why),
                    None => why.clone_into(&mut one.why),
                });
            }
            Record::Parked(name, position, since) => self.park(name, *position, *since),
            Record::Replayed(name, position) => self.change(name, |one| {
                if let Some(parked) = one.parked.remove(position) {
                    one.replays.insert(*position, (parked, 0));
                }
            }),
            Record::Dropped(name, position) => {
                self.change(name, |one| drop(one.parked.remove(position)));
            }
        }
        self.forget();
    }

    fn post(&mut self, post: &Post, config: &BusConfig) {
        if self.recent.insert(post.id, self.next).is_none() {
            self.order.push_back(post.id);
        }
        while self.order.len() > config.remembers as usize {
            if let Some(id) = self.order.pop_front() {
                self.recent.remove(&id);
            }
        }
        self.posts.insert(self.next, post.clone());
        self.next += 1;
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Subscription)) {
        self.subscriptions.get_mut(name).map(change).unwrap_or_default();
    }

    fn park(&mut self, name: &str, position: u64, since: WallTime) {
        let post = self.posts.get(&position).cloned();
        self.change(name, |one| {
            if let Some((parked, _)) = one.replays.remove(&position) {
                one.parked.insert(position, Parked { since, ..parked });
            } else if let Some(post) = post {
                let why = std::mem::take(&mut one.why);
                one.parked.insert(position, Parked { position, post, why, since });
                one.go_behind(position);
            }
        });
    }

    /// Drops the posts that nobody waits for. A subscription waits for none that it does not want:
    /// else one whose kinds are never posted would hold up everybody.
    fn forget(&mut self) {
        for one in self.subscriptions.values_mut() {
            while self.posts.get(&one.next).is_some_and(|post| !one.wants(post)) {
                one.next += 1;
            }
        }
        let slowest = self.subscriptions.values().map(|one| one.next).min().unwrap_or(self.next);
        while self.posts.first_key_value().is_some_and(|(position, _)| *position < slowest) {
            self.posts.pop_first();
        }
    }

    /// The position of the next post.
    pub(super) fn end(&self) -> u64 {
        self.next
    }

    pub(super) fn position_of(&self, id: MessageId) -> Option<u64> {
        self.recent.get(&id).copied()
    }

    /// The posts that a reader of a subscription is to get next: one that is tried again, or the
    /// next ones in order.
    pub(super) fn next(&self, name: &str) -> Vec<Given> {
        let Some(one) = self.subscriptions.get(name) else { return Vec::new() };
        if let Some((position, (parked, _))) = one.replays.first_key_value() {
            let post = parked.post.clone();
            return vec![Given { position: *position, is_replay: true, post }];
        }
        let wanted = self.posts.range(one.next..).filter(|(_, post)| one.wants(post));
        let given = |(position, post): (&u64, &Post)| Given {
            position: *position,
            is_replay: false,
            post: post.clone(),
        };
        wanted.take(BATCH).map(given).collect()
    }

    /// How often the post that is next was given already.
    pub(super) fn tries(&self, name: &str, next: &Given) -> u32 {
        let Some(one) = self.subscriptions.get(name) else { return 0 };
        one.replays.get(&next.position).map_or(one.tries, |(_, tries)| *tries)
    }

    pub(super) fn has_room_to_park(&self, name: &str, config: &BusConfig) -> bool {
        let parked = self.subscriptions.get(name).map_or(0, |one| one.parked.len());
        parked < config.parked_max as usize
    }

    /// A subscription.
    pub fn subscription(&self, name: &str) -> Option<&Subscription> {
        self.subscriptions.get(name)
    }

    /// All subscriptions by their names.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, &Subscription)> {
        self.subscriptions.iter().map(|(name, one)| (name.as_str(), one))
    }

    /// The posts that are kept, by their positions.
    pub fn posts(&self) -> impl Iterator<Item = (u64, &Post)> {
        self.posts.iter().map(|(position, post)| (*position, post))
    }

    /// How many posts are kept.
    pub fn len(&self) -> usize {
        self.posts.len()
    }

    /// Whether no post is kept.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }
}

impl Subscription {
    fn go_behind(&mut self, position: u64) {
        self.next = position.saturating_add(1);
        self.tries = 0;
        self.why.clear();
    }

    fn wants(&self, post: &Post) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&post.kind)
    }

    /// The first position that is not done.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What is parked, by position.
    pub fn parked(&self) -> impl Iterator<Item = &Parked> {
        self.parked.values()
    }

    /// The positions of what was parked and is tried again.
    pub fn replays(&self) -> impl Iterator<Item = u64> {
        self.replays.keys().copied()
    }

    pub(super) fn is_parked(&self, position: u64) -> bool {
        self.parked.contains_key(&position)
    }

    pub(super) fn is_replay(&self, position: u64) -> bool {
        self.replays.contains_key(&position)
    }

    pub(super) fn unfinished(&self) -> u32 {
        (self.parked.len() + self.replays.len()) as u32
    }
}
