//! A connection after its greeting: frames in, frames out, and pings while there are none.

use crate::config::Limits;
use crate::frame::{self, FrameError};
use crate::network::Network;
use crate::outbox::{Batch, Outbox};
use crate::transport::Way;
use squall_env::{Either, NodeId, race};
use std::future::Future;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

/// How many bytes are asked for at a time.
const READ_BYTES: usize = 64 << 10;

/// The capacity that an emptied buffer keeps, in bytes.
const RETAINED_BYTES: usize = 256 << 10;

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the peer has closed it")]
    Closed,
    #[error("the peer is silent")]
    Silent,
    #[error("the peer takes nothing in")]
    Stuck,
    #[error("the peer has opened another")]
    Replaced,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Carries frames both ways until the connection ends or another one of the peer replaces it. What
/// is left in the outbox stays there.
pub(crate) async fn run(
    network: &Network,
    stream: Way,
    peer: NodeId,
    outbox: &Outbox,
    replaced: impl Future<Output = ()>,
) -> Ended {
    let (reader, writer) = split(stream);
    let mut batch = Batch::default();
    let reading = read(network, reader, peer);
    let writing = write(network, writer, outbox, &mut batch);
    let ended = match race(replaced, race(reading, writing)).await {
        Either::Left(()) => Ended::Replaced,
        Either::Right(Either::Left(ended) | Either::Right(ended)) => ended,
    };
    network.counters.dropped_broken.add(batch.frames);
    network.ended(peer, &ended);
    ended
}

async fn read(network: &Network, mut reader: ReadHalf<Way>, peer: NodeId) -> Ended {
    let mut held = Vec::new();
    loop {
        held.reserve(READ_BYTES);
        match timeout(network.limits.silence_max, reader.read_buf(&mut held)).await {
            Err(_) => return Ended::Silent,
            Ok(Err(error)) => return Ended::Io(error),
            Ok(Ok(0)) => return Ended::Closed,
            Ok(Ok(_)) => {}
        }
        let mut at = 0;
        loop {
            match frame::decode(&held[at..]) {
                Err(error) => return Ended::Frame(error),
                Ok(None) => break,
                Ok(Some((frame, size))) => {
                    network.arrived(peer, &frame);
                    at += size;
                }
            }
        }
        held.drain(..at);
        if held.is_empty() {
            held.shrink_to(RETAINED_BYTES);
        }
    }
}

async fn write(
    network: &Network,
    mut writer: WriteHalf<Way>,
    outbox: &Outbox,
    batch: &mut Batch,
) -> Ended {
    let limits = &network.limits;
    loop {
        if timeout(limits.ping_interval, outbox.take(batch)).await.is_err() {
            frame::encode_ping(&mut batch.bytes);
        }
        if let Err(ended) = write_all(&mut writer, &batch.bytes, limits).await {
            return ended;
        }
        network.counters.frames_sent.add(batch.frames);
        batch.clear();
    }
}

/// Writes everything, however long it takes, as long as the peer takes some of it now and then.
async fn write_all(
    writer: &mut WriteHalf<Way>,
    mut bytes: &[u8],
    limits: &Limits,
) -> Result<(), Ended> {
    while !bytes.is_empty() {
        match timeout(limits.silence_max, writer.write(bytes)).await {
            Err(_) => return Err(Ended::Stuck),
            Ok(Err(error)) => return Err(Ended::Io(error)),
            Ok(Ok(0)) => return Err(Ended::Closed),
            Ok(Ok(written)) => bytes = &bytes[written..],
        }
    }
    match timeout(limits.silence_max, writer.flush()).await {
        Err(_) => Err(Ended::Stuck),
        Ok(flushed) => Ok(flushed?),
    }
}
