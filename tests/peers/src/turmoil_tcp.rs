//! The loads in turmoil, with its tick of a millisecond.

use crate::{Load, MESSAGE, PIECE};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

const PORT: u16 = 100;

pub(crate) fn run(load: Load, operations: u64) {
    let mut simulation = turmoil::Builder::new()
        .rng_seed(1)
        .simulation_duration(Duration::from_secs(100_000_000))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .tcp_capacity(1 << 16)
        .build();
    simulation.host("server", move || async move { Ok(serve(load).await?) });
    simulation.client("client", async move { Ok(use_server(load, operations).await?) });
    simulation.run().expect("nothing goes wrong here");
}

async fn serve(load: Load) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        // Connections end with the client; whatever error that is, it is not looked at.
        let _ended = serve_one(load, &mut stream).await;
    }
}

async fn serve_one(load: Load, stream: &mut TcpStream) -> io::Result<()> {
    let (mut message, mut piece) = ([0; MESSAGE], vec![0; PIECE]);
    match load {
        Load::Bulk => while stream.read(&mut piece).await? > 0 {},
        Load::PingPong | Load::Connect => {
            while stream.read_exact(&mut message).await.is_ok() {
                message[0] = message[0].wrapping_add(1);
                stream.write_all(&message).await?;
            }
        }
    }
    Ok(())
}

async fn use_server(load: Load, operations: u64) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    match load {
        Load::PingPong => {
            let mut stream = TcpStream::connect(("server", PORT)).await?;
            for _ in 0..operations / 2 {
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
        }
        Load::Bulk => {
            let (mut stream, piece) = (TcpStream::connect(("server", PORT)).await?, vec![7; PIECE]);
            for _ in 0..operations * (1 << 20) / PIECE as u64 {
                stream.write_all(&piece).await?;
            }
            stream.shutdown().await?;
            // The other end closes once it has read everything.
            let _ = stream.read(&mut message).await?;
        }
        Load::Connect => {
            for _ in 0..operations {
                let mut stream = TcpStream::connect(("server", PORT)).await?;
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
        }
    }
    Ok(())
}
