//! The spans that a node's events are in: alone in its program, for whoever listens to them is the
//! program's.

use squall_env::{Address, Env, Port, Roster};
use squall_real::{Config, Node};
use std::fmt::{Debug, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Every span that was opened: what it is called, its fields, and the number of its parent.
static SPANS: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());

struct Listener;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("squall_real")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        let mut spans = SPANS.lock().unwrap();
        spans.push((text.0, span.parent().map_or(0, Id::into_u64)));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

async fn talk(env: Env) -> Result<(), std::io::Error> {
    let other = env.peers("replica").into_iter().find(|node| *node != env.me()).unwrap();
    let socket = env.bind(Port::named("talk")).unwrap();
    loop {
        socket.send(Address::new(other, Port::named("talk")), b"hello");
        env.sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_node_its_tasks_and_its_connections_have_spans() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let root = tempfile::tempdir().unwrap();
    let roster = Roster::new("shop").with("replica", 2);
    let listeners = [0; 2].map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    drop(listeners);
    let nodes = ["replica-1", "replica-2"].map(|name| {
        let me = roster.find(name).unwrap();
        let mut config = Config::new(roster.clone(), me, root.path().join(name));
        config.addresses = roster.nodes("replica").zip(addresses).collect();
        Node::start(config, talk).unwrap()
    });
    let until = Instant::now() + Duration::from_secs(20);
    while nodes.iter().any(|node| node.metrics().accepts == 0) {
        assert!(Instant::now() < until, "they do not hear each other");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(nodes);
    let spans = SPANS.lock().unwrap();
    let place = |wanted: &str| spans.iter().position(|(text, _)| text.starts_with(wanted));
    let node = place("node name=\"replica-1\"").expect("the node has a span");
    let serve = place("task name=\"serve\"").expect("the service has a span");
    assert_eq!(spans[place("node name=\"replica-2\"").unwrap()].1, 0);
    let parents: Vec<u64> = spans
        .iter()
        .filter(|(text, _)| text.starts_with("task name=\"serve\""))
        .map(|(_, parent)| *parent)
        .collect();
    assert!(parents.contains(&(node as u64 + 1)), "{parents:?} of {serve}");
    let address = addresses[1];
    let connection = format!("connection peer=\"replica-2\" address={address}");
    assert!(place(&connection).is_some(), "{spans:?}");
}
