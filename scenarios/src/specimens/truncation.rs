//! A log that takes entries away from the front of what is to go: one file for each entry, and
//! between two removals the log has a hole. A crash there leaves old entries behind the hole, which
//! a recovery takes for the end of the log.

use super::recovery::text;
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::disk::DiskError;
use squall_env::{Env, View};
use std::time::Duration;

/// The property that breaks.
pub const NO_HOLE: &str = "a log has no hole";

/// How many entries the log has before some are taken away.
const ENTRIES: u64 = 6;

/// How often that is done.
const TIMES: u64 = 100;

/// The indexes of the entries that a recovery found, in order.
struct Found(Vec<u64>);

/// The log as it should be: the last entry goes first.
pub fn from_the_back() -> Scenario {
    let scenario = Scenario::new("truncation/from-the-back");
    finish(scenario.nodes("log", 1..=1, serve::<false>))
}

/// The log whose first entry goes first.
pub fn from_the_front() -> Scenario {
    let specimen = Scenario::new("specimen/truncation-from-the-front").breaks(NO_HOLE);
    finish(specimen.nodes("log", 1..=1, serve::<true>))
}

fn finish(scenario: Scenario) -> Scenario {
    let none = Tolerance::nothing().impaired("log", Most::Any);
    scenario
        .clients("client", 1..=1, wait)
        .heals_after(Duration::from_secs(1))
        .tolerates(none.fault(Fault::Crash))
        .sometimes("a recovery finds entries")
        .always(NO_HOLE, || {
            |view: &View<'_>| {
                let mut all = view.up::<Found>();
                all.try_for_each(|found| {
                    let Some((lacking, _)) = (1..).zip(&found.0).find(|(at, is)| at != *is) else {
                        return Ok(());
                    };
                    Err(format!("{:?} were found, and entry {lacking} was not", found.0))
                })
            }
        })
}

/// The log needs no client to go wrong.
async fn wait(client: Client) -> Result<(), String> {
    client.after_heal().await;
    Ok(())
}

fn path(index: u64) -> String {
    format!("log/{index}")
}

async fn serve<const FRONT: bool>(env: Env) -> Result<(), String> {
    let found = recover(&env).await.map_err(text)?;
    let mut last = found.last().copied().unwrap_or_default();
    let _shown = env.show("found", Found(found));
    env.ready();
    for _ in 0..TIMES {
        while last < ENTRIES {
            last += 1;
            env.replace_file(&path(last), last.to_le_bytes().to_vec()).await.map_err(text)?;
        }
        let keep = env.random_below(ENTRIES);
        truncate(&env, keep, last, FRONT).await.map_err(text)?;
        last = keep;
    }
    env.stopping().await;
    Ok(())
}

/// The indexes of the entries that are there, in order.
async fn recover(env: &Env) -> Result<Vec<u64>, DiskError> {
    env.create_directory("log").await?;
    env.sync_directory("").await?;
    let names = env.list("log").await?;
    let mut found: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    found.sort_unstable();
    if !found.is_empty() {
        env.sometimes("a recovery finds entries");
    }
    Ok(found)
}

/// Takes away what is behind the entry `keep`.
async fn truncate(env: &Env, keep: u64, last: u64, front: bool) -> Result<(), DiskError> {
    let mut goes: Vec<u64> = (keep + 1..=last).collect();
    if !front {
        goes.reverse();
    }
    for index in goes {
        env.remove_file(&path(index)).await?;
        env.sync_directory("log").await?;
    }
    Ok(())
}
