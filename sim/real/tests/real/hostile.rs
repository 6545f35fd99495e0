//! Peers that flood, stall, drip, and come again and again; and directories of others.

use crate::support::{
    Cluster, ECHO, GLANCE, PATIENCE, ask, client_greeting, echo, guest_greeting, lend, run_as,
    wait_for, wait_until,
};
use squall_env::{Port, Roster};
use squall_real::{Node, RunError};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn connect(node: &Node, greeting: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(node.listening().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(greeting).unwrap();
    stream
}

/// A frame to the port [`ECHO`].
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let ports = [Port::named("from"), ECHO].map(|port| port.number().to_le_bytes());
    let sum = crc32c::crc32c(&[&length, ports.as_flattened(), payload].concat()).to_le_bytes();
    [&length, &sum, ports.as_flattened(), payload].concat()
}

fn is_closed(mut stream: TcpStream) -> bool {
    let mut some = [0; 1024];
    // What was said before the end is of no interest.
    while let Ok(count) = stream.read(&mut some) {
        if count == 0 {
            return true;
        }
    }
    true
}

#[test]
fn a_greeting_that_drips_is_not_waited_for() {
    let mut cluster = Cluster::new();
    cluster.limits.greeting_timeout = Duration::from_millis(150);
    let replica = cluster.start_echo("replica-1");
    let mut stream = connect(&replica, b"");
    let start = Instant::now();
    for byte in guest_greeting() {
        std::thread::sleep(Duration::from_millis(20));
        // The other side may have closed it already.
        let _ = stream.write_all(&[byte]);
    }
    wait_until("it is refused", || replica.metrics().refused == 1);
    assert!(start.elapsed() < PATIENCE / 2 && replica.metrics().accepts == 0);
    // One that is as slow and within its time is taken.
    cluster.limits.greeting_timeout = PATIENCE;
    let patient = cluster.start_echo("replica-2");
    let mut stream = connect(&patient, b"");
    for byte in guest_greeting() {
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(&[byte]).unwrap();
    }
    wait_until("it is taken", || patient.metrics().accepts == 1);
}

#[test]
fn a_node_that_connects_again_and_again_has_one_connection() {
    let mut cluster = Cluster::new();
    cluster.limits.incoming_max = 2;
    let replica = cluster.start_echo("replica-1");
    let mut before = connect(&replica, &client_greeting());
    wait_until("the first is taken", || replica.metrics().accepts == 1);
    for number in 1..=20 {
        let next = connect(&replica, &client_greeting());
        wait_until("the one before is closed", || replica.metrics().replaced == number);
        assert!(is_closed(before));
        before = next;
    }
    assert_eq!((replica.metrics().accepts, replica.metrics().refused), (21, 0));
    // Guests are nobody's second connection.
    let _guest = connect(&replica, &guest_greeting());
    wait_until("the guest is taken", || replica.metrics().accepts == 22);
    assert_eq!(replica.metrics().replaced, 20);
    before.write_all(&frame(b"still there?")).unwrap();
    wait_until("the last is heard", || replica.metrics().frames_received == 1);
}

#[test]
fn a_flood_fills_its_queue_and_others_are_heard() {
    let mut cluster = Cluster::new();
    cluster.limits.inbox_bytes_max = 2 << 20;
    let (lent, env) = mpsc::channel();
    let replica = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let socket = env.bind(ECHO).unwrap();
    let mut flood = connect(&replica, &guest_greeting());
    let large = frame(&vec![7; 1 << 20]);
    for _ in 0..64 {
        flood.write_all(&large).unwrap();
    }
    wait_until("what does not fit is dropped", || replica.metrics().dropped_inbox_full == 62);
    assert_eq!(replica.metrics().frames_received, 64);
    drop(socket);
    let answering = env.clone();
    env.spawn("echo", async move { echo(answering).await.is_ok() });
    let to = cluster.echo_of("replica-1");
    run_as(cluster.config("client-1"), move |env| async move {
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, to, b"am I heard?").await
    });
}

#[test]
fn a_peer_that_takes_nothing_in_is_given_up_and_holds_no_more_than_its_queue() {
    let mut cluster = Cluster::new();
    cluster.limits.outgoing_bytes_max = 2 << 20;
    cluster.limits.ping_interval = Duration::from_millis(50);
    cluster.limits.silence_max = Duration::from_millis(400);
    let replica = cluster.start_echo("replica-1");
    let mut deaf = connect(&replica, &guest_greeting());
    let large = frame(&vec![7; 1 << 20]);
    let mut sent = 0;
    // It asks and asks, and reads no answer.
    while replica.metrics().dropped_broken == 0 && sent < 200 {
        let _ = deaf.write_all(&large);
        sent += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(replica.metrics().dropped_queue_full > 0, "{:?}", replica.metrics());
    wait_until("it is given up", || replica.metrics().dropped_broken > 0);
    assert!(is_closed(deaf));
}

#[test]
fn a_frame_that_comes_again_is_a_datagram_that_comes_twice() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let replica = cluster.start("replica-1", lend(lent));
    let _socket = wait_for(&env).bind(ECHO).unwrap();
    let mut stream = connect(&replica, &guest_greeting());
    stream.write_all(&[frame(b"once"), frame(b"once")].concat()).unwrap();
    wait_until("both arrive", || replica.metrics().frames_received == 2);
    assert_eq!(replica.metrics().malformed, 0);
}

#[test]
fn the_directory_of_another_node_or_cluster_is_refused() {
    let cluster = Cluster::new();
    cluster.start_echo("replica-1").stop().unwrap();
    cluster.start_echo("replica-1").stop().unwrap();
    let mut other = cluster.config("replica-2");
    other.data = cluster.config("replica-1").data;
    let mut elsewhere = cluster.config("replica-1");
    elsewhere.roster = Roster::new("bank").with("replica", 2).with("client", 1);
    for config in [other, elsewhere] {
        match Node::start(config, echo) {
            Err(RunError::DataForeign { found, .. }) => assert_eq!(found, "replica-1 of shop"),
            other => panic!("it is {other:?}"),
        }
    }
    cluster.start_echo("replica-1").stop().unwrap();
}

#[test]
fn a_node_that_lost_its_disk_is_not_started_if_it_must_have_one() {
    let cluster = Cluster::new();
    let mut config = cluster.config("replica-1");
    config.data_must_exist = true;
    let is_missing =
        |config| matches!(Node::start(config, echo), Err(RunError::DataMissing { .. }));
    assert!(is_missing(config.clone()), "it never had one");
    cluster.start_echo("replica-1").stop().unwrap();
    Node::start(config.clone(), echo).unwrap().stop().unwrap();
    std::fs::remove_dir_all(&config.data).unwrap();
    assert!(is_missing(config.clone()), "it was wiped");
    // A name that was torn when the node was started first is no name.
    std::fs::write(config.data.join(squall_real::LOCK_FILE), b"sqN\n\x01").unwrap();
    assert!(is_missing(config));
    cluster.start_echo("replica-1").stop().unwrap();
    std::thread::sleep(GLANCE / 10);
}
