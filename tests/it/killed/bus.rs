//! The bus in SQLite: what was posted is there once and in order, and what a reader was told to be
//! done comes no more, though whoever posts and reads is killed.

use super::{KILLS, all_confirmed, confirm, killed, torn};
use crate::parity::{Checked, ensure, in_the_real_world, text};
use squall_env::Env;
use squall_protocols::bus::{
    Ask, Backend, Begin, BusConfig, Given, Post, SqliteBus, Tell, contract,
};
use squall_protocols::queue::MessageId;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Room for all that is posted before a process is killed, and few ids: those in doubt are the
/// last ones.
const CONFIG: BusConfig = BusConfig {
    posts_max: 100_000,
    remembers: 8,
    attempts_max: 100,
    parked_max: 2,
    claim: Duration::from_millis(700),
};

/// The subscription that nobody reads while there are kills, and the one that is read.
const KEPT: &str = "kept";
const READ: &str = "read";

/// What is confirmed of a post that is done, beside its number.
const DONE: u64 = 1 << 32;

fn open(env: &Env, file: &Path, config: BusConfig) -> Result<SqliteBus, String> {
    SqliteBus::open(env, file, config).map_err(text)
}

async fn post(bus: &SqliteBus, number: u64) -> Result<u64, String> {
    let id = MessageId(u128::from(number));
    // Every fourth is of a kind that nobody reads.
    let kind = if number.is_multiple_of(4) { "fourth" } else { "other" };
    let post = Post { id, kind: kind.to_owned(), body: number.to_le_bytes().to_vec() };
    bus.post_again(post).await.map_err(text)
}

async fn next(bus: &SqliteBus, name: &str, call: u64) -> Result<Vec<Given>, String> {
    match bus.ask(Ask::Fetch { name: name.to_owned(), reader: 1, call }).await.map_err(text)? {
        Tell::Given(given) => Ok(given),
        other => Err(format!("it was told {other:?}")),
    }
}

fn number(given: &Given) -> Result<u64, String> {
    Ok(u64::from_le_bytes(given.post.body.as_slice().try_into().map_err(text)?))
}

/// How many posts there ever were: where one who begins now would begin.
async fn end(bus: &SqliteBus) -> Result<u64, String> {
    bus.subscribe("probe", &[], Begin::Next).await.map_err(text)?;
    let (end, _) = bus.standing("probe").await.map_err(text)?;
    bus.unsubscribe("probe").await.map_err(text)?;
    Ok(end)
}

/// Posts and reads, and says what is posted and done; before it is posted, if it is to be `early`.
/// Positions begin at zero and numbers at one. Whoever was killed does not know whether its last
/// post was done, and posts it again.
async fn post_and_read(env: Env, file: &Path, early: bool) -> Checked {
    let bus = open(&env, file, CONFIG)?;
    bus.subscribe(KEPT, &[], Begin::Next).await.map_err(text)?;
    bus.subscribe(READ, &["other"], Begin::Next).await.map_err(text)?;
    for (said, call) in (end(&bus).await?.max(1)..).zip(1..) {
        if early {
            confirm(said);
            env.sleep(Duration::from_millis(20)).await;
        }
        post(&bus, said).await?;
        if !early {
            confirm(said);
        }
        for given in next(&bus, READ, call).await? {
            bus.ask(Ask::Done(READ.to_owned(), given.position)).await.map_err(text)?;
            confirm(DONE + number(&given)?);
        }
    }
    Ok(())
}

/// The positions and numbers of all that a subscription has to do.
async fn rest(bus: &SqliteBus, name: &str) -> Result<Vec<(u64, u64)>, String> {
    let mut rest = Vec::new();
    for call in 1.. {
        let given = next(bus, name, call).await?;
        let Some(last) = given.last() else { break };
        bus.ask(Ask::Done(name.to_owned(), last.position)).await.map_err(text)?;
        for one in &given {
            rest.push((one.position, number(one)?));
        }
    }
    Ok(rest)
}

async fn is_whole(bus: &SqliteBus, confirmed: &BTreeSet<u64>) -> Checked {
    let kept = rest(bus, KEPT).await?;
    let in_order = kept.iter().copied().eq((0..).zip(1..).take(kept.len()));
    ensure(in_order, &format!("posts stand as {kept:?}"))?;
    let there: BTreeSet<u64> = kept.iter().map(|(_, number)| *number).collect();
    all_confirmed(&there, &confirmed.range(..DONE).copied().collect())?;
    let done: BTreeSet<u64> = confirmed.range(DONE..).map(|number| number - DONE).collect();
    let rest: Vec<u64> = rest(bus, READ).await?.into_iter().map(|(_, number)| number).collect();
    let first = rest.first().copied().unwrap_or(u64::MAX);
    let others: BTreeSet<u64> =
        there.into_iter().filter(|number| !number.is_multiple_of(4)).collect();
    ensure(others.range(first..).eq(&rest), &format!("{rest:?} are left to be done"))?;
    let again = done.range(first..).next();
    ensure(again.is_none(), &format!("{again:?} is done and comes again"))?;
    let behind = others.range(..first).count();
    ensure(behind <= done.len() + KILLS, "the subscription has left something out")
}

#[test]
fn a_killed_bus_has_every_post_once_and_passes_its_contract() {
    let test = "killed::bus::a_killed_bus_has_every_post_once_and_passes_its_contract";
    let Some(left) = killed(test, |env, file| post_and_read(env, file, false)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let bus = open(&env, file, CONFIG)?;
        is_whole(&bus, confirmed).await?;
        for name in [KEPT, READ] {
            bus.unsubscribe(name).await.map_err(text)?;
        }
        drop(bus);
        let small = BusConfig { posts_max: 6, attempts_max: 3, ..CONFIG };
        contract(&env, &open(&env, file, small)?, small).await
    });
}

#[test]
fn kills_lose_posts_that_are_confirmed_before_they_are_posted() {
    let test = "killed::bus::kills_lose_posts_that_are_confirmed_before_they_are_posted";
    let Some(left) = killed(test, |env, file| post_and_read(env, file, true)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let bus = open(&env, file, CONFIG)?;
        // A process begins with what the one before has not posted: the last one posts no more.
        torn(is_whole(&bus, confirmed).await, "was confirmed and is lost")
    });
}
