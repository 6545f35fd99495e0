//! The same loads in the simulated world: async nodes, all faults compiled in, digest on.

use super::baseline::MS;
use squall::plan::{Plan, RoleNodes};
use squall::{RunOutcome, Scenario, Watch, run_plan};
use squall_env::platform::BindError;
use squall_env::{Address, Env, Port};
use std::time::Duration;

const PORT: Port = Port::named("bench");

/// A plan without faults.
pub(crate) fn calm(nodes: u16) -> Plan {
    Plan::calm(vec![RoleNodes { role: "node".to_owned(), nodes }], u64::MAX / 2)
}

/// Runs for so long, without judging histories.
pub(crate) fn run(scenario: &Scenario, seed: u64, plan: &Plan, until_ns: u64) -> RunOutcome {
    run_plan(scenario, seed, plan, Watch { until_ns, judge: false, log: false })
}

fn other(env: &Env) -> Address {
    env.addresses("node", PORT)[usize::from(env.me().ordinal() == 1)]
}

/// One datagram goes back and forth.
pub(crate) fn ping_pong() -> Scenario {
    Scenario::new("bench/ping-pong").nodes("node", 2..=2, |env: Env| async move {
        let mut socket = env.bind(PORT)?;
        let mut buffer = Vec::new();
        if env.me().ordinal() == 1 {
            socket.send(other(&env), &[0; 64]);
        }
        while let Ok(from) = socket.receive(&mut buffer).await {
            buffer[0] = buffer[0].wrapping_add(1);
            socket.send(from, &buffer);
        }
        Ok::<(), BindError>(())
    })
}

/// The same, with a timeout on each receive.
pub(crate) fn ping_pong_timeout() -> Scenario {
    Scenario::new("bench/ping-pong-timeout").nodes("node", 2..=2, |env: Env| async move {
        let mut socket = env.bind(PORT)?;
        let mut buffer = Vec::new();
        if env.me().ordinal() == 1 {
            socket.send(other(&env), &[0; 64]);
        }
        let limit = Duration::from_secs(1);
        while let Ok(Ok(from)) = env.timeout(limit, socket.receive(&mut buffer)).await {
            buffer[0] = buffer[0].wrapping_add(1);
            socket.send(from, &buffer);
        }
        Ok::<(), BindError>(())
    })
}

/// Everybody sends to everybody every 10 ms.
pub(crate) fn all_to_all(nodes: u16) -> Scenario {
    Scenario::new("bench/all-to-all").nodes("node", nodes..=nodes, |env: Env| async move {
        let mut socket = env.bind(PORT)?;
        let sender = env.clone();
        env.spawn("gossip", async move {
            let Ok(out) = sender.bind(Port::ANY) else { return };
            let me = sender.me();
            let mut peers = sender.addresses("node", PORT);
            peers.retain(|peer| peer.node != me);
            loop {
                sender.sleep(Duration::from_millis(10)).await;
                for peer in &peers {
                    out.send(*peer, &[3; 64]);
                }
            }
        });
        let mut buffer = Vec::new();
        while socket.receive(&mut buffer).await.is_ok() {}
        Ok::<(), BindError>(())
    })
}

/// Everybody sleeps 1 to 100 ms, again and again.
pub(crate) fn timers() -> Scenario {
    Scenario::new("bench/timers").nodes("node", 1_000..=1_000, |env: Env| async move {
        loop {
            let length = MS + env.random_below(99 * MS);
            env.sleep(Duration::from_nanos(length)).await;
            if length == 0 {
                return Ok::<(), BindError>(());
            }
        }
    })
}

/// Everybody sends one datagram to the next after 1 ms.
pub(crate) fn ring() -> Scenario {
    Scenario::new("bench/ring").nodes("node", 5..=5, |env: Env| async move {
        let mut socket = env.bind(PORT)?;
        env.sleep(Duration::from_millis(1)).await;
        let next = env.addresses("node", PORT)[usize::from(env.me().ordinal()) % 5];
        socket.send(next, &[1; 64]);
        // A node has heard from its neighbour or the run is over.
        let _ = socket.receive(&mut Vec::new()).await;
        Ok::<(), BindError>(())
    })
}

/// Ping-pong, with a task for each message.
pub(crate) fn spawning() -> Scenario {
    Scenario::new("bench/spawn").nodes("node", 2..=2, |env: Env| async move {
        let mut socket = env.bind(PORT)?;
        let mut buffer = Vec::new();
        if env.me().ordinal() == 1 {
            socket.send(other(&env), &[0; 64]);
        }
        while let Ok(from) = socket.receive(&mut buffer).await {
            let (sender, payload) = (env.clone(), buffer.clone());
            env.spawn("answer", async move {
                sender.platform().send(PORT, from, 0, &payload);
            });
        }
        Ok::<(), BindError>(())
    })
}
