//! Scenarios of locks: clients that deposit into an account under a lock, with all that can go
//! wrong between them.

pub(crate) mod account;
pub mod example;
mod load;

pub use account::{Account, Balance};

use crate::raft;
use crate::tolerance;
use account::deposits_count;
pub(crate) use load::deposit_carelessly;
use load::{Conduct, Wrong};
use squall::{Fault, Most, Scenario, Tolerance};
use squall_env::{Env, View};
use squall_protocols::lock::{self, Beliefs, Table, guard, invariants, serve, serve_on_raft};
use squall_protocols::raft::{Config, ServeError};
use std::collections::BTreeMap;
use std::time::Duration;

/// Mutual exclusion.
pub const ONE: &str = "no two clients believe with right that they hold a lock";
/// The same, where what clients believe can be seen at every moment.
const MOMENT: &str = "no two clients hold a lock at the same moment";
/// The property of tokens.
pub const TOKENS: &str = "later holders have greater tokens";
const ONCE: &str = "a token is given once";
/// The property of what is guarded.
pub const GUARDED: &str = "tokens at the resource never go back";
const BEHIND: &str = "no lease is renewed behind a later holder";
/// What locks are for.
pub const SUM: &str = "no deposit is lost or made twice";
const DURABLE: &str = "tokens of acknowledged writes are durable";
const FIRST: &str = "who waits first is served first";
const LOST: &str = "a holder hears that its lease is lost";
const ENDS: &str = "renewals end with their leases";
const SERVED: &str = "after the faults everybody gets the lock";

/// Locks on one durable server, which crashes, stands still and cannot be reached, as its clients
/// do and the account that they share.
pub fn single() -> Scenario {
    let nodes = Scenario::new("lock/single")
        .nodes("lock", 1..=1, serve)
        .nodes("account", 1..=1, guard::<Account>)
        .clients("client", 2..=4, |client| load::on_one_server(client, Conduct::Careful));
    within_bounds(guarded(nodes))
        .tolerates(tolerance("lock", Most::Any).but_not(Fault::Suspend))
        .sometimes("a server started anew with leases")
}

/// The same where nothing happens but that clocks run fast or slow and nodes are parted: a lease
/// ends by two clocks, and nothing else is in the way of whoever waits for it.
pub fn by_two_clocks() -> Scenario {
    let none = Tolerance::nothing().impaired("lock", Most::Any).impaired("client", Most::Any);
    let nodes = Scenario::new("lock/by-two-clocks")
        .nodes("lock", 1..=1, serve)
        .nodes("account", 1..=1, guard::<Account>)
        .clients("client", 3..=4, load::for_long);
    guarded(nodes)
        .heals_after(Duration::from_secs(20))
        .always(MOMENT, || at_this_moment)
        .tolerates(none.fault(Fault::ClockRate).fault(Fault::Partition))
        .finishes_within(Duration::from_secs(60))
}

/// Nobody stands still here, so that who has ceased to believe has said so.
fn at_this_moment(view: &View<'_>) -> Result<(), String> {
    let mut holders = BTreeMap::new();
    for beliefs in view.up::<Beliefs>() {
        for belief in beliefs.holds.values() {
            if let Some(other) = holders.insert(belief.name.clone(), beliefs.node) {
                return Err(format!("{other:?} and {:?} hold {:?}", beliefs.node, belief.name));
            }
        }
    }
    Ok(())
}

/// Locks on a cluster of which a minority at a time fails.
pub fn raft() -> Scenario {
    within_bounds(cluster("lock/raft"))
        .tolerates(tolerance("member", Most::Minority).but_not(Fault::Suspend))
        .sometimes("a new leader inherited a lease")
        .sometimes("leases expired")
}

/// Locks on a cluster, with all that holds of them however clocks run.
pub(crate) fn cluster(name: &str) -> Scenario {
    let nodes = Scenario::new(name)
        .nodes("member", 3..=5, member)
        .nodes("account", 1..=1, guard::<Account>)
        .clients("client", 2..=3, load::on_a_cluster);
    guarded(raft::properties::<Table>(nodes)).finishes_within(Duration::from_secs(60))
}

async fn member(env: Env) -> Result<(), ServeError> {
    let config = Config::of(raft::members(&env));
    serve_on_raft(env, config).await
}

/// The same with holders that never look whether they still hold the lock, and clocks beyond any
/// bound that was declared: there the tokens alone keep the account right.
pub fn fenced() -> Scenario {
    let nodes = Scenario::new("lock/fenced")
        .nodes("lock", 1..=1, serve)
        .nodes("account", 1..=1, guard::<Account>)
        .clients("client", 2..=4, |client| load::on_one_server(client, Conduct::Careless));
    guarded(nodes)
        .tolerates(tolerance("lock", Most::Any))
        .sometimes("a stale holder was refused")
        .finishes_within(Duration::from_secs(60))
}

fn tolerance(role: &str, most: Most) -> Tolerance {
    // Nobody asks for the time of day.
    tolerance::of_durable(&["account", "client"]).impaired(role, most).but_not(Fault::WallDrift)
}

/// What holds whatever clocks do.
pub(crate) fn guarded(scenario: Scenario) -> Scenario {
    scenario
        .always(ONCE, invariants::a_token_is_given_once)
        .always(BEHIND, invariants::no_renewal_behind_a_later_holder)
        .always(GUARDED, invariants::tokens_at_the_resource_never_go_back::<Account>)
        .always(SUM, deposits_count)
        .always(SERVED, || holds(|wrong| wrong.starved))
        .audit(DURABLE, || invariants::written_tokens_are_durable::<Account>("account"))
}

/// What holds besides if no clock is off by more than was declared.
fn within_bounds(scenario: Scenario) -> Scenario {
    exclusive(scenario)
        .always(TOKENS, invariants::tokens_strictly_increase)
        .always(FIRST, invariants::first_come_first_served)
        .always(LOST, || holds(|wrong| wrong.never_lost))
        .always(ENDS, || holds(|wrong| wrong.renews))
        .sometimes("a client waits for its turn")
        .sometimes("a lease was lost")
        .sometimes("a renewal was tried again")
        .sometimes("an acquisition was asked for again")
        .finishes_within(Duration::from_secs(60))
}

/// Mutual exclusion, within the bound of clocks that is the default.
pub(crate) fn exclusive(scenario: Scenario) -> Scenario {
    scenario.always(ONE, || invariants::one_holder(lock::Config::default().drift_max_ppm))
}

fn holds(wrong: fn(&Wrong) -> bool) -> impl FnMut(&View<'_>) -> Result<(), String> {
    move |view| match view.changed::<Wrong>().find(|seen| wrong(seen)) {
        None => Ok(()),
        Some(seen) => Err(format!("{:?} has seen it", seen.node)),
    }
}

fn mutant_of(scenario: Scenario, switch: &'static str, breaks: &'static str) -> Scenario {
    let name = switch.replace("store/", "lock-on-raft-").replace('/', "-");
    scenario.mutant(&format!("mutant/{name}"), switch, breaks)
}

/// Whoever gets a lock from another one gets its token, too.
const HANDS_ON: &str = "lock/hands-the-token-on-with-the-lock";

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch, breaks| mutant_of(single(), switch, breaks);
    vec![
        mutant("lock/reuses-tokens-after-a-restart", TOKENS),
        mutant(HANDS_ON, TOKENS),
        mutant_of(by_two_clocks(), "lock/takes-all-clocks-for-right", MOMENT),
        mutant("lock/releases-whoever-holds", ONE),
        mutant("lock/forgets-leases-in-a-restart", ONE),
        mutant("lock/shortens-leases-in-a-restart", ONE),
        mutant("lock/counts-from-the-answer", ONE),
        mutant("lock/believes-what-it-waited-for", ONE),
        mutant("lock/serves-the-last-first", FIRST),
        mutant("lock/never-says-that-it-is-lost", LOST),
        mutant("lock/renews-what-was-dropped", ENDS),
        mutant_of(raft(), "store/expires-leases-when-elected", ONE),
        mutant_of(raft(), "store/expires-renewed-leases", ONE),
        mutant_of(raft(), "store/forgets-leases-when-elected", SERVED),
        mutant_of(fenced(), "lock/ignores-refused-renewals", BEHIND),
        mutant_of(fenced(), "lock/guards-nothing", GUARDED),
        mutant_of(fenced(), "lock/guards-in-memory", DURABLE),
        // The same bug as above, where nobody looks at tokens but the resource.
        fenced().mutant("mutant/lock-gives-a-token-twice", HANDS_ON, ONCE),
        mutant_of(fenced(), "lock/reads-without-raising-the-fence", SUM),
    ]
}
