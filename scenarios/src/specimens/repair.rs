//! A store that gives up: it repairs a log whose last record was cut short, starts the repair again
//! if that is interrupted, and the third time takes what there is. Three crashes are needed, each
//! in the right place, and each but the last leads to something that the code says it has reached.

use super::recovery::{KEPT, Store, finish, numbers, text};
use squall::{Fault, Scenario};
use squall_env::disk::DiskError;
use squall_env::{Env, File};
use std::collections::BTreeSet;

pub(super) const CUT_SHORT: &str = "a record was cut short";
const AGAIN: &str = "a repair was begun again";

/// A record: a number, and the same once more.
pub(super) const RECORD: usize = 16;

/// How many numbers the client has kept.
const NUMBERS: u64 = 25;

/// The store that gives up.
pub fn gives_up() -> Scenario {
    let specimen = Scenario::new("specimen/repair-gives-up").breaks(KEPT);
    scenario(specimen.nodes("store", 1..=1, serve::<2>))
}

/// The store as it should be.
pub fn goes_on() -> Scenario {
    scenario(Scenario::new("repair/goes-on").nodes("store", 1..=1, serve::<{ u64::MAX }>))
}

fn scenario(scenario: Scenario) -> Scenario {
    finish::<NUMBERS>(scenario, &[Fault::Crash]).sometimes(CUT_SHORT).sometimes(AGAIN)
}

async fn serve<const TRIES: u64>(env: Env) -> Result<(), String> {
    let (kept, mut log) = recover(&env, TRIES).await.map_err(text)?;
    keep(&env, kept, &mut log).await
}

/// Keeps what is asked for, a record each.
pub(super) async fn keep(env: &Env, kept: BTreeSet<u64>, log: &mut File) -> Result<(), String> {
    let mut store = Store::open(env, kept)?;
    loop {
        let (from, number) = store.asked().await?;
        log.append(number.to_le_bytes().to_vec()).await.map_err(text)?;
        log.append(number.to_le_bytes().to_vec()).await.map_err(text)?;
        log.sync().await.map_err(text)?;
        store.keep(from, number);
    }
}

async fn recover(env: &Env, tries: u64) -> Result<(BTreeSet<u64>, File), DiskError> {
    let bytes = env.read_file("log").await?.unwrap_or_default();
    let whole: Vec<u8> = bytes.chunks_exact(RECORD).flatten().copied().collect();
    if whole.len() < bytes.len() {
        env.sometimes(CUT_SHORT);
        repair(env, &whole, tries).await?;
    }
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    let kept = log.read_all().await?;
    Ok((numbers(&kept).collect(), log))
}

/// Copies the whole records, one by one, and puts the copy in the place of the log.
async fn repair(env: &Env, whole: &[u8], tries: u64) -> Result<(), DiskError> {
    let tried = env.read_file("tries").await?.unwrap_or_default();
    let tried = numbers(&tried).next().unwrap_or_default();
    if tried < tries {
        if tried > 0 {
            env.sometimes(AGAIN);
        }
        env.replace_file("tries", (tried + 1).to_le_bytes().to_vec()).await?;
        let mut copy = env.open_file("copy", true).await?;
        copy.truncate(0).await?;
        for record in whole.chunks_exact(RECORD) {
            copy.append(record.to_vec()).await?;
        }
        copy.sync().await?;
    }
    env.rename("copy", "log").await?;
    env.sync_directory("").await?;
    env.replace_file("tries", Vec::new()).await
}
