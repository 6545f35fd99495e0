//! Who holds a lock serves, and what is served is kept elsewhere. A holder that reaches the lock
//! and not the account keeps everybody else from serving for as long as it renews: for ever.
//! CockroachDB's documentation tells of leases by epoch, whose holder need not lead the log of what
//! it serves, that a partition between the two makes everything unavailable (cockroachdb/docs,
//! pull request 19755).

use super::{Depositor, account, only};
use crate::specimens::recovery::text;
use squall::{Client, Fault, Most, Scenario};
use squall_env::platform::BindError;
use squall_env::request::{Caller, Responder};
use squall_env::{Either, Env, Port, race};
use squall_protocols::lock::{Config, Lease, LockClient, Single, serve};
use std::sync::Arc;
use std::time::Duration;

/// How long a gateway holds the lock after it was last heard of, at first and at most.
const TTL: Duration = Duration::from_millis(300);
const TTL_MAX: Duration = Duration::from_millis(4_800);

/// How many deposits each client makes.
const DEPOSITS: u64 = 6;

/// How long a client waits for a gateway: longer than any link is slow.
const ANSWER_MAX: Duration = Duration::from_millis(1_200);

/// After so many deposits that came to nothing a wise holder lets others try.
const FAILURES_MAX: u32 = 3;

const PORT: Port = Port::named("gateway");

/// Gateways to an account of which one at a time serves, and of which one cannot reach the account.
/// It holds on to the lock, or `GIVES_UP`.
pub fn gateways<const GIVES_UP: bool>() -> Scenario {
    let name = if GIVES_UP { "locks/given-up" } else { "specimen/lock-held-by-who-cannot-serve" };
    Scenario::new(name)
        .nodes("lock", 1..=1, serve)
        .nodes("account", 1..=1, account)
        .nodes("gateway", 2..=3, gateway::<GIVES_UP>)
        .clients("client", 1..=2, load)
        .tolerates(only("gateway", Most::Any, &[Fault::Crash, Fault::Pause]))
        .sometimes("who cannot serve holds the lock")
        .finishes_within(Duration::from_secs(60))
}

async fn gateway<const GIVES_UP: bool>(env: Env) -> Result<(), String> {
    let locks = Single::open(&env, env.peers("lock")[0]).map_err(text)?;
    let locks = LockClient::new(&env, Arc::new(locks), Config::default());
    let account = Depositor::open(&env).map_err(text)?;
    let mut asked = Responder::<(), bool>::open(&env, PORT).map_err(text)?;
    env.ready();
    let mut ttl = TTL;
    loop {
        let Ok(lease) = locks.acquire("gateway", ttl, env.now() + ttl * 3).await else {
            // Some links are slow for ever.
            ttl = TTL_MAX.min(ttl * 2);
            continue;
        };
        let held = hold::<GIVES_UP>(&env, &lease, &account, &mut asked).await;
        // It ends by itself, too.
        let _ = lease.release().await;
        held?;
        // Somebody else may have it first.
        env.sleep(ttl).await;
    }
}

/// Serves until the lease is lost or given up.
async fn hold<const GIVES_UP: bool>(
    env: &Env,
    lease: &Lease,
    account: &Depositor,
    asked: &mut Responder<(), bool>,
) -> Result<(), String> {
    let is_cut_off = env.peers("gateway")[0] == env.me();
    let mut failures = 0;
    loop {
        let received = match race(lease.lost(), asked.receive()).await {
            Either::Left(_) => return Ok(()),
            Either::Right(received) => received,
        };
        let ((), back) = received.map_err(text)?;
        if is_cut_off {
            env.sometimes("who cannot serve holds the lock");
        }
        let is_done = !is_cut_off && account.deposit(Duration::ZERO).await.is_ok();
        back.reply(is_done);
        failures = if is_done { 0 } else { failures + 1 };
        if GIVES_UP && failures >= FAILURES_MAX {
            return Ok(());
        }
    }
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let caller = Caller::<(), bool>::open(&env)?;
    let gateways = env.addresses("gateway", PORT);
    while let Some(operation) = client.next_operation(DEPOSITS) {
        env.sleep(Duration::from_micros(operation.draw(0, 200_000))).await;
        let mut turn = gateways.iter().cycle();
        while let Some(gateway) = turn.next()
            && caller.call(*gateway, (), ANSWER_MAX).await != Ok(true)
        {}
    }
    client.after_heal().await;
    Ok(())
}
