//! The contract of locks, in both worlds and against every backend.

use super::{Checked, ensure, in_both_worlds, in_the_simulated_world, text};
use squall_env::{Env, NodeId};
use squall_protocols::lock::{
    self, Config as Bounds, GuardedClient, LockClient, Locks, OnRaft, Single, contract, guard,
    serve_on_raft,
};
use squall_protocols::raft::Config;
use squall_scenarios::lock::example::{Processed, process_account};
use squall_scenarios::lock::{Account, Balance};
use squall_scenarios::models::redis::{self, Persistence};
use squall_scenarios::specimens::locks::OnRedis;
use std::sync::Arc;
use std::time::Duration;

const PROMISES: contract::Promises =
    contract::Promises { queue: true, remembers_the_ended: true, late: Duration::from_secs(1) };

async fn keeps(env: &Env, locks: impl Locks, promises: contract::Promises) -> Checked {
    contract::check(env, Arc::new(locks), promises).await.map_err(text)
}

async fn one_server(env: Env) -> Checked {
    env.spawn("server", lock::serve(env.clone()));
    keeps(&env, Single::open(&env, env.me()).map_err(text)?, PROMISES).await
}

async fn a_cluster(env: Env) -> Checked {
    env.spawn("member", serve_on_raft(env.clone(), Config::of(vec![env.me()])));
    keeps(&env, OnRaft::new(&env, vec![env.me()]), PROMISES).await
}

async fn a_model_of_redis(env: Env) -> Checked {
    let config = redis::Config::alone(Persistence::Always);
    env.spawn("redis", redis::serve(env.clone(), config));
    let promises = contract::Promises { queue: false, remembers_the_ended: false, ..PROMISES };
    keeps(&env, OnRedis::open(&env, &[env.me()]).map_err(text)?, promises).await
}

#[test]
fn one_server_keeps_locks_as_the_contract_says() {
    in_both_worlds(1, one_server);
}

#[test]
fn a_cluster_keeps_locks_as_the_contract_says() {
    in_both_worlds(1, a_cluster);
}

#[test]
fn a_server_like_redis_keeps_locks_as_the_contract_says_but_for_the_queue() {
    in_the_simulated_world(1, a_model_of_redis);
}

/// Two workers come upon the same account, and a third one later.
async fn workers(env: Env) -> Checked {
    env.spawn("server", lock::serve(env.clone()));
    env.spawn("account", guard::<Account>(env.clone()));
    let me: NodeId = env.me();
    let locks = Single::open(&env, me).map_err(text)?;
    let locks = LockClient::new(&env, Arc::new(locks), Bounds::default());
    let account = Arc::new(GuardedClient::<Account>::open(&env, me).map_err(text)?);
    // Until both of them are there.
    let (ready, by) = (Duration::from_secs(1), env.now() + Duration::from_secs(10));
    drop(locks.acquire("ready", ready, by).await.map_err(text)?);
    account.look(Duration::from_secs(5)).await.map_err(text)?;
    let work = |wait: Duration| {
        let (env, locks, account) = (env.clone(), locks.clone(), Arc::clone(&account));
        async move {
            env.sleep(wait).await;
            process_account(&env, &locks, &account, 7, Duration::from_millis(800)).await
        }
    };
    let first = env.spawn("worker", work(Duration::ZERO));
    let second = work(Duration::from_millis(400)).await.map_err(text)?;
    ensure(second == Processed::ByAnother, "two workers process an account at the same time")?;
    let first = first.await.map_err(text)?.map_err(text)?;
    let third = work(Duration::ZERO).await.map_err(text)?;
    let charged = (first, third) == (Processed::Charged, Processed::Charged);
    ensure(charged, "an account that nobody processes is not processed")?;
    let balance = account.look(Duration::from_secs(5)).await.map_err(text)?;
    ensure(balance == Balance(2), "an account was charged too often, or too seldom")?;
    env.sleep(Duration::from_secs(1)).await;
    ensure(locks.renewals() == 0, "a lease that was released is renewed")
}

#[test]
fn one_worker_at_a_time_processes_an_account() {
    in_both_worlds(1, workers);
}
