//! A shrunk run outlives changes of the code that are not about it.

use super::inside::Inside;
use super::*;
use crate::repro::{Expected, Repro};
use crate::run::{Watch, run, run_plan};
use crate::{Client, Tolerance};
use serde::{Deserialize, Serialize};
use squall_env::platform::BindError;
use squall_env::{Address, Env, Port, View};
use std::time::Duration;

const PORT: Port = Port::named("copies");
const LOST: &str = "what is acknowledged is on both";

/// What nodes tell each other.
#[derive(Serialize, Deserialize)]
enum Message {
    Put(u64),
    Copy(u64),
    Done(u64),
    News(u64),
}

/// What a node holds.
struct Held(Vec<u64>);

/// What a client was told is held.
struct Acknowledged(Vec<u64>);

/// How the code has changed since the file was written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Nothing,
    /// The third node says more, draws once more, and tells the others more than it did.
    Elsewhere,
    /// The first node answers when the second has answered it.
    Mended,
}

/// The first node passes on what it is told to the second, and answers without waiting for it. The
/// third one has nothing to do with it.
async fn serve(env: Env, change: Change) -> Result<(), BindError> {
    let mut messages = env.messages::<Message>(PORT)?;
    let held = env.show("held", Held(Vec::new()));
    let nodes = env.addresses("node", PORT);
    let me = env.me().ordinal();
    if me == 3 {
        news(&env, change);
    }
    let mut waiting: Option<Address> = None;
    while let Ok((from, message)) = messages.receive().await {
        match message {
            Message::Put(value) => {
                held.update(&env, |held| held.0.push(value));
                messages.send(nodes[1], &Message::Copy(value));
                match change {
                    Change::Mended => waiting = Some(from),
                    _ => messages.send(from, &Message::Done(value)),
                }
            }
            Message::Copy(value) => {
                held.update(&env, |held| held.0.push(value));
                messages.send(from, &Message::Done(value));
            }
            Message::Done(value) => {
                if let Some(client) = waiting.take() {
                    messages.send(client, &Message::Done(value));
                }
            }
            Message::News(_) => {}
        }
    }
    Ok(())
}

/// The third node tells the others how it is, again and again.
fn news(env: &Env, change: Change) {
    let own = env.clone();
    env.spawn("news", async move {
        let Ok(mut messages) = own.messages::<Message>(Port::ANY) else { return };
        for number in 0.. {
            own.sleep(Duration::from_millis(7)).await;
            if change != Change::Nothing {
                own.trace(|| format!("tells its news for the {number}. time"));
                messages.send(own.addresses("node", PORT)[0], &Message::News(own.random()));
            }
            messages.send(own.addresses("node", PORT)[1], &Message::News(number));
        }
    });
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut messages = env.messages::<Message>(Port::ANY)?;
    let acknowledged = env.show("acknowledged", Acknowledged(Vec::new()));
    let to = env.addresses("node", PORT)[0];
    while let Some(operation) = client.next_operation(8) {
        messages.send(to, &Message::Put(operation.number()));
        let answer = env.timeout(Duration::from_millis(300), messages.receive()).await;
        // The copy has had its time to arrive.
        env.sleep(Duration::from_millis(300)).await;
        if let Ok(Ok((_, Message::Done(value)))) = answer {
            acknowledged.update(env, |seen| seen.0.push(value));
        }
    }
    Ok(())
}

fn scenario(change: Change) -> Scenario {
    Scenario::new("test/changed")
        .nodes("node", 3..=3, move |env| serve(env, change))
        .clients("client", 2..=2, load)
        .tolerates(Tolerance::nothing().fault(crate::Fault::Loss))
        .always(LOST, || {
            |view: &View<'_>| {
                let held: Vec<Vec<u64>> = view.up::<Held>().map(|held| held.0.clone()).collect();
                let mut told = view.up::<Acknowledged>().flat_map(|seen| seen.0.clone());
                match told.find(|value| !held.iter().take(2).all(|held| held.contains(value))) {
                    Some(value) => Err(format!("{value} is not on both")),
                    None => Ok(()),
                }
            }
        })
}

#[test]
fn a_shrunk_run_reproduces_after_a_change_of_the_code_elsewhere() {
    let found = scenario(Change::Nothing);
    let fails = |seed: &u64| run(&found, *seed).failure.is_some_and(|f| f.property == LOST);
    let mut reproduced = 0;
    let seeds = (0..200).filter(fails).take(5);
    for seed in seeds {
        let plan = found.plan(seed);
        let fingerprint = run(&found, seed).failure.map(|failure| failure.fingerprint());
        let fingerprint = fingerprint.unwrap_or_default();
        let mut oracle = Inside { scenario: &found, seed };
        let wanted = (&plan, fingerprint.as_str());
        let shrunk = shrink(&found, wanted, 20_000, &mut oracle, &mut |_, _, _| {});
        let plan = shrunk.expect("it fails again").plan;
        let written = run_plan(&found, seed, &plan, Watch::default());
        let mut repro = Repro::new("test/changed", seed, &plan, Expected::of(&written));
        let replayed = |repro: &Repro, change| {
            let outcome = run_plan(&scenario(change), seed, &repro.plan, Watch::default());
            let lines = repro.verdict(&Expected::of(&outcome), &outcome.overrides, &outcome.missed);
            (lines.join("\n"), outcome)
        };
        let (said, _) = replayed(&repro, Change::Nothing);
        assert!(said.starts_with("the run is the same as when the file was written"), "{said}");
        "0.0.0-another".clone_into(&mut repro.build);
        let (said, outcome) = replayed(&repro, Change::Elsewhere);
        assert!(said.starts_with("another build wrote the file (0.0.0-another; this"), "{said}");
        assert!(said.ends_with(&format!("the same property breaks: {LOST}")), "{said}");
        assert_ne!(Expected::of(&outcome).digest, repro.expected.digest);
        // What is about a message finds it by what is in it.
        let about = |wish: &&Override| matches!(wish, Override::Message { .. });
        let messages = plan.overrides.iter().filter(about).count() as u64;
        assert_eq!(outcome.overrides.by_hash, messages, "{said}");
        let (said, outcome) = replayed(&repro, Change::Mended);
        assert!(outcome.failure.is_none(), "{said}");
        assert!(said.ends_with(&format!("nothing breaks any more; it was: {LOST}")), "{said}");
        reproduced += u64::from(messages > 0);
    }
    assert!(reproduced >= 3, "only {reproduced} of 5 hang on a message that is named");
}
