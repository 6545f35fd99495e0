//! Leases that clients keep alive for a while, with all that a cluster survives: they last as long
//! as was promised, and not for ever.

use super::{OPERATION_MAX, member, watching};
use crate::raft::{self, members};
use squall::{Client, Most, Operation, Scenario};
use squall_env::platform::BindError;
use squall_env::{Env, Shown, View};
use squall_protocols::raft::{Index, Raft};
use squall_protocols::store::{Change, Refused, Store, StoreClient, StoreError, Txn};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The property that leases are for.
const LASTS: &str = "a lease lasts its time since its last acknowledged keep-alive";
/// The property of the keys of a lease.
const GOES: &str = "a key goes with its lease";
const TOGETHER: &str = "the keys of a lease go at one revision";
/// The liveness of leases.
const ENDS: &str = "leases that nobody keeps alive end";

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 24;

/// The rate of a clock is wrong by two hundredths at most: a leader whose clock runs fast by so
/// much ends a lease of 102 s after 100 s.
const RATE: (u64, u64) = (100, 102);

/// Leases on three or five members, kept alive, revoked and left to themselves by clients.
pub fn leases() -> Scenario {
    let members = Scenario::new("config/leases").nodes("member", 3..=5, member);
    raft::properties::<Store>(members)
        .clients("client", 2..=3, workload)
        .clients("watcher", 1..=1, |client| watching::watch(client, OPERATIONS, 800_000))
        .tolerates(raft::tolerance().impaired("watcher", Most::Any))
        .always(super::ONCE, watching::hears_once)
        .always(LASTS, lasts)
        .always(GOES, || keys_go)
        .always(TOGETHER, together)
        .eventually(ENDS, Duration::from_secs(30), || {
            |view: &View<'_>| {
                view.up::<Raft<Store>>().all(|member| member.state().leases().next().is_none())
            }
        })
        .sometimes("leases expired")
        .sometimes("a new leader inherited a lease")
        .sometimes("a lease ended before its client was done with it")
        .finishes_within(Duration::from_secs(60))
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub(super) fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        leases().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("store/expires-renewed-leases", LASTS),
        mutant("store/expires-leases-when-elected", LASTS),
        mutant("store/forgets-leases-when-elected", ENDS),
        mutant("store/puts-without-their-lease", GOES),
    ]
}

/// What a client has done with its leases so far.
#[derive(Default)]
struct Deeds(BTreeMap<u64, Deed>);

#[derive(Default)]
struct Deed {
    ttl_ms: u64,
    /// How often it has asked to have the lease last anew, the grant included.
    asked: u64,
    /// Which of these was the last to be acknowledged.
    told: u64,
    /// It has asked to have it ended.
    revoked: bool,
}

/// A client with at most one lease at a time.
struct Holder {
    env: Env,
    store: StoreClient,
    deeds: Shown<Deeds>,
    lease: Option<u64>,
}

async fn workload(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let store = StoreClient::open(&env, members(&env))?;
    let deeds = env.show("leases", Deeds::default());
    let mut holder = Holder { env: env.clone(), store, deeds, lease: None };
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(2, 900_000))).await;
        // Whether it worked is on show.
        let done = holder.operate(operation).await;
        if let Err(StoreError::Refused(Refused::NoLease { .. })) = done {
            env.sometimes("a lease ended before its client was done with it");
            holder.lease = None;
        }
    }
    client.after_heal().await;
    Ok(())
}

impl Holder {
    async fn operate(&mut self, operation: Operation) -> Result<(), StoreError> {
        let Some(id) = self.lease else {
            // A number that no other boot of a client takes.
            let id = self.env.random() | 1;
            let ttl_ms = 1_000 + operation.draw(3, 2_000);
            return self.renew(id, Some(ttl_ms)).await;
        };
        match operation.draw(1, 12) {
            0 => {
                self.deed(id, |deed| deed.revoked = true);
                // If it crashed in the step in which it also sends, nobody would have seen that.
                self.env.sleep(Duration::from_micros(1)).await;
                self.store.revoke(id, OPERATION_MAX).await?;
                self.lease = None;
            }
            1..=4 => {
                let key = format!("service/lease/{id}/{}", operation.draw(4, 3));
                let txn = Txn::put(&key, operation.number().to_le_bytes()).with_lease(id);
                self.store.transact(txn, OPERATION_MAX).await?;
            }
            _ => self.renew(id, None).await?,
        }
        Ok(())
    }

    /// Has the lease granted or kept alive.
    async fn renew(&mut self, id: u64, grant: Option<u64>) -> Result<(), StoreError> {
        self.lease = Some(id);
        let asked = self.deed(id, |deed| {
            deed.ttl_ms = grant.unwrap_or(deed.ttl_ms);
            deed.asked += 1;
            deed.asked
        });
        match grant {
            Some(ttl_ms) => self.store.grant(Some(id), ttl_ms, OPERATION_MAX).await?,
            None => self.store.keep_alive(id, OPERATION_MAX).await?,
        };
        self.deed(id, |deed| deed.told = asked);
        Ok(())
    }

    fn deed<R>(&self, id: u64, change: impl FnOnce(&mut Deed) -> R) -> R {
        self.deeds.update(&self.env, |deeds| change(deeds.0.entry(id).or_default()))
    }
}

/// What is known of a lease by the world's own clock, in nanoseconds.
#[derive(Default)]
struct Known {
    ttl_ms: u64,
    /// When its client asked for it, how often ever.
    asked: BTreeMap<u64, u64>,
    /// The last time that counts: when what was acknowledged had been asked.
    renewed: Option<u64>,
    revoked: bool,
    /// The last entry behind which a member had it.
    seen: Option<Index>,
    ended: Option<u64>,
}

impl Known {
    fn is_kept(&self, id: u64) -> Result<(), String> {
        let (Some(ended), Some(renewed), false) = (self.ended, self.renewed, self.revoked) else {
            return Ok(());
        };
        let least = self.ttl_ms * 1_000_000 * RATE.0 / RATE.1;
        let lasted = ended.saturating_sub(renewed);
        if lasted >= least {
            return Ok(());
        }
        let lasted = Duration::from_nanos(lasted);
        Err(format!("lease {id} of {} ms ends {lasted:?} after it was renewed", self.ttl_ms))
    }
}

/// No lease ends early that its client has not revoked.
fn lasts() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    move |view| {
        let now = view.now_ns();
        for deeds in view.changed::<Deeds>() {
            for (id, deed) in &deeds.0 {
                let known = known.entry(*id).or_default();
                (known.ttl_ms, known.revoked) = (deed.ttl_ms, deed.revoked);
                known.asked.entry(deed.asked).or_insert(now);
                known.renewed = known.asked.get(&deed.told).copied();
            }
        }
        for member in view.changed::<Raft<Store>>() {
            let there: BTreeSet<u64> = member.state().leases().map(|lease| lease.id).collect();
            for (id, known) in known.iter_mut().filter(|(_, known)| known.ended.is_none()) {
                if there.contains(id) {
                    known.seen = known.seen.max(Some(member.applied()));
                } else if known.seen.is_some_and(|seen| seen < member.applied()) {
                    known.ended = Some(now);
                }
            }
        }
        known.iter().try_for_each(|(id, known)| known.is_kept(*id))
    }
}

/// The lease that a key is named after.
fn named_after(key: &str) -> Option<u64> {
    key.strip_prefix("service/lease/")?.split('/').next()?.parse().ok()
}

/// Where there is a key that was put with a lease, there is the lease.
fn keys_go(view: &View<'_>) -> Result<(), String> {
    for member in view.changed::<Raft<Store>>() {
        let leases: BTreeSet<u64> = member.state().leases().map(|lease| lease.id).collect();
        for there in member.state().keys() {
            if named_after(&there.key).is_some_and(|id| !leases.contains(&id)) {
                return Err(format!("{:?} has {:?} without its lease", member.node, there.key));
            }
        }
    }
    Ok(())
}

/// Nobody removes the keys of a lease one by one.
fn together() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut gone: BTreeMap<u64, u64> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<Store>>() {
            for event in member.state().events() {
                let Change::Delete(key) = &event.change else { continue };
                let Some(id) = named_after(key) else { continue };
                let revision = *gone.entry(id).or_insert(event.revision);
                if revision != event.revision {
                    let at = event.revision;
                    return Err(format!("{key:?} goes at {at}, others of its lease at {revision}"));
                }
            }
        }
        Ok(())
    }
}
