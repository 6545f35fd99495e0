//! A store that forgets in its recovery: it empties its log before what the log held is safe
//! elsewhere. A crash alone does no harm, and neither does a recovery; a crash within a recovery
//! does.

use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::disk::DiskError;
use squall_env::{Address, Env, File, Messages, Port, Shown, View};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

/// The property that breaks.
pub const KEPT: &str = "what is acknowledged is kept";

/// How many numbers the client has kept.
const NUMBERS: u64 = 6;

/// How long it waits for an answer before it asks again.
const ANSWER_MAX: Duration = Duration::from_millis(60);

/// What the store has.
struct Held(BTreeSet<u64>);

/// What the client was told is kept.
struct Acknowledged(BTreeSet<u64>);

/// The store as it should be: what its log held is durable elsewhere before the log is emptied.
pub fn remembers() -> Scenario {
    scenario(Scenario::new("recovery/remembers").nodes("store", 1..=1, serve::<false>))
}

/// The store that forgets.
pub fn forgets() -> Scenario {
    let specimen = Scenario::new("specimen/recovery-forgets").breaks(KEPT);
    scenario(specimen.nodes("store", 1..=1, serve::<true>))
}

fn scenario(scenario: Scenario) -> Scenario {
    finish::<NUMBERS>(scenario, &[Fault::Crash, Fault::CrashInRecovery, Fault::LostWrites])
}

/// A store's scenario with its client, what it survives, and what must hold.
pub(super) fn finish<const NUMBERS: u64>(scenario: Scenario, faults: &[Fault]) -> Scenario {
    let none = Tolerance::nothing().impaired("store", Most::Any);
    scenario
        .clients("client", 1..=1, load::<NUMBERS>)
        .tolerates(faults.iter().fold(none, |all, fault| all.fault(*fault)))
        .always(KEPT, || {
            |view: &View<'_>| {
                let told: BTreeSet<u64> =
                    view.up::<Acknowledged>().flat_map(|told| told.0.clone()).collect();
                let missing = view.up::<Held>().find_map(|held| {
                    let missing = told.difference(&held.0).next();
                    missing.copied()
                });
                match missing {
                    None => Ok(()),
                    Some(number) => Err(format!("{number} was acknowledged, and is gone")),
                }
            }
        })
}

/// What a store answers with.
pub(super) struct Store {
    env: Env,
    held: Shown<Held>,
    messages: Messages<u64>,
}

impl Store {
    /// A store that has recovered these numbers.
    pub(super) fn open(env: &Env, kept: BTreeSet<u64>) -> Result<Store, String> {
        let held = env.show("held", Held(kept));
        let messages = env.messages::<u64>(Port::named("store")).map_err(text)?;
        env.ready();
        Ok(Store { env: env.clone(), held, messages })
    }

    /// The next number to keep, and who asks.
    pub(super) async fn asked(&mut self) -> Result<(Address, u64), String> {
        self.messages.receive().await.map_err(text)
    }

    /// Says that a number is kept.
    pub(super) fn keep(&mut self, who: Address, number: u64) {
        self.held.update(&self.env, |held| held.0.insert(number));
        self.messages.send(who, &number);
    }
}

/// The numbers in a file, eight bytes each. What is left of one that is cut short is none.
pub(super) fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let words = bytes.chunks_exact(8);
    words.map(|word| word.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

async fn serve<const FORGETS: bool>(env: Env) -> Result<(), String> {
    let (kept, mut log) = recover(&env, FORGETS).await.map_err(text)?;
    let mut store = Store::open(&env, kept)?;
    loop {
        let (from, number) = store.asked().await?;
        log.append(number.to_le_bytes().to_vec()).await.map_err(text)?;
        log.sync().await.map_err(text)?;
        store.keep(from, number);
    }
}

/// Takes over what the log holds into the snapshot, and empties the log.
async fn recover(env: &Env, forgets: bool) -> Result<(BTreeSet<u64>, File), DiskError> {
    let snapshot = env.read_file("snapshot").await?.unwrap_or_default();
    let mut kept: BTreeSet<u64> = numbers(&snapshot).collect();
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    kept.extend(numbers(&log.read_all().await?));
    let content = kept.iter().flat_map(|number| number.to_le_bytes()).collect();
    if forgets {
        log.truncate(0).await?;
        log.sync().await?;
        env.replace_file("snapshot", content).await?;
    } else {
        env.replace_file("snapshot", content).await?;
        log.truncate(0).await?;
        log.sync().await?;
    }
    Ok((kept, log))
}

/// Has numbers kept, one after the other, each until it is.
async fn load<const NUMBERS: u64>(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let told = env.show("acknowledged", Acknowledged(BTreeSet::new()));
    let mut messages = env.messages::<u64>(Port::named("client")).map_err(text)?;
    let store = env.addresses("store", Port::named("store"));
    while let Some(operation) = client.next_operation(NUMBERS) {
        let number = operation.number() + 1;
        loop {
            messages.send_all(store.iter().copied(), &number);
            let answer =
                async { while messages.receive().await.is_ok_and(|(_, kept)| kept != number) {} };
            if env.timeout(ANSWER_MAX, answer).await.is_ok() {
                break;
            }
        }
        told.update(&env, |told| told.0.insert(number));
        env.sleep(Duration::from_micros(operation.draw(0, 400_000))).await;
    }
    client.after_heal().await;
    Ok(())
}

pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}
