//! The way to one peer: a connection that is opened when there is something to send, and again
//! when it has broken.

use crate::config::certified_name;
use crate::connection;
use crate::hello::{self, Greeting, HelloError, Refusal};
use crate::network::Network;
use crate::outbox::Outbox;
use crate::transport::{Proof, Way};
use squall_env::NodeId;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Hello(#[from] HelloError),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("somebody else answers there")]
    SomebodyElse,
}

/// Keeps the way to `peer` open for as long as the node runs.
pub(crate) async fn run(
    network: Arc<Network>,
    peer: NodeId,
    address: SocketAddr,
    outbox: Arc<Outbox>,
) {
    let limits = &network.limits;
    let (mut wait, mut connected) = (limits.back_off_min, false);
    let cluster = network.roster.cluster().to_owned();
    let hello = Greeting::Hello { cluster, node: network.my_name() };
    loop {
        // Who cannot be connected to hears from its peer only as long as it is connected.
        if network.has_address || !connected {
            outbox.filled().await;
        }
        match dial(&network, peer, address, &hello).await {
            Ok(stream) => {
                network.counters.connects.one();
                if connected {
                    network.counters.reconnects.one();
                }
                (wait, connected) = (limits.back_off_min, true);
                let name = network.roster.name(peer);
                let span = tracing::debug_span!("connection", peer = name.as_str(), %address);
                let run = connection::run(&network, stream, peer, &outbox, pending());
                run.instrument(span).await;
            }
            Err(error) => {
                network.counters.connects_failed.one();
                tracing::debug!(
                    node = network.roster.name(network.me),
                    peer = network.roster.name(peer),
                    %address,
                    why = %error,
                    "no connection"
                );
                if wait >= limits.back_off_max {
                    network.counters.dropped_unreachable.add(outbox.discard());
                }
            }
        }
        sleep(network.entropy.jitter(wait)).await;
        wait = longer(wait, limits.back_off_max);
    }
}

fn longer(wait: Duration, most: Duration) -> Duration {
    wait.saturating_mul(2).min(most)
}

/// Connects and greets.
pub(crate) async fn dial(
    network: &Network,
    peer: NodeId,
    address: SocketAddr,
    greeting: &Greeting,
) -> Result<Way, DialError> {
    let attempt = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = certified_name(&network.roster, peer);
        let mut stream = network.transport.connect(stream, name).await?;
        hello::write(&mut stream, greeting).await?;
        match hello::read(&mut stream).await? {
            Greeting::Refused(refusal) => Err(DialError::Refused(refusal)),
            Greeting::Welcome { cluster, node } => {
                // With TLS the certificate has borne the peer's name before anything was said.
                match network.identify(&cluster, node.as_deref(), &Proof::None) {
                    Ok(Some(found)) if found == peer => Ok(stream),
                    _ => Err(DialError::SomebodyElse),
                }
            }
            Greeting::Hello { .. } | Greeting::Stream { .. } => Err(DialError::SomebodyElse),
        }
    };
    timeout(network.limits.connect_timeout, attempt).await.unwrap_or(Err(DialError::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_most() {
        let most = Duration::from_millis(100);
        assert_eq!(longer(Duration::from_millis(20), most), Duration::from_millis(40));
        assert_eq!(longer(Duration::from_millis(80), most), most);
        assert_eq!(longer(Duration::MAX, Duration::MAX), Duration::MAX);
    }
}
