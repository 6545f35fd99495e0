use super::*;
use std::io::{Read, Write};
use std::net::TcpStream as Blocking;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const GREETING: &[u8] = b"sqN\n\x01\x00\x00\x00SSSS";
const ALL: u32 = 1_000_000;
const LINK: Link = Link { from: 0, to: 0 };
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(150);

/// A frame with this number for a payload.
fn frame(number: u8) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0];
    bytes.extend_from_slice(&[0; 12]);
    bytes.push(number);
    bytes
}

/// Who listens behind a link: what each connection brought, once it is closed, and all bytes as
/// they come.
struct Sink {
    proxy: Proxy,
    bytes: Receiver<Vec<u8>>,
}

impl Sink {
    fn new(weather: &Weather) -> Sink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, sender) = (stream.unwrap(), sender.clone());
                std::thread::spawn(move || {
                    let mut some = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut some) {
                        if sender.send(some[..count].to_vec()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let proxy = Proxy::start(1, &[address], 1).unwrap();
        proxy.set(LINK, weather);
        Sink { proxy, bytes }
    }

    fn connect(&self) -> Blocking {
        let stream = Blocking::connect(self.proxy.address(LINK)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a greeting and so many frames.
    fn send(&self, frames: u8) -> Blocking {
        let mut stream = self.connect();
        stream.write_all(GREETING).unwrap();
        for number in 0..frames {
            stream.write_all(&frame(number)).unwrap();
        }
        stream
    }

    /// Waits for so many bytes.
    fn receive(&self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.bytes.recv_timeout(PATIENCE).expect("more has to come"));
        }
        assert_eq!(all.len(), count);
        all
    }

    /// The numbers of so many frames behind a greeting.
    fn numbers(&self, count: usize) -> Vec<u8> {
        let all = self.receive(GREETING.len() + 17 * count);
        all[GREETING.len()..].chunks(17).map(|frame| frame[16]).collect()
    }

    fn assert_nothing_comes(&self) {
        assert!(self.bytes.recv_timeout(GLANCE).is_err(), "something came");
    }
}

fn is_closed(mut stream: Blocking) -> bool {
    !matches!(stream.read(&mut [0]), Ok(1..))
}

#[test]
fn on_a_calm_day_everything_passes_in_order() {
    let sink = Sink::new(&Weather::default());
    let _stream = sink.send(100);
    assert_eq!(sink.numbers(100), (0..100).collect::<Vec<u8>>());
    let calm = Done { connections: 1, passed: 101, ..Done::default() };
    assert_eq!(sink.proxy.done(), calm);
}

#[test]
fn a_delay_and_a_limit_of_bytes_take_their_time() {
    let delay = Duration::from_millis(100);
    let slow = Weather { delay, jitter: delay, ..Weather::default() };
    let throttled = Weather { bytes_per_second: Some(5_000), ..Weather::default() };
    for weather in [slow, throttled] {
        let sink = Sink::new(&weather);
        let start = Instant::now();
        let _stream = sink.send(50);
        assert_eq!(sink.numbers(50), (0..50).collect::<Vec<u8>>(), "the order stays");
        assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
    }
}

#[test]
fn frames_are_lost_doubled_and_overtaken_and_greetings_are_not() {
    let lossy = Sink::new(&Weather { lose: ALL / 2, ..Weather::default() });
    let _stream = lossy.send(200);
    let wait = Instant::now() + PATIENCE;
    while lossy.proxy.done().lost + lossy.proxy.done().passed < 201 && Instant::now() < wait {}
    let done = lossy.proxy.done();
    assert!((50..150).contains(&done.lost) && done.lost + done.passed == 201, "{done:?}");

    let doubling = Sink::new(&Weather { duplicate: ALL, ..Weather::default() });
    let _stream = doubling.send(50);
    let mut numbers = doubling.numbers(100);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).flat_map(|number| [number; 2]).collect::<Vec<u8>>());

    let mixing = Sink::new(&Weather { reorder: ALL / 2, ..Weather::default() });
    let _stream = mixing.send(50);
    let mut numbers = mixing.numbers(50);
    assert!(!numbers.is_sorted());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
}

#[test]
fn damage_is_one_bit() {
    let sink = Sink::new(&Weather { corrupt: ALL, ..Weather::default() });
    let stream = sink.send(1);
    let got = sink.receive(GREETING.len() + 17);
    let sent = [GREETING.to_vec(), frame(0)].concat();
    let bits = |part: std::ops::Range<usize>| -> u32 {
        part.map(|at| (got[at] ^ sent[at]).count_ones()).sum()
    };
    assert_eq!((bits(0..12), bits(12..29)), (1, 1));
    let Done { corrupted, damaged, .. } = sink.proxy.done();
    assert_eq!((corrupted, damaged), (2, 0));
    drop(stream);
    let until = Instant::now() + PATIENCE;
    while sink.proxy.done().broken == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let Done { damaged, broken, .. } = sink.proxy.done();
    assert_eq!((damaged, broken), (1, 1));
}

#[test]
fn a_stalled_link_takes_connections_and_passes_what_it_held_once_it_is_open() {
    let sink = Sink::new(&Weather { gate: Gate::Stalled, ..Weather::default() });
    let _stream = sink.send(3);
    sink.assert_nothing_comes();
    sink.proxy.set(LINK, &Weather::default());
    assert_eq!(sink.numbers(3), [0, 1, 2]);
    sink.proxy.set(LINK, &Weather { gate: Gate::Stalled, ..Weather::default() });
    let _other = sink.send(1);
    sink.assert_nothing_comes();
}

#[test]
fn a_closed_link_closes_what_is_open_and_what_comes() {
    let sink = Sink::new(&Weather::default());
    let open = sink.send(1);
    sink.numbers(1);
    sink.proxy.set(LINK, &Weather { gate: Gate::Closed, ..Weather::default() });
    assert!(is_closed(open));
    assert!(is_closed(sink.connect()));
    assert_eq!(sink.proxy.done().closed, 2);
    let closing = Sink::new(&Weather { close: ALL, ..Weather::default() });
    assert!(is_closed(closing.send(1)));
}

#[test]
fn a_node_that_is_down_closes_connections_to_it() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let proxy = Proxy::start(1, &[gone], 1).unwrap();
    let stream = Blocking::connect(proxy.address(LINK)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_closed(stream));
    let begins = proxy.address(LINK);
    drop(proxy);
    assert!(Blocking::connect(begins).is_err(), "nobody listens any more");
}
