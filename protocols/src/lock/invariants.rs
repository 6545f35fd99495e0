//! What holds of locks at every moment, each with what it rests on. The oracles are what clients
//! were told and believed, in the order of the world's time, which no client knows.

use super::beliefs::{Belief, Beliefs};
use super::fence::{GUARDED, Guarded, Resource};
use super::guarded::Written;
use super::types::{AcquisitionId, Token};
use squall_env::shown::AuditView;
use squall_env::{Instant, NodeId, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A belief in the world's time.
struct Held {
    node: NodeId,
    name: String,
    token: Token,
    /// When the client wrote it down, by its own clock, in nanoseconds: tells later ones apart.
    written_ns: u64,
    until_ns: u64,
}

/// At no moment do two clients believe with right that they hold a lock, if no clock is off by more
/// than `drift_max_ppm` millionths and none stands still (Gray and Cheriton, 1989, section 5). A
/// client whose clock is fast believes for less of the world's time than it thinks; nothing else is
/// counted against it.
pub fn one_holder(drift_max_ppm: u32) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut held: BTreeMap<(NodeId, AcquisitionId), Held> = BTreeMap::new();
    move |view| {
        let now = view.now_ns();
        let mut still = BTreeMap::new();
        for beliefs in view.up::<Beliefs>() {
            for (id, belief) in &beliefs.holds {
                let key = (beliefs.node, *id);
                let written_ns = belief.at.as_nanos();
                let known = held.remove(&key).filter(|known| known.written_ns == written_ns);
                let until = || now + shortest(belief.left, drift_max_ppm);
                let until_ns = known.map_or_else(until, |known| known.until_ns);
                let (name, token) = (belief.name.clone(), belief.token);
                still.insert(key, Held { node: key.0, name, token, written_ns, until_ns });
            }
        }
        held = still;
        let mut holders: BTreeMap<&str, &Held> = BTreeMap::new();
        for one in held.values().filter(|one| one.until_ns > now) {
            if let Some(other) = holders.insert(&one.name, one) {
                return Err(format!(
                    "{:?} under token {} and {:?} under token {} both believe to hold {:?}",
                    other.node, other.token, one.node, one.token, one.name
                ));
            }
        }
        Ok(())
    }
}

/// How long a time by a client's clock lasts at least, in nanoseconds.
fn shortest(left: Duration, drift_max_ppm: u32) -> u64 {
    let scaled = left.as_nanos() * 1_000_000 / (1_000_000 + u128::from(drift_max_ppm));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Whoever comes to believe that he holds a lock has a greater token than everybody who came to
/// believe so before, over restarts of whoever keeps the lock, too (Kleppmann, 2016). It holds only
/// where [`one_holder`] does: else somebody may hear late of an earlier token.
pub fn tokens_strictly_increase() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut known: BTreeSet<AcquisitionId> = BTreeSet::new();
    let mut greatest: BTreeMap<String, Token> = BTreeMap::new();
    move |view| {
        for beliefs in view.changed::<Beliefs>() {
            for (id, Belief { name, token, .. }) in &beliefs.holds {
                if !known.insert(*id) {
                    continue;
                }
                let before = greatest.insert(name.clone(), *token);
                if let Some(before) = before.filter(|before| token <= before) {
                    return Err(format!(
                        "{name:?} was held under token {before}, and then under {token}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// A lease is not renewed behind a later holder, whatever clocks do: at most once is somebody told
/// so after another has come to hold the lock, by an answer that was on its way.
pub fn no_renewal_behind_a_later_holder() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut greatest: BTreeMap<String, Token> = BTreeMap::new();
    // When each lease was renewed last, by its holder's clock, and how often behind another.
    let mut renewed: BTreeMap<AcquisitionId, (Instant, u32)> = BTreeMap::new();
    move |view| {
        for beliefs in view.changed::<Beliefs>() {
            for (id, Belief { name, token, at, .. }) in &beliefs.holds {
                let greatest = greatest.entry(name.clone()).or_default();
                *greatest = (*greatest).max(*token);
                let last = renewed.entry(*id).or_insert((*at, 0));
                if last.0 != *at {
                    last.0 = *at;
                    last.1 += u32::from(token < greatest);
                }
                if last.1 > 1 {
                    let node = beliefs.node;
                    return Err(format!(
                        "{node:?} goes on renewing token {token} of {name:?} behind {greatest}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// A token is given to one acquisition, whatever clocks do.
pub fn a_token_is_given_once() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut given: BTreeMap<(String, Token), AcquisitionId> = BTreeMap::new();
    move |view| {
        for beliefs in view.changed::<Beliefs>() {
            for (id, belief) in &beliefs.holds {
                let token = (belief.name.clone(), belief.token);
                let first = *given.entry(token).or_insert(*id);
                if first != *id {
                    let (token, name) = (belief.token, &belief.name);
                    return Err(format!(
                        "{first:?} and {id:?} both have token {token} of {name:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What is known of an acquisition, by the world's time in nanoseconds.
#[derive(Default)]
struct Came {
    name: String,
    began: u64,
    /// When it was told that it stands in the queue.
    waited: Option<u64>,
    token: Option<Token>,
}

/// Whoever had been told that he waits before another began to ask gets the lock before the other,
/// if he gets it at all: tokens go by the order in the queue. One who was served and heard of it
/// too late begins anew, as another acquisition.
pub fn first_come_first_served() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut all: BTreeMap<AcquisitionId, Came> = BTreeMap::new();
    move |view| {
        let now = view.now_ns();
        for beliefs in view.changed::<Beliefs>() {
            for (id, asking) in &beliefs.asks {
                let began = || Came { name: asking.name.clone(), began: now, ..Came::default() };
                let came = all.entry(*id).or_insert_with(began);
                if asking.waits && came.waited.is_none() {
                    came.waited = Some(now);
                }
            }
            for (id, belief) in &beliefs.holds {
                let Some(came) = all.get_mut(id).filter(|came| came.token.is_none()) else {
                    continue;
                };
                came.token = Some(belief.token);
                let (name, began, waited) = (came.name.clone(), came.began, came.waited);
                let same = || all.values().filter(|other| other.name == name);
                let overtakes = |other: &Came| {
                    let (Some(token), mine) = (other.token, belief.token) else { return false };
                    let came_first = |waited: Option<u64>, began| waited.is_some_and(|w| w < began);
                    came_first(other.waited, began) && mine < token
                        || came_first(waited, other.began) && token < mine
                };
                if let Some(other) = same().find(|other| overtakes(other)) {
                    return Err(format!(
                        "token {} of {name:?} went to {id:?}, and {:?} to somebody else, against \
                         the order in which they came",
                        belief.token, other.token
                    ));
                }
            }
        }
        Ok(())
    }
}

/// No write at a guarded resource has a smaller token than one before it.
pub fn tokens_at_the_resource_never_go_back<R: Resource>()
-> impl FnMut(&View<'_>) -> Result<(), String> {
    // A restart may take back what was not durable; the exhibit then has another number.
    let mut last: BTreeMap<NodeId, (u64, Token)> = BTreeMap::new();
    move |view| {
        for guarded in view.changed::<Guarded<R>>() {
            let now = (guarded.number, guarded.last().0);
            if let Some(before) = last.insert(guarded.node, now)
                && before.0 == now.0
                && now.1 < before.1
            {
                let node = guarded.node;
                return Err(format!("{node:?} took token {} and then {}", before.1, now.1));
            }
        }
        Ok(())
    }
}

/// A token under which a client was told that it has written is on the resource's disk, whatever
/// crashes now: without that a smaller one could come through.
pub fn written_tokens_are_durable<R: Resource>(
    role: &'static str,
) -> impl FnMut(&AuditView<'_>) -> Result<(), String> {
    move |audit| {
        let Some(told) = audit.view().up::<Written>().map(|written| written.0).max() else {
            return Ok(());
        };
        let nodes: Vec<NodeId> = audit.roster().nodes(role).collect();
        for node in nodes {
            let recovered = audit.recover::<Guarded<R>>(node, GUARDED, &())?;
            let greatest = recovered.fence().greatest();
            if greatest < told {
                return Err(format!("token {told} was acknowledged, and {greatest} is durable"));
            }
        }
        Ok(())
    }
}
