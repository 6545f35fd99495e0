//! The durable state of a bus.

use super::types::{BATCH, Begin, BusConfig, Given, Parked, Post};
use crate::later::Later;
use crate::queue::MessageId;
use serde::{Deserialize, Serialize};
use squall_env::WallTime;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A post that somebody waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Kept {
    post: Post,
    /// When it was posted. An [`Image`] has it beside the state.
    #[serde(skip)]
    posted: Option<WallTime>,
}

/// A post that is parked or tried again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Aside {
    position: u64,
    kept: Kept,
    why: String,
    since: WallTime,
}

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
    parked: BTreeMap<u64, Aside>,
    /// What is tried again, and how often it was given since.
    replays: BTreeMap<u64, (Aside, u32)>,
}

/// A durable change of a bus. Journals hold the numbers of the variants: new ones come last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Record {
    /// Something was posted; so in earlier versions.
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
    /// Something was posted, at this wall time.
    PostedAt(Post, WallTime),
}

/// The posts that somebody waits for, and the subscriptions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The position of the next post.
    next: u64,
    posts: BTreeMap<u64, Kept>,
    recent: BTreeMap<MessageId, u64>,
    order: VecDeque<MessageId>,
    subscriptions: BTreeMap<String, Subscription>,
}

/// A state as a snapshot has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Image {
    state: State,
    /// When what stands at these positions was posted.
    posted: Later<BTreeMap<u64, WallTime>>,
}

impl Image {
    pub(super) fn of(state: &State) -> Image {
        let mut state = state.clone();
        let each = |(position, kept): (u64, &mut Kept)| kept.posted.map(|at| (position, at));
        let posted = state.each().filter_map(each).collect();
        Image { state, posted: Later(posted) }
    }

    pub(super) fn into_state(self) -> State {
        let Image { mut state, posted: Later(posted) } = self;
        state.each().for_each(|(position, kept)| kept.posted = posted.get(&position).copied());
        state
    }
}

impl State {
    /// All posts, those that are set aside counted, with their positions.
    fn each(&mut self) -> impl Iterator<Item = (u64, &mut Kept)> {
        let aside = self.subscriptions.values_mut().flat_map(|one| {
            let again = one.replays.values_mut().map(|(aside, _)| aside);
            one.parked.values_mut().chain(again).map(|aside| (aside.position, &mut aside.kept))
        });
        self.posts.iter_mut().map(|(position, kept)| (*position, kept)).chain(aside)
    }

    pub(super) fn apply(&mut self, record: &Record, config: &BusConfig) {
        match record {
            Record::Posted(post) => self.post(post, None, config),
            Record::PostedAt(post, wall) => self.post(post, Some(*wall), config),
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

    fn post(&mut self, post: &Post, posted: Option<WallTime>, config: &BusConfig) {
        if self.recent.insert(post.id, self.next).is_none() {
            self.order.push_back(post.id);
        }
        while self.order.len() > config.remembers as usize {
            if let Some(id) = self.order.pop_front() {
                self.recent.remove(&id);
            }
        }
        self.posts.insert(self.next, Kept { post: post.clone(), posted });
        self.next += 1;
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Subscription)) {
        self.subscriptions.get_mut(name).map(change).unwrap_or_default();
    }

    fn park(&mut self, name: &str, position: u64, since: WallTime) {
        let kept = self.posts.get(&position).cloned();
        self.change(name, |one| {
            if let Some((aside, _)) = one.replays.remove(&position) {
                one.parked.insert(position, Aside { since, ..aside });
            } else if let Some(kept) = kept {
                let why = std::mem::take(&mut one.why);
                one.parked.insert(position, Aside { position, kept, why, since });
                one.go_behind(position);
            }
        });
    }

    /// Drops the posts that nobody waits for. A subscription waits for none that it does not want:
    /// else one whose kinds are never posted would hold up everybody.
    fn forget(&mut self) {
        for one in self.subscriptions.values_mut() {
            while self.posts.get(&one.next).is_some_and(|kept| !one.wants(&kept.post)) {
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
        let given = |(position, is_replay, kept): (&u64, bool, &Kept)| Given {
            position: *position,
            is_replay,
            posted: kept.posted,
            post: kept.post.clone(),
        };
        if let Some((position, (aside, _))) = one.replays.first_key_value() {
            return vec![given((position, true, &aside.kept))];
        }
        let wanted = self.posts.range(one.next..).filter(|(_, kept)| one.wants(&kept.post));
        wanted.take(BATCH).map(|(position, kept)| given((position, false, kept))).collect()
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
        self.posts.iter().map(|(position, kept)| (*position, &kept.post))
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
    pub fn parked(&self) -> impl Iterator<Item = Parked> {
        self.parked.values().map(|aside| Parked {
            position: aside.position,
            post: aside.kept.post.clone(),
            posted: aside.kept.posted,
            why: aside.why.clone(),
            since: aside.since,
        })
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
