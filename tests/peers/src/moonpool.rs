//! The loads in moonpool-sim: its world and its executor, chaos off.

use crate::{Load, MESSAGE, PIECE};
use futures::{AsyncReadExt, AsyncWriteExt};
use moonpool_sim::executor::{Executor, spawn, until_stalled};
use moonpool_sim::{
    ChaosConfiguration, LatencyDistribution, NetworkConfiguration, NetworkProvider, SimWorld,
    TcpListenerTrait, TimeProvider,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ADDRESS: &str = "10.0.0.1:100";

fn world() -> SimWorld {
    let micros = |from, to| LatencyDistribution::Uniform {
        start: Duration::from_micros(from),
        end: Duration::from_micros(to),
    };
    let configuration = NetworkConfiguration {
        bind_latency: micros(1, 1),
        accept_latency: micros(1, 1),
        connect_latency: micros(1_000, 10_000),
        read_latency: micros(1, 1),
        write_latency: micros(1_000, 10_000),
        chaos: ChaosConfiguration::disabled(),
    };
    SimWorld::new_with_network_config_and_seed(configuration, 1)
}

pub(crate) fn run(load: Load, operations: u64) {
    let mut world = world();
    let (server, client) = (world.network_provider(), world.network_provider());
    let time = world.time_provider();
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    Executor::new(1).block_on(async {
        spawn("server", async move {
            // The connection ends with the client.
            let _ended = serve(load, server).await;
        });
        spawn("client", async move {
            // The server binds first.
            let waited = time.sleep(Duration::from_millis(1)).await;
            assert!(waited.is_ok(), "the world has gone");
            use_server(load, operations, client).await.expect("nothing goes wrong here");
            finished.store(true, Ordering::Relaxed);
        });
        until_stalled().await;
        while !done.load(Ordering::Relaxed) {
            // The last step says that no other follows, and may still have woken somebody.
            let more = world.step();
            until_stalled().await;
            assert!(more || world.has_pending_events() || done.load(Ordering::Relaxed), "stuck");
        }
    });
}

async fn serve(load: Load, network: impl NetworkProvider) -> io::Result<()> {
    let (mut message, mut piece) = ([0; MESSAGE], vec![0; PIECE]);
    let listener = network.bind(ADDRESS).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        match load {
            Load::Bulk => {
                while stream.read(&mut piece).await? > 0 {}
                stream.close().await?;
            }
            Load::PingPong | Load::Connect => {
                while stream.read_exact(&mut message).await.is_ok() {
                    message[0] = message[0].wrapping_add(1);
                    stream.write_all(&message).await?;
                }
            }
        }
    }
}

async fn use_server(load: Load, operations: u64, network: impl NetworkProvider) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    match load {
        Load::PingPong => {
            let mut stream = network.connect(ADDRESS).await?;
            for _ in 0..operations / 2 {
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
        }
        Load::Bulk => {
            let (mut stream, piece) = (network.connect(ADDRESS).await?, vec![7; PIECE]);
            for _ in 0..operations * (1 << 20) / PIECE as u64 {
                stream.write_all(&piece).await?;
            }
            stream.close().await?;
            // The other end closes once it has read everything.
            let _ = stream.read(&mut message).await?;
        }
        Load::Connect => {
            for _ in 0..operations {
                let mut stream = network.connect(ADDRESS).await?;
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
        }
    }
    Ok(())
}
