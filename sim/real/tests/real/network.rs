//! Datagrams between nodes, guests and strangers.

use crate::support::{
    Cluster, ECHO, GLANCE, PATIENCE, ask, client_greeting, echo, guest_greeting, lend, run_as,
    wait_for, wait_until,
};
use squall_env::platform::{BindError, DATAGRAM_MAX};
use squall_env::request::{Caller, Responder};
use squall_env::{Address, NodeId, Port, Roster};
use squall_real::Node;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn two_replicas_hear_each_other() {
    let cluster = Cluster::new();
    let second = cluster.start_echo("replica-2");
    let to = cluster.echo_of("replica-2");
    let from = run_as(cluster.config("replica-1"), move |env| async move {
        let mut socket = env.bind(Port::named("asks")).unwrap();
        ask(&env, &mut socket, to, b"hello").await
    });
    assert_eq!(from, to);
    assert!(second.metrics().frames_received >= 1);
    second.stop().unwrap();
}

#[test]
fn nodes_with_many_threads_hear_each_other() {
    let cluster = Cluster::new();
    let threads = NonZeroUsize::new(3).unwrap();
    let (mut first, mut second) = (cluster.config("replica-1"), cluster.config("replica-2"));
    (first.threads, second.threads) = (threads, threads);
    let _second = Node::start(second, echo).unwrap();
    let to = cluster.echo_of("replica-2");
    run_as(first, move |env| async move {
        let asks = (0..50u8).map(|number| {
            let asking = env.clone();
            env.spawn("asks", async move {
                let mut socket = asking.bind(Port::ANY).unwrap();
                ask(&asking, &mut socket, to, &[number]).await
            })
        });
        for answered in asks.collect::<Vec<_>>() {
            assert_eq!(answered.await, Ok(to));
        }
    });
}

#[test]
fn what_fits_in_the_queues_arrives_in_order() {
    let cluster = Cluster::new();
    let (heard, numbers) = mpsc::channel();
    let _second = cluster.start("replica-2", |env| async move {
        let (mut socket, mut bytes) = (env.bind(ECHO)?, Vec::new());
        loop {
            socket.receive(&mut bytes).await?;
            heard.send(bytes.clone())?;
        }
    });
    let to = cluster.echo_of("replica-2");
    let first = cluster.start("replica-1", move |env| async move {
        let socket = env.bind(Port::ANY)?;
        for number in 0..10_000u32 {
            socket.send(to, &number.to_le_bytes());
        }
        std::future::pending().await
    });
    for number in 0..10_000u32 {
        assert_eq!(wait_for(&numbers), number.to_le_bytes());
    }
    assert_eq!(first.metrics().dropped_queue_full, 0);
    wait_until("all are counted", || first.metrics().frames_sent == 10_000);
}

#[test]
fn a_node_hears_itself_without_a_connection() {
    let cluster = Cluster::new();
    let to = cluster.echo_of("replica-1");
    let from = run_as(cluster.config("replica-1"), move |env| async move {
        let answering = env.clone();
        env.spawn("echo", async move { echo(answering).await.is_ok() });
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, to, b"to myself").await
    });
    assert_eq!(from, to);
}

#[test]
fn the_largest_datagram_arrives_and_a_larger_one_is_dropped_and_counted() {
    let cluster = Cluster::new();
    let _second = cluster.start_echo("replica-2");
    let (lent, env) = mpsc::channel();
    let first = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let mut socket = env.bind(Port::ANY).unwrap();
    let to = cluster.echo_of("replica-2");
    socket.send(to, &vec![1; DATAGRAM_MAX + 1]);
    assert_eq!(first.metrics().dropped_too_large, 1);
    socket.send(to, &vec![2; DATAGRAM_MAX]);
    let (done, arrived) = mpsc::channel();
    let shared = env.clone();
    env.spawn("wait", async move {
        let mut bytes = Vec::new();
        let from = shared.timeout(PATIENCE, socket.receive(&mut bytes)).await;
        done.send((from.is_ok(), bytes)).unwrap();
    });
    assert_eq!(wait_for(&arrived), (true, vec![2; DATAGRAM_MAX]));
}

#[test]
fn a_client_without_an_address_is_answered_over_its_connection() {
    let cluster = Cluster::new();
    let (heard, who) = mpsc::channel();
    let _replica = cluster.start("replica-1", |env| async move {
        let mut socket = env.bind(ECHO)?;
        let mut bytes = Vec::new();
        loop {
            let from = socket.receive(&mut bytes).await?;
            heard.send(from.node)?;
            socket.send(from, &bytes);
        }
    });
    let to = cluster.echo_of("replica-1");
    for (name, expected) in [
        ("client-1", cluster.node("client-1")),
        ("first guest", NodeId::guest(1)),
        ("second guest", NodeId::guest(2)),
    ] {
        let from = run_as(cluster.config(name), move |env| async move {
            let mut socket = env.bind(Port::ANY).unwrap();
            ask(&env, &mut socket, to, b"hello").await
        });
        assert_eq!(from, to);
        assert_eq!(wait_for(&who), expected, "{name}");
    }
}

#[test]
fn requests_find_their_responses() {
    let cluster = Cluster::new();
    let _replica = cluster.start("replica-1", |env| async move {
        let mut requests = Responder::<u32, u32>::open(&env, ECHO)?;
        loop {
            let (number, reply) = requests.receive().await?;
            reply.reply(number + 1);
        }
    });
    let to = cluster.echo_of("replica-1");
    let answers = run_as(cluster.config("client-1"), move |env| async move {
        let caller = Caller::<u32, u32>::open(&env).unwrap();
        let mut answers = Vec::new();
        for number in 0..100 {
            answers.push(caller.call(to, number, PATIENCE).await);
        }
        answers
    });
    assert_eq!(answers, (1..=100).map(Ok).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_was_stopped_and_started_again_is_reached_again() {
    let cluster = Cluster::new();
    let second = cluster.start_echo("replica-2");
    let to = cluster.echo_of("replica-2");
    let (asked, answers) = mpsc::channel();
    let first = cluster.start("replica-1", move |env| async move {
        let mut socket = env.bind(Port::ANY)?;
        loop {
            ask(&env, &mut socket, to, b"are you there?").await;
            asked.send(())?;
            env.sleep(Duration::from_millis(1)).await;
        }
    });
    wait_for(&answers);
    second.stop().unwrap();
    while answers.recv_timeout(GLANCE).is_ok() {}
    let _second = cluster.start_echo("replica-2");
    wait_for(&answers);
    assert!(first.metrics().reconnects >= 1);
}

#[test]
fn a_send_to_a_peer_that_does_not_answer_drops_and_never_waits() {
    let mut cluster = Cluster::new();
    cluster.limits.outgoing_frames_max = 10;
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let socket = env.bind(Port::ANY).unwrap();
    for _ in 0..1000 {
        socket.send(cluster.echo_of("replica-2"), b"nobody listens");
    }
    wait_until("every datagram is dropped and counted", || {
        let metrics = node.metrics();
        metrics.dropped_queue_full + metrics.dropped_unreachable == 1000
    });
    assert!(node.metrics().dropped_queue_full > 0);
    socket.send(Address::new(cluster.node("client-1"), ECHO), b"not connected");
    socket.send(Address::new(NodeId::guest(7), ECHO), b"never was");
    assert_eq!(node.metrics().dropped_no_route, 2);
}

#[test]
fn a_port_that_is_not_read_drops_what_does_not_fit() {
    let mut cluster = Cluster::new();
    cluster.limits.inbox_frames_max = 5;
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let socket = env.bind(ECHO).unwrap();
    for _ in 0..12 {
        socket.send(cluster.echo_of("replica-1"), b"to be read later");
    }
    assert_eq!(node.metrics().dropped_inbox_full, 7);
    drop(socket);
    let socket = env.bind(Port::ANY).unwrap();
    socket.send(cluster.echo_of("replica-1"), b"to nobody");
    assert_eq!(node.metrics().dropped_unbound, 1);
}

#[test]
fn a_port_is_bound_once_until_it_is_given_back() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let socket = env.bind(ECHO).unwrap();
    assert_eq!(env.bind(ECHO).err(), Some(BindError::InUse(ECHO)));
    drop(socket);
    let (echo, any, other) =
        (env.bind(ECHO).unwrap(), env.bind(Port::ANY).unwrap(), env.bind(Port::ANY).unwrap());
    assert!(any.port() != other.port() && any.port().number() >= Port::FIRST_EPHEMERAL);
    assert_eq!(echo.port(), ECHO);
    node.stop().unwrap();
    assert_eq!(env.bind(Port::named("late")).err(), Some(BindError::Stopped));
}

/// Starts a replica-1 that is configured in another way, which asks replica-2, and waits until it
/// was refused. Nothing of what it sent may have arrived.
fn is_refused(change: impl FnOnce(&mut squall_real::Config)) {
    let cluster = Cluster::new();
    let second = cluster.start_echo("replica-2");
    let mut config = cluster.config("replica-1");
    change(&mut config);
    let to = cluster.echo_of("replica-2");
    let stranger = Node::start(config, move |env| async move {
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, to, b"let me in").await;
        Err::<(), _>("the stranger was answered")
    });
    let stranger = stranger.unwrap();
    wait_until("the stranger is refused", || second.metrics().refused >= 2);
    assert_eq!(second.metrics().frames_received, 0);
    assert_eq!(second.metrics().accepts, 0);
    stranger.stop().unwrap();
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    is_refused(|config| {
        config.roster = Roster::new("bank").with("replica", 2).with("client", 1);
    });
}

#[test]
fn a_name_that_is_not_on_the_roster_is_refused() {
    is_refused(|config| {
        config.roster = Roster::new("shop").with("replica", 3).with("client", 1);
        config.me = NodeId::new(0, 3);
    });
}

#[test]
fn what_is_no_greeting_is_refused_and_harms_nobody() {
    let mut cluster = Cluster::new();
    cluster.limits.greeting_timeout = Duration::from_millis(100);
    let replica = cluster.start_echo("replica-1");
    let address = replica.listening().unwrap();
    let mut noise = TcpStream::connect(address).unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _silent = TcpStream::connect(address).unwrap();
    let mut later = TcpStream::connect(address).unwrap();
    later.write_all(b"sqN\n\x63\x00\x00\x00").unwrap();
    wait_until("all are refused", || replica.metrics().refused == 3);
    later.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 4];
    later.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"sqN\n", "another version is told so");
    let to = cluster.echo_of("replica-1");
    run_as(cluster.config("client-1"), move |env| async move {
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, to, b"still there?").await
    });
}

#[test]
fn a_damaged_or_oversized_frame_closes_the_connection_and_is_counted() {
    let cluster = Cluster::new();
    let replica = cluster.start_echo("replica-1");
    let damaged = [1, 0, 0, 0, 9, 9, 9, 9, 1, 0, 0, 0, 2, 0, 0, 0, 7].to_vec();
    let oversized = vec![0xff; 16];
    for (number, frame) in [damaged, oversized].into_iter().enumerate() {
        let mut stream = TcpStream::connect(replica.listening().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&guest_greeting()).unwrap();
        stream.write_all(&frame).unwrap();
        let mut answer = Vec::new();
        // A reset ends it as well as an orderly close; what counts is that it ends.
        let ended = stream.read_to_end(&mut answer);
        assert!(ended.is_ok() || answer.len() < 100);
        wait_until("it is counted", || replica.metrics().malformed == number as u64 + 1);
    }
    assert_eq!(replica.metrics().accepts, 2);
    assert_eq!(replica.metrics().frames_received, 0);
}

#[test]
fn an_answer_to_a_guest_who_has_left_is_dropped() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let replica = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let mut guest = TcpStream::connect(replica.listening().unwrap()).unwrap();
    guest.write_all(&guest_greeting()).unwrap();
    wait_until("the guest is taken", || replica.metrics().accepts == 1);
    drop(guest);
    let socket = env.bind(ECHO).unwrap();
    wait_until("there is no way to the guest", || {
        socket.send(Address::new(NodeId::guest(1), ECHO), b"are you still there?");
        replica.metrics().dropped_no_route > 0
    });
}

#[test]
fn a_client_that_connects_again_is_answered_over_its_new_connection() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let replica = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let [old, mut new] = [1, 2].map(|number| {
        let mut stream = TcpStream::connect(replica.listening().unwrap()).unwrap();
        stream.write_all(&client_greeting()).unwrap();
        wait_until("the client is taken", || replica.metrics().accepts == number);
        stream
    });
    // The end of the old connection must not take the way over the new one with it.
    drop(old);
    std::thread::sleep(GLANCE);
    let to = Address::new(cluster.node("client-1"), ECHO);
    env.bind(Port::ANY).unwrap().send(to, b"welcome back");
    assert_eq!(replica.metrics().dropped_no_route, 0);
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(b"welcome back") {
        new.read_exact(&mut byte).unwrap();
        heard.extend(byte);
    }
}

#[test]
fn more_connections_than_allowed_are_refused() {
    let mut cluster = Cluster::new();
    cluster.limits.incoming_max = 1;
    let replica = cluster.start_echo("replica-1");
    let mut first = TcpStream::connect(replica.listening().unwrap()).unwrap();
    first.write_all(&guest_greeting()).unwrap();
    wait_until("the first is taken", || replica.metrics().accepts == 1);
    let mut second = TcpStream::connect(replica.listening().unwrap()).unwrap();
    second.write_all(&guest_greeting()).unwrap();
    wait_until("the second is not", || replica.metrics().refused == 1);
    drop(first);
    wait_until("there is room again", || {
        let mut third = TcpStream::connect(replica.listening().unwrap()).unwrap();
        let greeted = third.write_all(&guest_greeting());
        std::thread::sleep(Duration::from_millis(5));
        greeted.is_ok() && replica.metrics().accepts >= 2
    });
}

#[test]
fn strangers_who_say_nothing_keep_no_peer_out() {
    let mut cluster = Cluster::new();
    cluster.limits.incoming_max = 1;
    cluster.limits.greetings_max = 8;
    // Long enough that nobody here is refused for being slow.
    cluster.limits.greeting_timeout = 10 * PATIENCE;
    let replica = cluster.start_echo("replica-1");
    let connect = |_| TcpStream::connect(replica.listening().unwrap()).unwrap();
    let strangers: Vec<TcpStream> = (0..50).map(connect).collect();
    wait_until("the oldest are sent away", || replica.metrics().refused == 42);
    let to = cluster.echo_of("replica-1");
    run_as(cluster.config("client-1"), move |env| async move {
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, to, b"let me through").await
    });
    assert_eq!(replica.metrics().accepts, 1);
    assert_eq!(replica.metrics().refused, 43, "one more had to leave for the peer");
    drop(strangers);
    wait_until("those who left by themselves are counted", || replica.metrics().refused == 50);
}

#[test]
fn a_silent_connection_is_given_up_and_one_that_pings_is_kept() {
    let mut cluster = Cluster::new();
    cluster.limits.ping_interval = Duration::from_millis(20);
    cluster.limits.silence_max = Duration::from_millis(150);
    let replica = cluster.start_echo("replica-1");
    let mut silent = TcpStream::connect(replica.listening().unwrap()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    silent.write_all(&guest_greeting()).unwrap();
    let mut heard = Vec::new();
    let ended = silent.read_to_end(&mut heard);
    assert!(ended.is_ok() && heard.len() > 16, "it was pinged until it was given up");
    let to = cluster.echo_of("replica-1");
    let (lent, env) = mpsc::channel();
    let client = cluster.start("client-1", lend(lent));
    wait_for(&env).bind(Port::ANY).unwrap().send(to, b"hello");
    wait_until("it is connected", || client.metrics().connects == 1);
    std::thread::sleep(GLANCE);
    assert_eq!((client.metrics().connects, client.metrics().connects_failed), (1, 0));
}
