use crate::probe::{MS, SECOND, crash, episode, notes};
use crate::streams::{Own, PORT, Seen, echo, even, listen_to, pair, run, seen, text, weather};
use squall::digest::Digest;
use squall::plan::{Kind, StreamWeather};
use squall::{Fault, Plan};
use squall_env::stream::StreamError;
use squall_env::{Address, NodeId, Port, Stream};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn keep(_: Own, stream: Stream) {
    let _kept = stream;
    std::future::pending::<()>().await;
}

/// Connects a hundred times, and says how each attempt ends and how long it takes, in whole
/// milliseconds.
async fn connect_often(own: Own) {
    for _ in 0..100 {
        let before = own.env.now();
        let connected = own.connect().await.map(drop);
        let took = (own.env.now() - before).as_millis();
        own.say(format!("{connected:?} {took}"));
    }
}

fn connects(streams: StreamWeather) -> (Vec<String>, [u64; Fault::COUNT]) {
    let told: Seen = notes();
    let plan = weather(streams);
    let mut outcome = run(&pair(told, connect_often, echo), 3, &plan);
    let mut fired = [0; Fault::COUNT];
    fired.iter_mut().zip(&mut outcome.faults).for_each(|(to, counter)| *to = counter.fired);
    (seen(told), fired)
}

#[test]
fn a_calm_connect_takes_there_and_back() {
    let (told, _) = connects(StreamWeather::default());
    assert!(told.len() == 100 && told.iter().all(|line| line == "Ok(()) 2"), "{told:?}");
}

#[test]
fn a_refused_connect_comes_back_as_soon_as_one_that_stands() {
    let (told, fired) =
        connects(StreamWeather { connect_refused_ppm: 300_000, ..StreamWeather::default() });
    let refused = told.iter().filter(|line| *line == "Err(Refused) 2").count();
    let stand = told.iter().filter(|line| *line == "Ok(()) 2").count();
    assert!((15..50).contains(&refused) && refused + stand == 100, "{told:?}");
    assert_eq!(fired[Fault::ConnectRefused as usize], refused as u64);
}

#[test]
fn a_hanging_connect_ends_after_one_to_twenty_seconds() {
    let (told, fired) =
        connects(StreamWeather { connect_hang_ppm: 100_000, ..StreamWeather::default() });
    let hung: Vec<u64> =
        told.iter().filter_map(|line| line.strip_prefix("Err(TimedOut) ")?.parse().ok()).collect();
    assert!(!hung.is_empty() && hung.iter().all(|ms| (1_000..=20_000).contains(ms)), "{told:?}");
    assert_eq!(fired[Fault::ConnectHang as usize], hung.len() as u64);
}

#[test]
fn a_connection_that_breaks_as_soon_as_it_stands_was_one() {
    let told: Seen = notes();
    let call = |own: Own| async move {
        for _ in 0..50 {
            let Ok(mut stream) = own.connect().await else { return own.say("no connection") };
            match stream.read(&mut [0]).await {
                Ok(count) => own.say(format!("{count}")),
                Err(error) => own.say(format!("{:?}", StreamError::of(&error))),
            }
        }
    };
    let serve = |own: Own, stream: Stream| async move {
        own.env.sleep(Duration::from_millis(50)).await;
        drop(stream);
    };
    let plan = weather(StreamWeather { connect_reset_ppm: 300_000, ..StreamWeather::default() });
    let outcome = run(&pair(told, call, serve), 3, &plan);
    let broken = seen(told).iter().filter(|line| *line == "Reset").count();
    assert_eq!(seen(told).iter().filter(|line| *line == "0").count(), 50 - broken);
    assert!((5..30).contains(&broken), "{broken}");
    assert_eq!(outcome.faults[Fault::ConnectReset as usize].fired, broken as u64);
}

#[test]
fn who_connects_to_nobody_is_told_so() {
    let told: Seen = notes();
    let call = |own: Own| async move {
        let node = own.server().node;
        for to in [
            Address::new(node, Port::named("nobody")),
            Address::new(NodeId::new(7, 1), PORT),
            Address::new(own.env.me(), PORT),
        ] {
            own.say(format!("{:?}", own.env.connect(to).await.map(drop)));
        }
    };
    run(&pair(told, call, echo), 1, &even());
    assert_eq!(seen(told), ["Err(Refused)", "Err(NoRoute)", "Err(Refused)"]);
}

#[test]
fn who_is_not_taken_gets_no_further_answer_and_a_listener_that_goes_sends_all_away() {
    let told: Seen = notes();
    let scenario = squall::Scenario::new("test/waiting").nodes(
        "node",
        2..=2,
        move |env: squall_env::Env| async move {
            if env.me().ordinal() == 2 {
                let listener = env.listen(PORT).map_err(|error| error.to_string())?;
                env.sleep(Duration::from_secs(10)).await;
                drop(listener);
                return std::future::pending().await;
            }
            let to = env.addresses("node", PORT)[1];
            let mut kept = Vec::new();
            while let Ok(stream) = env.connect(to).await {
                kept.push(stream);
            }
            told.lock().unwrap().push((kept.len() as u64, "waiting".to_owned()));
            let ended = kept[0].read(&mut [0]).await.map_err(|error| StreamError::of(&error));
            told.lock().unwrap().push((0, format!("{ended:?}")));
            Ok::<(), String>(())
        },
    );
    run(&scenario, 1, &even());
    let told = told.lock().unwrap();
    assert_eq!(*told, [(128, "waiting".to_owned()), (0, "Err(Reset)".to_owned())]);
}

#[test]
fn a_reset_strikes_both_ends_and_half_of_the_time_takes_what_had_arrived() {
    let mut saw = BTreeSet::new();
    for seed in 0..40 {
        let told: Seen = notes();
        let call = |own: Own| async move {
            let Ok(mut stream) = own.connect().await else { return };
            let error = loop {
                if let Err(error) = stream.write_all(&text(500)).await {
                    break error;
                }
                own.env.sleep(Duration::from_millis(5)).await;
            };
            own.say(format!("writer {:?}", StreamError::of(&error)));
        };
        let serve = |own: Own, mut stream: Stream| async move {
            // It looks only now and then, so that something waits to be read.
            loop {
                own.env.sleep(Duration::from_secs(5)).await;
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).await.is_err() {
                    return own.say(format!("reader got {}", bytes.is_empty()));
                }
            }
        };
        let plan = weather(StreamWeather { reset_ppm: 5_000, ..StreamWeather::default() });
        let outcome = run(&pair(told, call, serve), seed, &plan);
        let told = seen(told);
        assert!(told.contains(&"writer Reset".to_owned()) && told.len() == 2, "{told:?}");
        assert_eq!(outcome.faults[Fault::StreamReset as usize].fired, 1);
        saw.extend(told);
    }
    assert_eq!(saw.len(), 3, "{saw:?}");
}

#[test]
fn a_half_open_connection_carries_nothing_and_its_ends_find_out_by_themselves() {
    let told: Seen = notes();
    let call = |own: Own| async move {
        let Ok(mut stream) = own.connect().await else { return };
        while stream.write_all(b"more").await.is_ok() {
            own.env.sleep(Duration::from_millis(10)).await;
        }
        own.say("writer");
    };
    let plan = weather(StreamWeather { half_open_ppm: 10_000, ..StreamWeather::default() });
    let outcome = run(&pair(told, call, listen_to), 3, &plan);
    assert_eq!(outcome.faults[Fault::HalfOpen as usize].fired, 1);
    let told = seen(told);
    assert!(told.contains(&"writer".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.ends_with("bytes and Silent")), "{told:?}");
}

/// Says when the connection to a node that goes down ends, and how. `talks`: the other keeps
/// sending; else it only waits.
fn peer_goes(kind: Kind, for_ns: u64, talks: bool, seed: u64) -> (u64, String) {
    let told: Seen = notes();
    let call = move |own: Own| async move {
        let Ok(mut stream) = own.connect().await else { return };
        let mut byte = [0];
        let error = loop {
            if talks && let Err(error) = stream.write_all(b"still there?").await {
                break Some(error);
            }
            match own.env.timeout(Duration::from_millis(10), stream.read(&mut byte)).await {
                Ok(Ok(0)) => break None,
                Ok(Err(error)) => break Some(error),
                _ => {}
            }
        };
        own.say(error.map_or("the end".to_owned(), |e| format!("{:?}", StreamError::of(&e))));
    };
    let mut plan = even();
    plan.episodes = vec![episode(1, kind, 100 * MS, for_ns)];
    run(&pair(told, call, keep), seed, &plan);
    told.lock().unwrap()[0].clone()
}

#[test]
fn a_peer_that_lost_power_is_half_open_until_it_is_back() {
    for seed in 0..5 {
        let (at, how) = peer_goes(crash("node-2"), 500 * MS, true, seed);
        assert_eq!(how, "Reset");
        // Tried again after 200 and 600 ms: the node is back by then, and answers at once.
        assert!((600 * MS..1_200 * MS).contains(&at), "{at}");
    }
}

#[test]
fn a_peer_that_stays_away_is_given_up_by_patience_or_by_keep_alive() {
    for seed in 0..10 {
        for talks in [true, false] {
            let (at, how) = peer_goes(crash("node-2"), 60 * SECOND, talks, seed);
            assert_eq!(how, "Silent");
            assert!((SECOND..25 * SECOND).contains(&at), "{at}");
        }
        // Who only waits finds out by a probe even if the peer is back long since.
        let (at, how) = peer_goes(crash("node-2"), 10 * MS, false, seed);
        assert_eq!(how, "Reset");
        assert!((SECOND..21 * SECOND).contains(&at), "{at}");
    }
}

#[test]
fn a_process_that_dies_has_its_connections_closed_by_its_system() {
    let kind = || Kind::Crash { node: "node-2".to_owned(), power_loss: false };
    let (at, how) = peer_goes(kind(), 60 * SECOND, false, 1);
    assert_eq!((at, how.as_str()), (101 * MS, "the end"));
    let (at, how) = peer_goes(kind(), 60 * SECOND, true, 1);
    assert_eq!(how, "Reset");
    assert!(at <= 110 * MS, "{at}");
}

#[test]
fn to_drop_a_stream_sends_what_was_written_and_to_drop_it_unread_is_a_reset() {
    let drop_after = |reads: bool| {
        let told: Seen = notes();
        let call = move |own: Own| async move {
            let Ok(mut stream) = own.connect().await else { return };
            own.env.sleep(Duration::from_millis(10)).await;
            if reads {
                assert!(stream.read_exact(&mut [0; 5]).await.is_ok());
            }
            assert!(stream.write_all(&text(10_000)).await.is_ok());
        };
        let serve = |own: Own, mut stream: Stream| async move {
            assert!(stream.write_all(b"hello").await.is_ok());
            listen_to(own, stream).await;
        };
        run(&pair(told, call, serve), 1, &even());
        seen(told)
    };
    assert_eq!(drop_after(true), ["10000 bytes and the end"]);
    let told = drop_after(false);
    assert!(told[0].ends_with("bytes and Reset"), "{told:?}");
}

#[test]
fn after_a_shutdown_nothing_can_be_written_and_the_other_way_stays_open() {
    let told: Seen = notes();
    let call = |own: Own| async move {
        let Ok(mut stream) = own.connect().await else { return };
        assert!(stream.write_all(b"question").await.is_ok() && stream.shutdown().await.is_ok());
        let refused = stream.write(b"more").await.map_err(|error| StreamError::of(&error));
        own.say(format!("{refused:?}"));
        listen_to(own, stream).await;
    };
    let serve = |own: Own, mut stream: Stream| async move {
        let mut question = Vec::new();
        assert!(stream.read_to_end(&mut question).await.is_ok());
        own.env.sleep(Duration::from_millis(5)).await;
        assert!(question == b"question" && stream.write_all(b"answer").await.is_ok());
    };
    run(&pair(told, call, serve), 1, &even());
    assert_eq!(seen(told), ["Err(ShutDown)", "6 bytes and the end"]);
}

#[test]
fn who_gives_up_a_connect_leaves_an_end_that_is_reset() {
    let told: Seen = notes();
    let call = |own: Own| async move {
        let late = own.env.timeout(Duration::from_micros(1_500), own.connect()).await;
        own.say(format!("{}", late.is_err()));
        std::future::pending::<()>().await;
    };
    run(&pair(told, call, listen_to), 1, &even());
    assert_eq!(seen(told), ["true", "0 bytes and Reset"]);
}

/// The digests of a run in which the same bytes are written and read at the same times, in pieces
/// of these sizes.
fn in_pieces(write: usize, read: usize, plan: &Plan) -> Digest {
    let call = move |own: Own| async move {
        let Ok(mut stream) = own.connect().await else { return };
        for round in 1..20 {
            own.sleep_until(round * 50).await;
            for piece in text(5_000).chunks(write) {
                if stream.write_all(piece).await.is_err() {
                    return;
                }
            }
        }
    };
    let serve = move |_: Own, mut stream: Stream| async move {
        let mut bytes = vec![0; read];
        while let Ok(1..) = stream.read(&mut bytes).await {}
    };
    run(&pair(notes(), call, serve), 9, plan).digest
}

#[test]
fn how_a_program_cuts_its_reads_and_writes_makes_no_difference() {
    let mut plan = even();
    plan.weather.loss_ppm = 20_000;
    let whole = in_pieces(5_000, 8_192, &plan);
    for (write, read) in [(5_000, 100), (1, 8_192), (77, 13)] {
        assert_eq!(in_pieces(write, read, &plan), whole, "writes of {write}, reads of {read}");
    }
    let mut other = even();
    other.weather.loss_ppm = 300_000;
    assert_ne!(in_pieces(5_000, 8_192, &other), whole);
}
