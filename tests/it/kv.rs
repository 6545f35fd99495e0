use squall::plan::Forecast;
use squall::script::{power_loss, ready, returned};
use squall::{Scenario, Script, run, twice};
use squall_env::{Address, Roster};
use squall_real::{Config, Node};
use squall_scenarios::kv::{after, before, kv, specimen};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the service as it was on loopback, uses it, and ends it with everything that it holds.
fn life_before(file: &Path, found: Option<&str>, leave: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(before::serve(listener, PathBuf::from(file)));
        let mut client = before::Client::connect(server).await.unwrap();
        assert_eq!(client.get("apples").await.unwrap().as_deref(), found);
        client.put("apples", leave).await.unwrap();
        let mut other = before::Client::connect(server).await.unwrap();
        assert_eq!(other.get("apples").await.unwrap().as_deref(), Some(leave));
        assert_eq!(other.get("pears").await.unwrap(), None);
    });
}

#[test]
fn before_it_serves_on_loopback_and_keeps_what_it_stored() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("values.json");
    life_before(&file, None, "3");
    // Its process has ended and its operating system has not, so nothing is missing.
    life_before(&file, Some("3"), "4");
    life_before(&file, Some("4"), "5");
}

#[test]
fn after_it_is_linearizable_whatever_happens_and_runs_repeat() {
    kv().seeds(0..300).run();
    for seed in 0..100 {
        assert!(twice(&kv(), seed, &kv().plan(seed)).is_ok(), "seed {seed}");
    }
}

#[test]
fn the_bug_that_it_always_had_is_found() {
    let specimen = specimen();
    let property = specimen.broken_property().expect("a specimen names what it breaks");
    let stories: Vec<String> = (0..50)
        .filter_map(|seed| run(&specimen, seed).failure)
        .filter(|failure| failure.property == property)
        .flat_map(|failure| failure.story)
        .collect();
    assert!(stories.len() > 10, "hardly anybody noticed it: {stories:?}");
    // The words that the docs show are still those that are said.
    let shown = include_str!("../../scenarios/src/kv/found.txt");
    assert!(stories.iter().any(|story| shown.contains(story)), "{stories:?}");
    assert!(shown.contains(property), "{shown}");
}

/// A client stores something; then the server's power fails, and the client looks again.
#[test]
fn a_power_loss_right_after_the_answer_tells_them_apart() {
    let told = |scenario: Scenario| {
        let script = Script::new()
            .nodes("client", 2)
            .when(returned("client-1").nth(6), power_loss("server-1").lasting(PAUSE))
            .step_to(ready("server-1"));
        let script = scenario.script(script).unwrap();
        script.under(Forecast::read("lost-writes,-crash").unwrap())
    };
    told(kv()).seeds(0..50).run();
    let lost = (0..50).filter(|seed| run(&told(specimen()), *seed).failure.is_some());
    assert!(lost.count() > 25, "the disk has kept what it did not have to");
}

#[test]
fn after_it_serves_on_sockets_and_keeps_what_it_stored() {
    let data = tempfile::tempdir().unwrap();
    let roster = Roster::new("kv").with("server", 1).with("client", 1);
    let server = roster.find("server-1").unwrap();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let config = |name: &str| {
        let me = roster.find(name).unwrap();
        let mut config = Config::new(roster.clone(), me, data.path().join(name));
        config.addresses.insert(server, address);
        config
    };
    let (told, said) = mpsc::channel();
    for (found, leave) in [(None, "3"), (Some("3"), "4")] {
        let life = Node::start(config("server-1"), after::serve).unwrap();
        let told = told.clone();
        let client = Node::start(config("client-1"), move |env| async move {
            let to = Address::new(server, after::PORT);
            // The server may start later.
            let mut kv = loop {
                match after::Client::connect(&env, to).await {
                    Ok(kv) => break kv,
                    Err(_) => env.sleep(Duration::from_millis(10)).await,
                }
            };
            let before = kv.get("apples").await.map_err(|error| error.to_string());
            let stored = kv.put("apples", leave).await.map_err(|error| error.to_string());
            told.send((before, stored)).map_err(|_| "the test has gone")
        });
        let (before, stored) = said.recv_timeout(PATIENCE).unwrap();
        assert_eq!(before.unwrap().as_deref(), found);
        stored.unwrap();
        client.unwrap().join().unwrap();
        life.stop().unwrap();
    }
}
