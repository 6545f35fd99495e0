//! squall's Raft in the simulator: links of 1 to 10 ms, disks that take their time, journals that
//! are synced, and the digest over everything that happens.

use crate::state::{Bytes, Count};
use crate::{COMPACTED, KEPT};
use squall::plan::{Plan, RoleNodes};
use squall::{Client, Scenario, Watch, run_plan};
use squall_env::{Env, Handle};
use squall_protocols::raft::{Config, Raft, Reply, Request, ServeError, serve_beside};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the nodes of the run under way are to do, and have done: they may own nothing.
static ENTRIES: AtomicU64 = AtomicU64::new(0);
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);
static APPLIED: AtomicU64 = AtomicU64::new(0);

/// Commits so many entries, with so many under way.
pub fn run(entries: u64, under_way: u64) {
    ENTRIES.store(entries, Ordering::Relaxed);
    UNDER_WAY.store(under_way, Ordering::Relaxed);
    APPLIED.store(0, Ordering::Relaxed);
    let scenario = Scenario::new("commits")
        .nodes("member", 3..=3, member)
        .clients("client", 1..=1, wait)
        .events_max(u64::MAX);
    let role = |role: &str, nodes| RoleNodes { role: role.to_owned(), nodes };
    let plan = Plan::calm(vec![role("member", 3), role("client", 1)], u64::MAX / 4);
    let outcome = run_plan(&scenario, 1, &plan, Watch::default());
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    assert!(APPLIED.load(Ordering::Relaxed) >= entries, "every proposal was applied");
}

/// The run is over when everything is applied.
async fn wait(client: Client) -> Result<(), Infallible> {
    while APPLIED.load(Ordering::Relaxed) < ENTRIES.load(Ordering::Relaxed) {
        client.env().sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn member(env: Env) -> Result<(), ServeError> {
    let config = Config {
        snapshot_entries: COMPACTED,
        tail_entries: KEPT,
        ..Config::of(env.peers("member"))
    };
    let beside = env.clone();
    serve_beside::<Count, _>(env, config, |member| async move {
        for _ in 0..UNDER_WAY.load(Ordering::Relaxed) {
            let (env, member) = (beside.clone(), member.clone());
            beside.spawn("load", async move { load(env, member).await });
        }
        std::future::pending().await
    })
    .await
}

/// Proposes one after the other in a session of its own, as long as its member leads.
async fn load(env: Env, member: Handle<Raft<Count>>) {
    let entries = ENTRIES.load(Ordering::Relaxed);
    while APPLIED.load(Ordering::Relaxed) < entries {
        let Ok(Reply::Session(session)) = member.request(Request::OpenSession).await else {
            env.sleep(Duration::from_millis(20)).await;
            continue;
        };
        for sequence in 1.. {
            let command = Bytes::of(sequence);
            let propose = Request::Propose { session, sequence, command };
            match member.request(propose).await {
                Ok(Reply::Applied(())) => {}
                _ => break,
            }
            if APPLIED.fetch_add(1, Ordering::Relaxed) + 1 >= entries {
                return;
            }
        }
    }
}
