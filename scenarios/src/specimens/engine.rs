//! One specimen for each class of failure: that it is reported as what it is, and that what one
//! seed does to its process stops no other.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these specimens do what no protocol may"
)]

use squall::check::{Judge, Judgement, Operations, Trial};
use squall::{Client, FINISHES, Scenario};
use squall_env::{Port, sync};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// The variable that adds [`leaks`] to the specimens.
pub const LEAK_VARIABLE: &str = "SQUALL_LEAK_SPECIMEN";

/// All of them. The one that leaks is among them only if a variable of the environment asks for
/// it: which of its seeds fail hangs on how seeds are shared among processes.
pub fn specimens() -> Vec<Scenario> {
    let leaks = std::env::var_os(LEAK_VARIABLE).map(|_| leaks());
    let always = [
        property(),
        panics(),
        livelocks(),
        deadlocks(),
        hangs(),
        aborts(),
        undecided(),
        drifts(),
        runs_away(),
    ];
    always.into_iter().chain(leaks).collect()
}

/// A scenario with two clients that do nothing but one wrong thing, after a second.
fn specimen(name: &str, breaks: &'static str) -> Scenario {
    Scenario::new(&format!("specimen/{name}")).breaks(breaks)
}

async fn wait(client: &Client) {
    client.env().sleep(Duration::from_secs(1)).await;
}

/// Class `property`: one client in three draws a number that it must not draw.
pub fn property() -> Scenario {
    struct Drawn(u64);
    specimen("engine-property", "no client draws a zero")
        .clients("client", 2..=2, |client: Client| async move {
            wait(&client).await;
            let drawn = client.env().random_below(6);
            tracing::info!(drawn, "draws");
            // It goes on showing it until a property has looked.
            let shown = client.env().show("drawn", Drawn(drawn));
            wait(&client).await;
            drop(shown);
            Ok::<(), String>(())
        })
        .always("no client draws a zero", || {
            |view: &squall_env::View<'_>| match view.up::<Drawn>().any(|drawn| drawn.0 == 0) {
                true => Err("a client has drawn a zero".to_owned()),
                false => Ok(()),
            }
        })
}

/// Class `panic`: a client indexes beyond the end of what it has.
pub fn panics() -> Scenario {
    specimen("engine-panic", "no node panics").clients(
        "client",
        2..=2,
        |client: Client| async move {
            wait(&client).await;
            let hand = [1, 2, 3];
            let card = client.env().random_below(4) as usize;
            match hand.get(card) {
                Some(_) => Ok::<(), String>(()),
                None => panic!("there is no card {card}"),
            }
        },
    )
}

/// Class `livelock`: a task that wakes itself for ever, and so lets no time pass.
pub fn livelocks() -> Scenario {
    specimen("engine-livelock", "time moves on").clients(
        "client",
        2..=2,
        |client: Client| async move {
            wait(&client).await;
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
            Ok::<(), String>(())
        },
    )
}

/// Class `deadlock`: each client holds what the other waits for.
pub fn deadlocks() -> Scenario {
    specimen("engine-deadlock", FINISHES).clients("client", 2..=2, |client: Client| async move {
        let env = client.env();
        let (left, right) = (sync::semaphore(env, "left", 1), sync::semaphore(env, "right", 1));
        let (one, other) = (left.clone(), right.clone());
        let own = env.clone();
        env.spawn("crosswise", async move {
            let first = other.acquire().await;
            own.sleep(Duration::from_secs(1)).await;
            let second = one.acquire().await;
            drop((first, second));
        });
        let first = left.acquire().await;
        wait(&client).await;
        let second = right.acquire().await;
        drop((first, second));
        Ok::<(), String>(())
    })
}

/// Class `runaway`: whoever hears a rumour tells it to everybody, as often as it hears it.
pub fn runs_away() -> Scenario {
    specimen("engine-runaway", "the run ends").pending_max(20_000).clients(
        "client",
        3..=3,
        |client: Client| async move {
            wait(&client).await;
            let env = client.env();
            let port = Port::named("rumours");
            let mut rumours = env.messages::<u8>(port).map_err(|error| error.to_string())?;
            rumours.send_all(env.addresses("client", port), &7);
            while let Ok((_, rumour)) = rumours.receive().await {
                rumours.send_all(env.addresses("client", port), &rumour);
            }
            Ok::<(), String>(())
        },
    )
}

/// Class `hang`: a poll that does not return, in one seed of sixteen.
pub fn hangs() -> Scenario {
    specimen("engine-hang", "every poll returns").clients(
        "client",
        1..=1,
        |client: Client| async move {
            wait(&client).await;
            if client.env().random_below(16) == 0 {
                loop {
                    std::thread::park();
                }
            }
            Ok::<(), String>(())
        },
    )
}

/// Class `abort`: the process ends, in one seed of sixteen.
pub fn aborts() -> Scenario {
    specimen("engine-abort", "the process lives on").clients(
        "client",
        1..=1,
        |client: Client| async move {
            wait(&client).await;
            if client.env().random_below(16) == 0 {
                std::process::abort();
            }
            Ok::<(), String>(())
        },
    )
}

/// Class `undecided`: a checker that always reaches its bounds.
pub fn undecided() -> Scenario {
    specimen("engine-undecided", "the history is judged")
        .clients("client", 1..=1, |client: Client| async move {
            wait(&client).await;
            Ok::<(), String>(())
        })
        .check(Bounded)
}

/// Runs that are no function of their seed: a static tells each of those before it. A sweep sees
/// that a fresh process does not fail in this way, and says that the failure is not reproducible.
pub fn leaks() -> Scenario {
    static BEFORE: AtomicU64 = AtomicU64::new(0);
    struct Before(u64);
    specimen("engine-leak", "a run begins with nothing")
        .clients("client", 1..=1, |client: Client| async move {
            let env = client.env();
            let before = env.show("before", Before(BEFORE.fetch_add(1, Ordering::Relaxed)));
            env.sleep(Duration::from_millis(before.read(|before| before.0) % 1_000 + 1)).await;
            Ok::<(), String>(())
        })
        .always("a run begins with nothing", || {
            |view: &squall_env::View<'_>| match view.up::<Before>().find(|before| before.0 > 0) {
                Some(before) => Err(format!("{} runs were here before", before.0)),
                None => Ok(()),
            }
        })
}

/// Runs that are no function of their seed, and of which each by itself looks fine: a static makes
/// every run a little slower than the one before. Only a second run of the same seed shows it.
pub fn drifts() -> Scenario {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    specimen("engine-drift", "two runs of one seed are alike").clients(
        "client",
        1..=1,
        |client: Client| async move {
            wait(&client).await;
            let runs = RUNS.fetch_add(1, Ordering::Relaxed) % 1_000;
            client.env().sleep(Duration::from_millis(runs + 1)).await;
            Ok::<(), String>(())
        },
    )
}

struct Bounded;

struct BoundedTrial;

impl Judge for Bounded {
    fn name(&self) -> &'static str {
        "the history is judged"
    }

    fn begin(&self) -> Box<dyn Trial> {
        Box::new(BoundedTrial)
    }
}

impl Trial for BoundedTrial {
    fn recorder(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn judge(&self, check: bool) -> (Judgement, Operations) {
        let judgement = match check {
            true => Judgement::Undecided("the checker stopped at its bound at once".to_owned()),
            false => Judgement::Fine,
        };
        (judgement, Operations::default())
    }
}
