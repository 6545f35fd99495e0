use squall::plan::{Plan, RoleNodes};
use squall::{Scenario, Watch, run_plan, twice};
use squall_env::{Address, Env, Roster};
use squall_real::{Config, Node};
use squall_scenarios::http::{HttpClient, PORT_1, PORT_2, http1, http2, serve};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn http_1_is_linearizable_and_runs_repeat() {
    http1().seeds(0..200).run();
    repeats(&http1());
}

#[test]
fn http_2_is_linearizable_and_runs_repeat() {
    http2().seeds(0..200).run();
    repeats(&http2());
}

fn repeats(scenario: &Scenario) {
    for seed in 0..200 {
        if let Err(difference) = twice(scenario, seed, &scenario.plan(seed)) {
            panic!("{} seed {seed}: {difference:?}", scenario.name());
        }
    }
}

/// Uses a server as a person would who has just written it.
async fn use_server(env: Env, to: squall_env::NodeId) -> Result<(), String> {
    let clients = [
        HttpClient::new(&env, Address::new(to, PORT_1), PATIENCE),
        HttpClient::multiplexed(&env, Address::new(to, PORT_2), PATIENCE),
    ];
    for (number, mut client) in (1..).zip(clients) {
        let text = |error: squall_scenarios::http::HttpError| format!("{number}: {error}");
        // The server may start later.
        while client.read().await.is_err() {
            env.sleep(Duration::from_millis(10)).await;
        }
        for value in [number, number * 1_000_000, u64::MAX - number] {
            client.write(value).await.map_err(text)?;
            if client.read().await.map_err(text)? != Some(value) {
                return Err(format!("{number}: {value} was not read back"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_same_program_serves_on_sockets_and_keeps_what_it_stored() {
    let data = tempfile::tempdir().unwrap();
    let roster = Roster::new("http").with("server", 1).with("client", 1);
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
    let first_life = Node::start(config("server-1"), serve).unwrap();
    let told_at_end = told.clone();
    let client = Node::start(config("client-1"), move |env| async move {
        let used = use_server(env, server).await;
        told.send(used).map_err(|_| "the test has gone")
    });
    assert_eq!(said.recv_timeout(PATIENCE).unwrap(), Ok(()));
    client.unwrap().join().unwrap();
    first_life.stop().unwrap();
    let _second_life = Node::start(config("server-1"), serve).unwrap();
    let client = Node::start(config("client-1"), move |env| async move {
        let mut http = HttpClient::new(&env, Address::new(server, PORT_1), PATIENCE);
        let read = loop {
            match http.read().await {
                Ok(value) => break value,
                Err(_) => env.sleep(Duration::from_millis(10)).await,
            }
        };
        let kept = if read == Some(u64::MAX - 2) { Ok(()) } else { Err(format!("{read:?}")) };
        told_at_end.send(kept).map_err(|_| "the test has gone")
    });
    assert_eq!(said.recv_timeout(PATIENCE).unwrap(), Ok(()));
    client.unwrap().join().unwrap();
}

#[test]
fn a_request_whose_head_never_ends_is_given_up_by_our_timer() {
    let scenario = Scenario::new("test/slow-head").nodes("server", 1..=1, serve).nodes(
        "client",
        1..=1,
        |env: Env| async move {
            let to = env.addresses("server", PORT_1)[0];
            // The time runs from when the server has the connection.
            let start = env.now();
            let mut stream = env.connect(to).await.map_err(|error| error.to_string())?;
            stream.write_all(b"GET /register HT").await.map_err(|error| error.to_string())?;
            let mut said = Vec::new();
            let ended = stream.read_to_end(&mut said).await;
            let waited = env.now() - start;
            assert!(ended.is_ok(), "{ended:?}");
            let bounds = Duration::from_secs(5)..Duration::from_millis(5_100);
            assert!(bounds.contains(&waited), "{waited:?}");
            env.sometimes("it was given up");
            std::future::pending::<Result<(), String>>().await
        },
    );
    let role = |role: &str| RoleNodes { role: role.to_owned(), nodes: 1 };
    let plan = Plan::calm(vec![role("server"), role("client")], 60_000_000_000);
    let watch = Watch { until_ns: 30_000_000_000, ..Watch::default() };
    let outcome = run_plan(&scenario, 1, &plan, watch);
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.sometimes, [("it was given up", 1)]);
}
