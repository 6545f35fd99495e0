//! Streams between nodes, guests and strangers.

use crate::support::{Cluster, ECHO, Failure, lend, run_as, wait_for, wait_until};
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, Env, NodeId, Roster, Stream};
use squall_real::Node;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends back what comes on every stream to the port [`ECHO`].
async fn echo(env: Env) -> Result<(), Failure> {
    let mut listener = env.listen(ECHO)?;
    loop {
        let mut stream = listener.accept().await?;
        env.spawn("echo", async move {
            let mut bytes = [0; 1_000];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                if stream.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Takes every stream, says who is at its other end, and keeps it.
async fn note_peers(env: Env, peers: mpsc::Sender<NodeId>) -> Result<(), Failure> {
    let (mut listener, mut kept) = (env.listen(ECHO)?, Vec::new());
    loop {
        let stream = listener.accept().await?;
        peers.send(stream.peer())?;
        kept.push(stream);
    }
}

async fn connect(env: &Env, to: Address) -> Stream {
    loop {
        match env.connect(to).await {
            Ok(stream) => return stream,
            Err(_) => env.sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn exchange(stream: &mut Stream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

#[test]
fn streams_work_with_many_threads_and_are_counted() {
    let cluster = Cluster::new();
    let threads = NonZeroUsize::new(3).unwrap();
    let (mut first, mut second) = (cluster.config("replica-1"), cluster.config("replica-2"));
    (first.threads, second.threads) = (threads, threads);
    let second = Node::start(second, echo).unwrap();
    let to = cluster.echo_of("replica-2");
    run_as(first, move |env| async move {
        let asks = (0..20u8).map(|number| {
            let asking = env.clone();
            env.spawn("asks", async move {
                exchange(&mut connect(&asking, to).await, &[number; 5_000]).await;
            })
        });
        for answered in asks.collect::<Vec<_>>() {
            answered.await.unwrap();
        }
    });
    assert_eq!(second.metrics().stream_accepts, 20);
}

#[test]
fn guests_have_numbers_of_their_own_while_their_streams_last() {
    let cluster = Cluster::new();
    let (noted, peers) = mpsc::channel();
    let _second = cluster.start("replica-2", move |env| note_peers(env, noted));
    let to = cluster.echo_of("replica-2");
    run_as(cluster.config("guest"), move |env| async move {
        let kept = [connect(&env, to).await, connect(&env, to).await];
        assert!(kept.iter().all(|stream| stream.peer() == to.node));
    });
    let guests = BTreeSet::from([wait_for(&peers), wait_for(&peers)]);
    assert!(guests.len() == 2 && guests.iter().all(|guest| guest.is_guest()), "{guests:?}");
    run_as(cluster.config("client-1"), move |env| async move {
        connect(&env, to).await;
    });
    assert_eq!(wait_for(&peers), cluster.node("client-1"));
}

#[test]
fn whoever_belongs_to_another_cluster_is_refused() {
    let cluster = Cluster::new();
    let second = cluster.start("replica-2", echo);
    let mut config = cluster.config("replica-1");
    config.roster = Roster::new("other").with("replica", 2).with("client", 1);
    let to = cluster.echo_of("replica-2");
    let refused = run_as(config, move |env| async move { env.connect(to).await.err() });
    assert_eq!(refused, Some(ConnectError::Refused));
    wait_until("it is counted", || second.metrics().refused == 1);
}

#[test]
fn no_more_streams_wait_than_allowed() {
    let mut cluster = Cluster::new();
    cluster.limits.backlog_max = 3;
    let (lent, envs) = mpsc::channel();
    let second = cluster.start("replica-2", lend(lent));
    let mut listener = wait_for(&envs).listen(ECHO).unwrap();
    let to = cluster.echo_of("replica-2");
    let (told, kept) = mpsc::channel();
    let _first = cluster.start("replica-1", move |env| async move {
        let mut kept = Vec::new();
        while let Ok(stream) = env.connect(to).await {
            kept.push(stream);
        }
        told.send(kept.len())?;
        std::future::pending().await
    });
    assert_eq!(wait_for(&kept), 3);
    wait_until("the refusal is counted", || second.metrics().refused == 1);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!((0..3).all(|_| listener.poll_accept(&mut cx).is_ready()));
    assert!(listener.poll_accept(&mut cx).is_pending());
}

#[test]
fn a_node_that_stops_closes_its_streams_and_its_listeners() {
    let cluster = Cluster::new();
    let second = cluster.start("replica-2", echo);
    let to = cluster.echo_of("replica-2");
    let (told, said) = mpsc::channel();
    let _first = cluster.start("replica-1", move |env| async move {
        let mut stream = connect(&env, to).await;
        exchange(&mut stream, b"hello").await;
        told.send("connected".to_owned())?;
        let ended = stream.read(&mut [0]).await;
        told.send(format!("{:?}", ended.map_err(|error| StreamError::of(&error))))?;
        // While it stops, the system may still take a connection that nobody will serve.
        let mut refused = env.connect(to).await.err();
        while refused == Some(ConnectError::Reset) {
            env.sleep(Duration::from_millis(10)).await;
            refused = env.connect(to).await.err();
        }
        told.send(format!("{refused:?}"))?;
        std::future::pending().await
    });
    assert_eq!(wait_for(&said), "connected");
    second.stop().unwrap();
    assert_eq!(wait_for(&said), "Ok(0)");
    assert_eq!(wait_for(&said), "Some(Refused)");
}

#[test]
fn a_connect_that_gets_no_answer_ends_in_time() {
    let mut cluster = Cluster::new();
    cluster.limits.connect_timeout = Duration::from_millis(100);
    // The system takes the connection, and nobody ever answers the greeting.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let node = cluster.node("replica-2");
    cluster.addresses.insert(node, silent.local_addr().unwrap());
    let to = Address::new(node, ECHO);
    let before = Instant::now();
    let error =
        run_as(cluster.config("client-1"), move |env| async move { env.connect(to).await.err() });
    assert_eq!(error, Some(ConnectError::TimedOut));
    assert!(before.elapsed() >= Duration::from_millis(100));
}

#[test]
fn connections_of_streams_count_among_all_connections() {
    let mut cluster = Cluster::new();
    cluster.limits.incoming_max = 2;
    let second = cluster.start("replica-2", echo);
    let to = cluster.echo_of("replica-2");
    let fails = run_as(cluster.config("replica-1"), move |env| async move {
        let mut kept = [connect(&env, to).await, connect(&env, to).await];
        let third = env.connect(to).await.is_err();
        for stream in &mut kept {
            exchange(stream, b"still there").await;
        }
        drop(kept);
        // The places are given back.
        exchange(&mut connect(&env, to).await, b"again").await;
        third
    });
    assert!(fails);
    assert!(second.metrics().refused >= 1);
}
