use super::{Checked, ensure, over_every_network, text};
use squall_env::platform::BindError;
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, Env, HasOutcome, NodeId, Outcome, Port, Stream};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: Port = Port::named("parity");
const MS: Duration = Duration::from_millis(1);

/// The other one of two nodes.
fn other(env: &Env) -> Address {
    let me = env.me();
    let mut all = env.addresses("node", PORT);
    all.retain(|address| address.node != me);
    all[0]
}

/// Connects until there is somebody: the other node may start later.
async fn connect(env: &Env, to: Address) -> Result<Stream, String> {
    loop {
        match env.connect(to).await {
            Ok(stream) => return Ok(stream),
            Err(ConnectError::Refused | ConnectError::TimedOut) => env.sleep(10 * MS).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Serves every connection to the port in a task of its own.
fn serve<F, Fut>(env: &Env, with: F) -> Checked
where
    F: Fn(Env, Stream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut listener = env.listen(PORT).map_err(text)?;
    let owner = env.clone();
    env.spawn("listener", async move {
        while let Ok(stream) = listener.accept().await {
            owner.spawn("connection", with(owner.clone(), stream));
        }
    });
    Ok(())
}

/// Sends back what comes, until its end.
async fn echo(_: Env, mut stream: Stream) {
    let mut bytes = vec![0; 10_000];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[test]
fn what_is_written_comes_back_whole_and_then_the_end() {
    over_every_network(2, |env: Env| async move {
        serve(&env, echo)?;
        let stream = connect(&env, other(&env)).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = env.spawn("writer", async move {
            writer.write_all(&bytes(1_000_000)).await.map_err(text)?;
            writer.shutdown().await.map_err(text)?;
            Ok::<_, String>(writer)
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.map_err(text)?;
        ensure(got == bytes(1_000_000), "other bytes came back")?;
        writing.await.map_err(text)?.map(drop)
    });
}

#[test]
fn both_ends_know_the_other_and_the_port() {
    over_every_network(2, |env: Env| async move {
        serve(&env, |env, mut stream| async move {
            let right = stream.peer() == other(&env).node && stream.port() == PORT;
            // Whoever is wrong says nothing, and the other one then reads the end.
            if right && stream.write_all(b"yes").await.is_ok() {
                let _ended = stream.read(&mut [0]).await;
            }
        })?;
        let to = other(&env);
        let mut stream = connect(&env, to).await?;
        ensure(stream.peer() == to.node && stream.port() == PORT, "the peer is somebody else")?;
        let mut said = [0; 3];
        stream.read_exact(&mut said).await.map_err(text)?;
        ensure(said == *b"yes", "the other end knows somebody else")
    });
}

#[test]
fn a_node_connects_to_itself() {
    over_every_network(1, |env: Env| async move {
        serve(&env, echo)?;
        let me = Address::new(env.me(), PORT);
        let mut stream = env.connect(me).await.map_err(text)?;
        ensure(stream.peer() == me.node, "the peer is somebody else")?;
        stream.write_all(b"hello").await.map_err(text)?;
        stream.shutdown().await.map_err(text)?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.map_err(text)?;
        ensure(got == b"hello", "something else came back")
    });
}

#[test]
fn who_connects_to_nobody_is_told_so() {
    over_every_network(2, |env: Env| async move {
        serve(&env, echo)?;
        connect(&env, other(&env)).await?;
        let nobody = Address::new(other(&env).node, Port::named("nobody"));
        let refused = env.connect(nobody).await.err();
        ensure(refused == Some(ConnectError::Refused), "it was not refused")?;
        let stranger = Address::new(NodeId::new(9, 1), PORT);
        let lost = env.connect(stranger).await.err();
        ensure(lost == Some(ConnectError::NoRoute), "a stranger was found")?;
        let mine = env.connect(Address::new(env.me(), Port::named("nobody"))).await.err();
        ensure(mine == Some(ConnectError::Refused), "nobody on this node was found")?;
        ensure(ConnectError::Refused.outcome() == Outcome::NotDone, "something was done")
    });
}

#[test]
fn a_port_has_one_listener_and_comes_back_and_datagrams_have_ports_of_their_own() {
    over_every_network(1, |env: Env| async move {
        let first = env.listen(PORT).map_err(text)?;
        let datagrams = env.bind(PORT).map_err(text)?;
        let second = env.listen(PORT).err();
        ensure(second == Some(BindError::InUse(PORT)), "two listen on one port")?;
        drop((first, datagrams));
        let third = env.listen(PORT).map_err(text)?;
        let any = [env.listen(Port::ANY).map_err(text)?, env.listen(Port::ANY).map_err(text)?];
        let [one, two] = [any[0].port(), any[1].port()];
        ensure(one != two && third.port() == PORT, "two listeners have one port")?;
        // What is found under a drawn number is that listener.
        let mut stream = env.connect(Address::new(env.me(), two)).await.map_err(text)?;
        drop(any);
        let ended = stream.read(&mut [0]).await;
        ensure(!matches!(ended, Ok(1..)), "nobody took the connection, and it said something")
    });
}

#[test]
fn after_a_shutdown_the_other_way_stays_open() {
    over_every_network(2, |env: Env| async move {
        serve(&env, |env, mut stream| async move {
            let mut question = Vec::new();
            if stream.read_to_end(&mut question).await.is_ok() && question == b"question" {
                env.sleep(20 * MS).await;
                // A failure shows at the other end.
                let _answered = stream.write_all(b"answer").await;
            }
        })?;
        let mut stream = connect(&env, other(&env)).await?;
        stream.write_all(b"question").await.map_err(text)?;
        stream.shutdown().await.map_err(text)?;
        let late = stream.write(b"more").await.map_err(|error| (StreamError::of(&error), error));
        let Err((StreamError::ShutDown, error)) = late else {
            return Err("a write after the shutdown was taken".to_owned());
        };
        ensure(error.outcome() == Outcome::NotDone, "it may have been sent all the same")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(text)?;
        ensure(answer == b"answer", "the answer did not come")
    });
}

#[test]
fn a_stream_that_is_dropped_unread_is_reset_and_stays_so() {
    over_every_network(2, |env: Env| async move {
        serve(&env, |env, stream| async move {
            // What has arrived by then is never read.
            env.sleep(50 * MS).await;
            drop(stream);
        })?;
        let mut stream = connect(&env, other(&env)).await?;
        stream.write_all(b"unread").await.map_err(text)?;
        let error = stream.read(&mut [0]).await.err().ok_or("no error was given")?;
        ensure(StreamError::of(&error) == StreamError::Reset, "it was not reset")?;
        ensure(error.outcome() == Outcome::Indeterminate, "the outcome is known")?;
        let again = stream.write(b"more").await.err().ok_or("a write was taken")?;
        ensure(StreamError::of(&again) == StreamError::Reset, "the error was another")?;
        let read = stream.read(&mut [0]).await.err().ok_or("the error was forgotten")?;
        ensure(StreamError::of(&read) == StreamError::Reset, "the error was another one")
    });
}

#[test]
fn a_writer_waits_for_its_reader_and_nothing_is_lost() {
    const CHUNK: usize = 64 << 10;
    over_every_network(2, |env: Env| async move {
        serve(&env, |env, mut stream| async move {
            env.sleep(300 * MS).await;
            let mut sum = 0u64;
            let mut bytes = vec![0; CHUNK];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                sum += count as u64;
            }
            let _answered = stream.write_all(&sum.to_le_bytes()).await;
        })?;
        let mut stream = connect(&env, other(&env)).await?;
        let mut written = 0u64;
        let mut waited = false;
        // No system takes so much of what nobody reads.
        while written < 64 << 20 && !waited {
            match env.timeout(100 * MS, stream.write(&[7; CHUNK])).await {
                Ok(taken) => written += taken.map_err(text)? as u64,
                Err(_) => waited = true,
            }
        }
        ensure(waited, "a writer without a reader never waited")?;
        stream.shutdown().await.map_err(text)?;
        let mut sum = [0; 8];
        stream.read_exact(&mut sum).await.map_err(text)?;
        ensure(u64::from_le_bytes(sum) == written, "the reader saw another number of bytes")
    });
}

#[test]
fn many_streams_at_once_each_carry_their_own() {
    over_every_network(2, |env: Env| async move {
        serve(&env, echo)?;
        let first = connect(&env, other(&env)).await?;
        let asked: Vec<_> = (0..50u8)
            .map(|number| {
                let env = env.clone();
                env.clone().spawn("one of many", async move {
                    let mut stream = connect(&env, other(&env)).await?;
                    stream.write_all(&[number; 100]).await.map_err(text)?;
                    let mut got = [0; 100];
                    stream.read_exact(&mut got).await.map_err(text)?;
                    ensure(got == [number; 100], "somebody else's bytes came")
                })
            })
            .collect();
        for one in asked {
            one.await.map_err(text)??;
        }
        drop(first);
        Ok(())
    });
}

#[test]
fn who_gives_up_connecting_does_no_harm() {
    over_every_network(2, |env: Env| async move {
        serve(&env, echo)?;
        connect(&env, other(&env)).await?;
        for _ in 0..20 {
            // Mostly it is too short, and what then comes of it is nobody's business.
            let _given_up = env.timeout(MS / 20, env.connect(other(&env))).await;
        }
        let mut stream = connect(&env, other(&env)).await?;
        stream.write_all(b"still").await.map_err(text)?;
        let mut got = [0; 5];
        stream.read_exact(&mut got).await.map_err(text)?;
        ensure(got == *b"still", "something else came back")
    });
}
