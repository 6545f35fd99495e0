//! What a stream promises.

use crate::probe::{MS, SECOND, calm, episode, notes, run_until};
use squall::plan::{Kind, Latency, StreamWeather};
use squall::{Fault, Most, Plan, RunOutcome, Scenario, Tolerance};
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, Env, Port, Stream};
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const PORT: Port = Port::named("streams");
pub(crate) const LONG: Duration = Duration::from_secs(3_600);

/// What nodes saw: when, on the clock of a node that starts with the run, and what.
pub(crate) type Seen = &'static Mutex<Vec<(u64, String)>>;

/// What a node's program goes by.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) env: Env,
    start: squall_env::Instant,
    seen: Seen,
}

impl Own {
    pub(crate) fn say(&self, what: impl Into<String>) {
        let since = (self.env.now() - self.start).as_nanos() as u64;
        self.seen.lock().unwrap().push((since, what.into()));
    }

    pub(crate) fn server(&self) -> Address {
        self.env.addresses("node", PORT)[1]
    }

    pub(crate) async fn connect(&self) -> Result<Stream, ConnectError> {
        self.env.connect(self.server()).await
    }

    pub(crate) async fn sleep_until(&self, ms: u64) {
        self.env.sleep_until(self.start + Duration::from_millis(ms)).await;
    }
}

/// Two nodes: the first runs `call`, the second `serve` with each connection that it takes.
pub(crate) fn pair<C, F, S, G>(seen: Seen, call: C, serve: S) -> Scenario
where
    C: Fn(Own) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
    S: Fn(Own, Stream) -> G + Copy + Send + Sync + 'static,
    G: Future<Output = ()> + Send + 'static,
{
    Scenario::new("test/streams")
        .nodes("node", 2..=2, move |env: Env| async move {
            env.ready();
            let own = Own { start: env.now(), env: env.clone(), seen };
            if env.me().ordinal() == 1 {
                call(own).await;
                return std::future::pending().await;
            }
            let mut listener = env.listen(PORT).map_err(|error| error.to_string())?;
            while let Ok(stream) = listener.accept().await {
                env.spawn("serve", serve(own.clone(), stream));
            }
            Ok::<(), String>(())
        })
        .tolerates(
            Tolerance::nothing().any_network().any_stream().crashes().impaired("node", Most::Any),
        )
}

/// Every message takes exactly a millisecond.
pub(crate) fn even() -> Plan {
    let mut plan = calm(2);
    plan.weather.latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan
}

pub(crate) fn weather(streams: StreamWeather) -> Plan {
    let mut plan = even();
    plan.weather.streams = streams;
    plan
}

pub(crate) fn run(scenario: &Scenario, seed: u64, plan: &Plan) -> RunOutcome {
    let outcome = run_until(scenario, seed, plan, 100 * SECOND);
    assert_eq!(outcome.failure, None, "seed {seed}");
    outcome
}

pub(crate) fn seen(seen: Seen) -> Vec<String> {
    seen.lock().unwrap().iter().map(|(_, what)| what.clone()).collect()
}

pub(crate) async fn echo(_: Own, mut stream: Stream) {
    let mut bytes = [0; 999];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Says what a stream gives until it ends, or why it does not.
pub(crate) async fn listen_to(own: Own, mut stream: Stream) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Ok(_) => own.say(format!("{} bytes and the end", bytes.len())),
        Err(error) => {
            own.say(format!("{} bytes and {:?}", bytes.len(), StreamError::of(&error)));
        }
    }
}

pub(crate) fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Sends what does not fit into windows and buffers, and says whether it came back as it was.
async fn exchange(own: Own) {
    let Ok(stream) = own.connect().await else { return own.say("no connection") };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sent = text(150_000);
    let copy = sent.clone();
    own.env.spawn("writer", async move {
        let written = writer.write_all(&copy).await.is_ok() && writer.shutdown().await.is_ok();
        assert!(written, "the connection broke");
        std::future::pending::<()>().await;
    });
    let mut got = Vec::new();
    let ended = reader.read_to_end(&mut got).await.is_ok();
    own.say(if ended && got == sent { "the same" } else { "something else" });
}

#[test]
fn bytes_come_back_in_order_and_whole_and_then_the_end() {
    for seed in 0..5 {
        let told: Seen = notes();
        run(&pair(told, exchange, echo), seed, &calm(2));
        assert_eq!(seen(told), ["the same"], "seed {seed}");
    }
}

#[test]
fn narrow_windows_and_short_calls_lose_no_byte_and_are_counted() {
    let streams =
        StreamWeather { back_pressure: true, short_io_ppm: 400_000, ..StreamWeather::default() };
    let mut plan = weather(streams);
    // A window of one byte takes two milliseconds for each.
    plan.weather.latency = Latency::Uniform { low_ns: MS / 1_000, high_ns: MS / 1_000 };
    let mut fired = [0; 2];
    for seed in 0..20 {
        let told: Seen = notes();
        let outcome = run(&pair(told, exchange, echo), seed, &plan);
        assert_eq!(seen(told), ["the same"], "seed {seed}");
        for (sum, fault) in fired.iter_mut().zip([Fault::BackPressure, Fault::StreamShortIo]) {
            *sum += outcome.faults[fault as usize].fired;
        }
    }
    assert!(fired.iter().all(|sum| *sum > 1_000), "{fired:?}");
}

/// How many bytes a writer gets rid of whose reader reads nothing.
fn taken_without_a_reader(seed: u64, plan: &Plan) -> u64 {
    let told: &'static Mutex<Vec<u64>> = notes();
    let scenario = pair(
        notes(),
        move |own: Own| async move {
            let Ok(mut stream) = own.connect().await else { return };
            let mut taken = 0;
            while let Ok(Ok(count)) = own.env.timeout(LONG / 3_600, stream.write(&[1; 100])).await {
                taken += count as u64;
            }
            told.lock().unwrap().push(taken);
        },
        |_, stream| async move {
            let _kept = stream;
            std::future::pending::<()>().await;
        },
    );
    run(&scenario, seed, plan);
    told.lock().unwrap()[0]
}

#[test]
fn a_writer_without_a_reader_is_held_back_by_window_and_buffer() {
    assert_eq!(taken_without_a_reader(1, &even()), 128 * 1024);
    let narrow = weather(StreamWeather { back_pressure: true, ..StreamWeather::default() });
    let taken: Vec<u64> = (0..40).map(|seed| taken_without_a_reader(seed, &narrow)).collect();
    assert!(taken.iter().all(|taken| (2..=128 * 1024).contains(taken)), "{taken:?}");
    assert!(taken.iter().any(|taken| *taken < 100), "{taken:?}");
    assert!(taken.iter().any(|taken| *taken > 10_000), "{taken:?}");
}

/// When the bytes arrive that are written one by one, a millisecond apart.
fn arrivals(seed: u64, plan: &Plan) -> Vec<u64> {
    let told: Seen = notes();
    let scenario = pair(
        told,
        |own: Own| async move {
            let Ok(mut stream) = own.connect().await else { return };
            for byte in 0..100u64 {
                own.sleep_until(100 + byte).await;
                assert!(stream.write_all(&[byte as u8]).await.is_ok(), "the connection broke");
            }
            std::future::pending::<()>().await;
        },
        |own, mut stream| async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                own.say(format!("{}", byte[0]));
            }
        },
    );
    run(&scenario, seed, plan);
    let told = told.lock().unwrap();
    assert!(told.iter().map(|(_, byte)| byte.parse::<u32>().unwrap()).eq(0..100), "{told:?}");
    told.iter().map(|(at, _)| *at).collect()
}

#[test]
fn a_segment_takes_the_links_latency_and_waits_for_the_one_ahead() {
    for (at, arrived) in arrivals(3, &even()).into_iter().enumerate() {
        assert_eq!(arrived, (100 + at as u64 + 1) * MS);
    }
    let mut plan = even();
    plan.weather.latency = Latency::Uniform { low_ns: 10 * MS, high_ns: 30 * MS };
    let arrivals = arrivals(3, &plan);
    assert!(arrivals.is_sorted());
    let mut waited = 0;
    for (at, arrived) in arrivals.iter().enumerate() {
        let after = arrived - (100 + at as u64) * MS;
        assert!((10 * MS..=30 * MS).contains(&after), "{after}");
        waited += u32::from(at > 0 && *arrived == arrivals[at - 1]);
    }
    assert!(waited > 10, "only {waited} segments waited");
}

#[test]
fn a_lost_segment_is_late_and_not_lost() {
    let mut plan = even();
    plan.weather.loss_ppm = 100_000;
    let late = |at: usize, arrived: &u64| arrived - (100 + at as u64) * MS >= 200 * MS;
    let arrivals = arrivals(5, &plan);
    let count = arrivals.iter().enumerate().filter(|(at, arrived)| late(*at, arrived)).count();
    assert!((1..100).contains(&count), "{count} late");
}

#[test]
fn what_is_sent_during_a_partition_waits_for_its_end() {
    let mut plan = even();
    let cut = Kind::Partition { nodes: vec!["node-1".to_owned()] };
    plan.episodes = vec![episode(1, cut, 120 * MS, 50 * MS)];
    let arrivals = arrivals(5, &plan);
    assert_eq!(arrivals[18], 119 * MS);
    // The first that met the cut is sent again after 200 ms, and all others wait behind it.
    assert!(arrivals[20..].iter().all(|at| *at >= 170 * MS), "{arrivals:?}");
    assert_eq!(arrivals[99], 320 * MS);
    let back = Kind::PartitionOneWay { nodes: vec!["node-2".to_owned()] };
    plan.episodes = vec![episode(1, back, 120 * MS, 50 * MS)];
    assert!(self::arrivals(5, &plan).iter().enumerate().all(|(at, arrived)| {
        // The way back carries nothing here.
        *arrived == (101 + at as u64) * MS
    }));
}

#[test]
fn a_partition_that_outlasts_patience_ends_the_connection_at_both_ends() {
    for seed in 0..10 {
        let told: Seen = notes();
        let scenario = pair(
            told,
            |own: Own| async move {
                let Ok(mut stream) = own.connect().await else { return own.say("none") };
                own.sleep_until(200).await;
                let failed = loop {
                    match stream.write_all(b"anybody?").await {
                        Ok(()) => own.env.sleep(Duration::from_millis(10)).await,
                        Err(error) => break StreamError::of(&error),
                    }
                };
                own.say(format!("{failed:?}"));
            },
            |own, stream| async move {
                let other = own.clone();
                listen_to(own, stream).await;
                other.say("over");
            },
        );
        let mut plan = even();
        let node = "node-1".to_owned();
        plan.episodes = vec![episode(1, Kind::IsolateOne { node }, 100 * MS, 60 * SECOND)];
        run(&scenario, seed, &plan);
        let mut said = seen(told);
        said.sort();
        assert_eq!(said, ["0 bytes and Silent", "Silent", "over"], "seed {seed}");
        let at = told.lock().unwrap().iter().map(|(at, _)| *at).max();
        assert!(at.is_some_and(|at| at > SECOND && at < 25 * SECOND), "{at:?}");
    }
}
