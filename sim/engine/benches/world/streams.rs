//! The loads of streams: two nodes, the first of which connects.

use super::loads::ROLE;
use squall::Scenario;
use squall_env::{Env, Port, Stream};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: Port = Port::named("bench");

/// The bytes of a piece of the bulk.
pub(crate) const PIECE: usize = 64 << 10;

/// What the run under way has done: its nodes may own nothing.
static DONE: AtomicU64 = AtomicU64::new(0);

/// What was done since the last time that somebody asked.
pub(crate) fn take_done() -> u64 {
    DONE.swap(0, Ordering::Relaxed)
}

fn done() {
    DONE.fetch_add(1, Ordering::Relaxed);
}

async fn listen(env: &Env) -> io::Result<()> {
    let mut listener = env.listen(PORT).map_err(io::Error::other)?;
    while let Ok(mut stream) = listener.accept().await {
        let mut message = [0; 64];
        while stream.read_exact(&mut message).await.is_ok() {
            done();
            message[0] = message[0].wrapping_add(1);
            stream.write_all(&message).await?;
        }
    }
    Ok(())
}

async fn connect(env: &Env) -> io::Result<Stream> {
    env.connect(env.addresses(ROLE, PORT)[1]).await.map_err(io::Error::other)
}

/// A message of 64 bytes goes back and forth on one connection.
pub(crate) fn ping_pong() -> Scenario {
    Scenario::new("bench/stream-ping-pong").nodes(ROLE, 2..=2, |env: Env| async move {
        if env.me().ordinal() == 2 {
            return listen(&env).await;
        }
        let (mut stream, mut message) = (connect(&env).await?, [0; 64]);
        loop {
            stream.write_all(&message).await?;
            stream.read_exact(&mut message).await?;
            done();
        }
    })
}

/// One node writes pieces of 64 KiB, and the other reads them.
pub(crate) fn bulk() -> Scenario {
    Scenario::new("bench/stream-bulk").nodes(ROLE, 2..=2, |env: Env| async move {
        let mut piece = vec![7; PIECE];
        if env.me().ordinal() == 1 {
            let mut stream = connect(&env).await?;
            loop {
                stream.write_all(&piece).await?;
            }
        }
        let mut listener = env.listen(PORT).map_err(io::Error::other)?;
        let mut stream = listener.accept().await.map_err(io::Error::other)?;
        loop {
            stream.read_exact(&mut piece).await?;
            done();
        }
        #[allow(unreachable_code, reason = "says what the block gives")]
        Ok::<(), io::Error>(())
    })
}

/// A connection for every question: opened, 64 bytes there and back, closed.
pub(crate) fn connects() -> Scenario {
    Scenario::new("bench/connect").nodes(ROLE, 2..=2, |env: Env| async move {
        if env.me().ordinal() == 2 {
            return listen(&env).await;
        }
        let mut message = [0; 64];
        loop {
            let mut stream = connect(&env).await?;
            stream.write_all(&message).await?;
            stream.read_exact(&mut message).await?;
        }
    })
}
