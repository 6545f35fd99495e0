use super::support::{Cluster, PATIENCE};
use rustix::time::{ClockId, clock_gettime};
use squall::Client;
use squall::check::recording;
use squall::choice::Stream;
use squall_check::{History, Limits, Recorder, Verdict, linearizable};
use squall_env::{Env, Roster};
use squall_protocols::store::http::HttpStore;
use squall_real::{Config, Node};
use squall_scenarios::config::load;
use squall_scenarios::config::model::{Call, Told, Versioned};
use squall_scenarios::console::Endpoints;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CLIENTS: u16 = 3;

/// A client of the cluster that goes on for a while, and then looks at every key; or only looks.
struct Loading {
    node: Node,
    recorder: Recorder<Call, Told>,
}

fn start_client(cluster: &Cluster, number: u16, length: Duration) -> Loading {
    let roster = Roster::new("load").with("client", CLIENTS + 1);
    let me = roster.nodes("client").nth(number.into()).unwrap();
    let data = cluster.dir.path().join(format!("client-{number}"));
    let endpoints = Arc::new(Endpoints::new(&cluster.urls(), None, None).unwrap());
    let recorder = Recorder::new();
    let recorded = recording::<Versioned>(recorder.clone());
    let node = Node::start(Config::new(roster, me, data), move |env: Env| async move {
        let store = HttpStore::new(&env, endpoints);
        let now = clock_gettime(ClockId::Boottime);
        let epoch_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        let of = (number.into(), u64::from(CLIENTS) + 1);
        let client = Client::standalone(env, of, 1, epoch_ns, vec![recorded]);
        load(client, store, length).await;
        Ok::<_, Infallible>(())
    });
    Loading { node: node.unwrap(), recorder }
}

impl Loading {
    fn finish(self) -> History<Call, Told> {
        let until = Instant::now() + 2 * PATIENCE;
        while !self.node.has_ended() {
            assert!(Instant::now() < until, "a client does not come to its end");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.node.join().unwrap();
        self.recorder.finish()
    }
}

/// One member at a time is killed or stands still.
fn disturb(cluster: &mut Cluster, draw: &mut Stream) {
    let nth = draw.between(0, 2) as usize;
    let length = Duration::from_millis(draw.log_uniform(20, 1_500));
    if draw.chance(600_000) {
        cluster.kill(nth);
        std::thread::sleep(length);
        cluster.start_member(nth);
        cluster.wait_until_healthy(nth);
    } else {
        cluster.pause(nth, length);
    }
    std::thread::sleep(Duration::from_millis(draw.log_uniform(50, 500)));
}

fn keeps_its_promise(length: Duration) {
    let mut cluster = Cluster::start(3);
    let clients: Vec<Loading> =
        (0..CLIENTS).map(|number| start_client(&cluster, number, length)).collect();
    let until = Instant::now() + length;
    let (mut draw, mut faults) = (Stream::new(1, "config"), 0);
    while Instant::now() < until {
        disturb(&mut cluster, &mut draw);
        faults += 1;
    }
    let mut histories: Vec<_> = clients.into_iter().map(Loading::finish).collect();
    // Whatever a client was promised has to be on the disks now.
    (0..3).for_each(|nth| cluster.kill(nth));
    cluster.start_all();
    histories.push(start_client(&cluster, CLIENTS, Duration::ZERO).finish());
    let history = History::merge(histories).unwrap();
    let counts = history.counts();
    println!(
        "{faults} faults; {} ok, {} unknown, {} not done",
        counts.ok, counts.unknown, counts.fail
    );
    assert!(faults >= 2, "only {faults} faults");
    assert!(counts.ok >= 50, "only {} operations", counts.ok);
    match linearizable(&Versioned, &history, &Limits::default()) {
        Verdict::Ok => {}
        Verdict::Violation(violation) => panic!("{}", violation.lines().join("\n")),
        Verdict::Undecided { reason, explored, .. } => panic!("{reason:?} after {explored} steps"),
    }
}

#[test]
fn real_members_keep_their_promise_while_they_are_killed_and_paused() {
    keeps_its_promise(Duration::from_secs(10));
}

#[test]
#[ignore = "takes two minutes; the continuous integration runs it"]
fn real_members_keep_their_promise_for_two_minutes() {
    keeps_its_promise(Duration::from_secs(120));
}
