//! The loads as scenarios: async nodes behind the public interface, all faults compiled in and
//! none of them in the plan, the digest on.

use super::baseline::MS;
use squall::Scenario;
use squall_env::platform::{BindError, Closed};
use squall_env::{Address, Env, Port};
use std::convert::Infallible;
use std::time::Duration;

/// The role of every node.
pub(crate) const ROLE: &str = "node";

const PORT: Port = Port::named("bench");

/// Binds the port of a load of two nodes; the first of them serves.
fn ball(env: &Env) -> Result<squall_env::Socket, BindError> {
    let socket = env.bind(PORT)?;
    if env.me().ordinal() == 1 {
        socket.send(env.addresses(ROLE, PORT)[1], &[0; 64]);
    }
    Ok(socket)
}

/// Sends a datagram back, with a change so that no two are the same.
fn answer(socket: &squall_env::Socket, to: Address, payload: &mut [u8]) {
    payload[0] = payload[0].wrapping_add(1);
    socket.send(to, payload);
}

/// One datagram goes back and forth.
pub(crate) fn ping_pong() -> Scenario {
    Scenario::new("bench/ping-pong").nodes(ROLE, 2..=2, |env: Env| async move {
        let mut socket = ball(&env)?;
        let mut buffer = Vec::new();
        while let Ok(from) = socket.receive(&mut buffer).await {
            answer(&socket, from, &mut buffer);
        }
        Ok::<(), BindError>(())
    })
}

/// The same, with a limit on each wait that never runs out.
pub(crate) fn ping_pong_timeout() -> Scenario {
    Scenario::new("bench/ping-pong-timeout").nodes(ROLE, 2..=2, |env: Env| async move {
        let mut socket = ball(&env)?;
        let mut buffer = Vec::new();
        let limit = Duration::from_secs(1);
        while let Ok(Ok(from)) = env.timeout(limit, socket.receive(&mut buffer)).await {
            answer(&socket, from, &mut buffer);
        }
        Ok::<(), BindError>(())
    })
}

/// Ping-pong in which each datagram is answered by a task of its own.
pub(crate) fn spawning() -> Scenario {
    Scenario::new("bench/spawn").nodes(ROLE, 2..=2, |env: Env| async move {
        let mut socket = ball(&env)?;
        let mut buffer = Vec::new();
        while let Ok(from) = socket.receive(&mut buffer).await {
            let (sender, count) = (env.clone(), buffer[0].wrapping_add(1));
            env.spawn("answer", async move {
                sender.platform().send(PORT, from, 0, &[count; 64]);
            });
        }
        Ok::<(), BindError>(())
    })
}

/// Everybody sends to everybody else every 10 ms.
pub(crate) fn all_to_all(nodes: u16) -> Scenario {
    Scenario::new("bench/all-to-all").nodes(ROLE, nodes..=nodes, |env: Env| async move {
        let mut socket = env.bind(PORT)?;
        let sender = env.clone();
        env.spawn("sender", async move {
            let mut peers = sender.addresses(ROLE, PORT);
            peers.retain(|peer| peer.node != sender.me());
            let payload = [sender.me().ordinal() as u8; 64];
            loop {
                sender.sleep(Duration::from_millis(10)).await;
                for peer in &peers {
                    sender.platform().send(PORT, *peer, 0, &payload);
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
    async fn sleeper(env: Env) -> Result<(), Infallible> {
        loop {
            let length = MS + env.random_below(99 * MS);
            env.sleep(Duration::from_nanos(length)).await;
        }
    }
    Scenario::new("bench/timers").nodes(ROLE, 1_000..=1_000, sleeper)
}

/// Everybody sends one datagram to the next after 1 ms, waits for that of the one before, and is
/// done.
pub(crate) fn ring() -> Scenario {
    async fn node(env: Env) -> Result<(), BindError> {
        let mut socket = env.bind(PORT)?;
        env.sleep(Duration::from_millis(1)).await;
        let peers = env.addresses(ROLE, PORT);
        let next = peers[usize::from(env.me().ordinal()) % peers.len()];
        socket.send(next, &[1; 64]);
        // Only a node that has been stopped hears nothing, and then it is over all the same.
        let _: Result<Address, Closed> = socket.receive(&mut Vec::new()).await;
        Ok(())
    }
    Scenario::new("bench/ring").nodes(ROLE, 5..=5, node)
}
