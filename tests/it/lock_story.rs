use squall::plan::Forecast;
use squall::script::{crash, cue, hold, partition, pause, power_loss, reached, release, sent};
use squall::{Client, Most, Scenario, Script, Tolerance, run};
use squall_env::platform::BindError;
use squall_env::{Env, Instant};
use squall_protocols::lock::{
    Config, GuardedClient, GuardedError, Lease, LockClient, OnRaft, Single, guard, invariants,
    serve, serve_on_raft,
};
use squall_protocols::raft::{self, ServeError};
use squall_scenarios::lock::{Account, Balance, ONE};
use std::sync::Arc;
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const TTL: Duration = ms(600);

/// How much later than its time a lease may end: it is looked for every now and then.
const LATE: Duration = ms(600);

/// After so long the server is there.
const READY: Duration = ms(1_000);

const LONG: Duration = Duration::from_secs(20);

fn locks(env: &Env) -> Result<LockClient, BindError> {
    let members = env.peers("member");
    let config = Config { poll: ms(10), ..Config::default() };
    Ok(match members.is_empty() {
        true => {
            let single = Single::open(env, env.peers("lock")[0])?;
            LockClient::new(env, Arc::new(single), config)
        }
        false => LockClient::new(env, Arc::new(OnRaft::new(env, members)), config),
    })
}

async fn acquire(locks: &LockClient, env: &Env) -> Lease {
    locks.acquire("account", TTL, env.now() + LONG).await.expect("it gets the lock")
}

async fn member(env: Env) -> Result<(), ServeError> {
    serve_on_raft(env.clone(), raft::Config::of(env.peers("member"))).await
}

fn survived(role: &str) -> Tolerance {
    let none = Tolerance::nothing().crashes().any_network().lost_unsynced_writes();
    none.impaired(role, Most::Any).impaired("client", Most::Any)
}

/// Clients of one server, or of a cluster.
fn story<F, Fut>(on_raft: bool, load: F) -> Scenario
where
    F: Fn(Client) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BindError>> + Send + 'static,
{
    let scenario = Scenario::new("test/lock-story");
    let (role, scenario) = match on_raft {
        true => ("member", scenario.nodes("member", 3..=3, member)),
        false => ("lock", scenario.nodes("lock", 1..=1, serve)),
    };
    scenario
        .nodes("account", 1..=1, guard::<Account>)
        .clients("client", 2..=2, load)
        .tolerates(survived(role))
        .always(ONE, || invariants::one_holder(Config::default().drift_max_ppm))
        .always("tokens", invariants::tokens_strictly_increase)
        .heals_after(Duration::from_secs(15))
        .finishes_within(Duration::from_secs(30))
}

/// The story as it is told, over links of which none is slow.
fn told(scenario: Scenario, script: Script) -> Scenario {
    let weather = Forecast::read("calm,slow_link_ns=0").expect("it is a forecast");
    scenario.script(script).expect("it can be told").under(weather)
}

fn is_first(env: &Env) -> bool {
    env.me().ordinal() == 1
}

/// The first client holds the lock and is held up; the second comes after it.
async fn one_after_the_other(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let (locks, account) =
        (locks(&env)?, GuardedClient::<Account>::open(&env, env.peers("account")[0])?);
    if is_first(&env) {
        let lease = acquire(&locks, &env).await;
        let mut account = account.under(lease.token());
        account.read(LONG).await.expect("nobody came after it yet");
        env.sometimes("holds");
        // This takes far longer than the lease.
        env.sleep(ms(1)).await;
        let written = account.write(Balance(1), LONG).await;
        assert!(matches!(written, Err(GuardedError::Stale(_))), "{written:?}");
        assert!(!lease.is_held());
        lease.lost().await;
        assert_eq!(lease.release().await, Ok(false), "nobody else's lock is freed");
        return Ok(());
    }
    env.sleep(READY).await;
    let lease = acquire(&locks, &env).await;
    account.under(lease.token()).write(Balance(2), LONG).await.expect("it holds the lock");
    env.sleep(ms(6_000)).await;
    assert!(lease.is_held(), "it was renewed all the time");
    assert_eq!(lease.release().await, Ok(true));
    Ok(())
}

#[test]
fn a_holder_that_stood_still_is_refused_and_frees_nobody_elses_lock() {
    let script =
        || Script::new().when(reached("client-1", "holds"), pause("client-1").lasting(ms(3_000)));
    for on_raft in [false, true] {
        told(story(on_raft, one_after_the_other), script()).seeds(0..20).run();
    }
    let bad = told(story(false, one_after_the_other), script());
    let bad = bad.mutant("test/bad", "lock/guards-nothing", "");
    assert!((0..20).all(|seed| run(&bad, seed).failure.is_some()));
}

/// The first client crashes with the lock, and the second waits for it.
async fn outlives(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let locks = locks(&env)?;
    if is_first(&env) {
        if client.next_operation(1).is_some() {
            let lease = acquire(&locks, &env).await;
            env.sometimes("holds");
            env.sleep(ms(1)).await;
            drop(lease);
        }
        return Ok(());
    }
    client.cue("wait").await;
    let asked: Instant = env.now();
    acquire(&locks, &env).await;
    let waited = env.now() - asked;
    assert!(waited > TTL / 2 && waited < TTL + LATE, "it waited for {waited:?}");
    Ok(())
}

#[test]
fn a_waiter_has_the_lock_soon_after_the_time_of_a_holder_that_crashed() {
    let script = || {
        let crash = crash("client-1").lasting(ms(9_000));
        Script::new().when(reached("client-1", "holds"), crash).then(cue("wait"))
    };
    for on_raft in [false, true] {
        told(story(on_raft, outlives), script()).seeds(0..20).run();
    }
}

/// The first client alone acquires.
async fn asks_again(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    if is_first(&env) {
        let locks = locks(&env)?;
        env.sleep(READY).await;
        let asked = env.now();
        let lease = acquire(&locks, &env).await;
        let waited = env.now() - asked;
        assert!(waited < TTL / 2, "it waited for {waited:?} for its own lock");
        assert_eq!(lease.release().await, Ok(true));
    }
    Ok(())
}

#[test]
fn an_acquisition_whose_answer_is_late_is_asked_for_again_and_is_the_same() {
    let script = || {
        let asked = sent("client-1", "lock-1");
        let held_back = Script::new().when(asked, hold("lock-1", "client-1"));
        held_back.after(TTL / 4 + ms(20), release("lock-1", "client-1"))
    };
    let good = || told(story(false, asks_again), script());
    good().seeds(0..20).run();
    let bad = good().mutant("test/bad", "lock/asks-again-as-another", "no node panics");
    assert!((0..20).all(|seed| run(&bad, seed).failure.is_some()));
}

/// The first client hears late that it holds the lock, and then of nothing any more; the second
/// waits.
async fn hears_late(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let locks = locks(&env)?;
    env.sleep(if is_first(&env) { READY } else { READY + ms(30) }).await;
    let lease = acquire(&locks, &env).await;
    env.sometimes("holds");
    let _ = env.timeout(2 * TTL, lease.lost()).await;
    Ok(())
}

#[test]
fn the_time_of_a_lease_runs_from_when_it_was_asked_for() {
    let script = || {
        Script::new()
            .when(sent("client-1", "lock-1"), hold("lock-1", "client-1"))
            .after(TTL / 4 - ms(10), release("lock-1", "client-1"))
            .when(reached("client-1", "holds"), partition(&["client-1"]).lasting(ms(3_000)))
    };
    let good = || told(story(false, hears_late), script());
    good().seeds(0..20).run();
    let bad = good().mutant("test/bad", "lock/counts-from-the-answer", ONE);
    let found = (0..20).filter_map(|seed| run(&bad, seed).failure);
    assert!(found.filter(|failure| failure.property == ONE).count() > 3);
}

/// Holds the lock for long, and counts how often it is renewed.
async fn renews(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    if !is_first(&env) {
        return Ok(());
    }
    let locks = locks(&env)?;
    env.sleep(READY).await;
    let lease = acquire(&locks, &env).await;
    let (mut deadline, mut renewals) = (lease.deadline(), 0);
    let until = env.now() + 10 * TTL + TTL / 6;
    while env.now() < until {
        env.sleep(ms(5)).await;
        renewals += u32::from(lease.deadline() != deadline);
        deadline = lease.deadline();
        assert!(lease.is_held());
    }
    assert!((28..=30).contains(&renewals), "{renewals} renewals in ten times its time");
    drop(lease);
    // To give it back takes a moment; a renewal that slept on would take a third of its time.
    env.sleep(ms(50)).await;
    assert_eq!(locks.renewals(), 0);
    // What was dropped is released: nobody waits for its time.
    let asked = env.now();
    acquire(&locks, &env).await;
    assert!(env.now() - asked < TTL / 4);
    Ok(())
}

#[test]
fn a_lease_is_renewed_every_third_of_its_time_until_it_is_dropped() {
    told(story(false, renews), Script::new()).seeds(0..20).run();
}

/// Acquires again and again, while the server loses its power.
async fn counts(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    if !is_first(&env) {
        return Ok(());
    }
    let locks = locks(&env)?;
    let mut last = None;
    for _ in 0..4 {
        let lease = acquire(&locks, &env).await;
        assert!(Some(lease.token()) > last, "{:?} comes after {last:?}", lease.token());
        last = Some(lease.token());
        // Whether the server still answers is nothing to it.
        let _ = lease.release().await;
        env.sometimes("released");
        env.sleep(ms(1)).await;
    }
    Ok(())
}

#[test]
fn tokens_go_up_over_restarts_of_the_server() {
    let down = || power_loss("lock-1").lasting(ms(50));
    let released = || reached("client-1", "released");
    let script = Script::new().when(released(), down()).when(released(), down());
    told(story(false, counts), script).seeds(0..20).run();
}
