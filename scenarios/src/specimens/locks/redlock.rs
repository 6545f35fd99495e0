//! Redlock: a lock on five servers that know nothing of each other, held by whoever has set the key
//! on three of them in time (the page "Distributed Locks with Redis" of its documentation; and
//! what Kleppmann, 2016, has to say about it).

use super::{Depositor, exclusive, only};
use crate::models::redis::{self, Command, Persistence, Redis, Reply};
use squall::{Client, Fault, Most, Operation, Scenario};
use squall_env::platform::BindError;
use squall_env::{Env, Instant, Shown};
use squall_protocols::lock::{AcquisitionId, Belief, Beliefs, Token};
use std::time::Duration;

const SERVERS: u16 = 5;

/// How long the keys are there.
const TTL: Duration = Duration::from_millis(1_000);

/// How long one server is waited for.
const CALL_MAX: Duration = Duration::from_millis(50);

/// How long a client waits at most before it tries again.
const RETRY_MAX_US: u64 = 200_000;

/// How often it tries.
const TRIES: u64 = 4;

const OPERATIONS: u64 = 8;

/// Redlock on servers that this may happen to: nothing is written to their disks.
pub fn redlock(fault: Fault) -> Scenario {
    let name = match fault {
        Fault::Crash => "specimen/redlock-forgets-in-a-restart",
        _ => "specimen/redlock-clock-jump",
    };
    scenario(Scenario::new(name), fault, Duration::ZERO)
}

/// Redlock whose servers stay out for longer than any key is there after they have started, as its
/// documentation asks for.
pub fn stays_out() -> Scenario {
    scenario(Scenario::new("locks/redlock-stays-out"), Fault::Crash, TTL + TTL / 4)
}

fn scenario(scenario: Scenario, fault: Fault, stays_out: Duration) -> Scenario {
    let config = redis::Config { stays_out, ..redis::Config::alone(Persistence::None) };
    let nodes = scenario
        .nodes("redis", SERVERS..=SERVERS, move |env| redis::serve(env, config))
        .clients("client", 2..=3, load)
        .tolerates(only("redis", Most::Minority, &[fault, Fault::Loss]));
    exclusive(nodes).heals_after(Duration::from_secs(5))
}

struct Redlock {
    env: Env,
    servers: Vec<Redis>,
    owner: u64,
    number: u64,
    beliefs: Shown<Beliefs>,
}

impl Redlock {
    /// Sets the key on one server after the other. It is held if a majority has it and time is
    /// left, from when the first was asked; until when is what is returned.
    async fn try_acquire(&mut self) -> Option<(String, Instant)> {
        let value = self.env.random().to_string();
        let asked = self.env.now();
        let mut granted = 0;
        for server in &self.servers {
            let (key, value) = ("account_lock".to_owned(), value.clone());
            let px_ms = TTL.as_millis() as u64;
            let set = Command::SetNxPx { key, value, px_ms };
            granted += usize::from(server.call(set, CALL_MAX).await == Ok(Reply::Ok));
        }
        // For the drift of clocks, and the grain of a server's expiry.
        let drift = TTL / 100 + Duration::from_millis(2);
        let until = asked + TTL.saturating_sub(drift);
        if granted > self.servers.len() / 2 && self.env.now() < until {
            self.believe(until);
            return Some((value, until));
        }
        self.release(value).await;
        None
    }

    fn believe(&mut self, until: Instant) {
        self.number += 1;
        let id = AcquisitionId { owner: self.owner, number: self.number };
        let (at, token) = (self.env.now(), Token(self.number));
        let belief = Belief { name: "account".to_owned(), token, at, left: until - at };
        self.beliefs.update(&self.env, |beliefs| beliefs.holds.insert(id, belief));
    }

    async fn acquire(&mut self, operation: Operation) -> Option<(String, Instant)> {
        for again in 0..TRIES {
            if let Some(held) = self.try_acquire().await {
                return Some(held);
            }
            let pause = operation.draw(10 + again, RETRY_MAX_US);
            self.env.sleep(Duration::from_micros(pause)).await;
        }
        None
    }

    /// Deletes the key on all servers, also those that seem to have failed.
    async fn release(&self, value: String) {
        self.beliefs.update(&self.env, |beliefs| beliefs.holds.clear());
        for server in &self.servers {
            let (key, value) = ("account_lock".to_owned(), value.clone());
            // It goes by itself, too.
            let _ = server.call(Command::CompareAndDelete { key, value }, CALL_MAX).await;
        }
    }
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let account = Depositor::open(&env)?;
    let nodes = env.peers("redis");
    let servers: Result<Vec<Redis>, BindError> =
        nodes.iter().map(|node| Redis::open(&env, &[*node])).collect();
    let (servers, owner) = (servers?, env.random());
    let beliefs = env.show("locks", Beliefs::default());
    let mut lock = Redlock { env: env.clone(), servers, owner, number: 0, beliefs };
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 100_000))).await;
        let Some((value, until)) = lock.acquire(operation).await else { continue };
        let work = Duration::from_micros(operation.draw(1, 500_000));
        // Whoever has no time left stops.
        let _ = env.deadline(until, account.deposit(work)).await;
        lock.release(value).await;
    }
    client.after_heal().await;
    Ok(())
}
