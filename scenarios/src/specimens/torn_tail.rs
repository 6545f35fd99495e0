//! A store that takes the first record which is cut short for the end of its log, and appends
//! behind it. One crash cuts a record short; what is acknowledged after it stands where the next
//! recovery, after a second crash, does not look any more.

use super::recovery::{KEPT, finish, numbers, text};
use super::repair::{CUT_SHORT, RECORD, keep};
use squall::{Fault, Scenario};
use squall_env::disk::DiskError;
use squall_env::{Env, File};
use std::collections::BTreeSet;

/// How many numbers the client has kept.
const NUMBERS: u64 = 12;

/// The store that appends behind what is cut short.
pub fn appends_behind() -> Scenario {
    let specimen = Scenario::new("specimen/torn-tail-stays").breaks(KEPT);
    scenario(specimen.nodes("store", 1..=1, serve::<false>))
}

/// The store that cuts it off.
pub fn cuts_off() -> Scenario {
    scenario(Scenario::new("torn-tail/cut-off").nodes("store", 1..=1, serve::<true>))
}

fn scenario(scenario: Scenario) -> Scenario {
    finish::<NUMBERS>(scenario, &[Fault::Crash]).sometimes(CUT_SHORT)
}

async fn serve<const CUTS: bool>(env: Env) -> Result<(), String> {
    let (kept, mut log) = recover(&env, CUTS).await.map_err(text)?;
    keep(&env, kept, &mut log).await
}

/// The numbers of all records up to the first that is not whole.
async fn recover(env: &Env, cuts: bool) -> Result<(BTreeSet<u64>, File), DiskError> {
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    let bytes = log.read_all().await?;
    let is_whole = |record: &&[u8]| record[..RECORD / 2] == record[RECORD / 2..];
    let records = bytes.chunks_exact(RECORD).take_while(is_whole);
    let kept: Vec<u64> = records.filter_map(|record| numbers(record).next()).collect();
    let whole = kept.len() * RECORD;
    if whole < bytes.len() {
        env.sometimes(CUT_SHORT);
        if cuts {
            log.truncate(whole as u64).await?;
            log.sync().await?;
        }
    }
    Ok((kept.into_iter().collect(), log))
}
