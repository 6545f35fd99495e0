//! The model of a server like Redis beside a real one: the same commands, the same answers, and the
//! same keys after the server was killed.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use squall_scenarios::models::redis::{Command, Keyspace, Reply};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many commands a server is asked.
const COMMANDS: usize = 600;

/// A key that goes soon is there for so many milliseconds, and nobody looks for it closer to its
/// end than this: the model's time is not to the millisecond the server's.
const SOON_MS: u64 = 400;
const MARGIN_MS: i64 = 150;

const LATER_MS: u64 = 600_000;

const DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                      return redis.call('DEL', KEYS[1]) else return 0 end";
const EXPIRE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                      return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";
const ACQUIRE: &str = "local there = redis.call('GET', KEYS[1]) \
                       if not there then \
                       redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
                       return redis.call('INCR', KEYS[2]) \
                       elseif there == ARGV[1] then \
                       redis.call('PEXPIRE', KEYS[1], ARGV[2]) \
                       return redis.call('GET', KEYS[2]) or '0' \
                       else return false end";
const READ: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                    return redis.call('GET', KEYS[2]) or '0' else return false end";

/// A server that is killed when nobody looks at it any more.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// A server with its log in this folder, and a connection to it.
    fn start(folder: &Path) -> (Server, Connection) {
        let socket = folder.join("redis.sock");
        let _ = std::fs::remove_file(&socket);
        let program = std::env::var_os("SQUALL_REDIS").unwrap_or_else(|| "redis-server".into());
        let mut command = std::process::Command::new(program);
        command.args(["--port", "0", "--unixsocket"]).arg(&socket).arg("--dir").arg(folder);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server(command.spawn().expect("there is a redis-server"));
        for _ in 0..500 {
            if let Ok(stream) = UnixStream::connect(&socket) {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut connection = Connection(BufReader::new(stream));
                // It refuses everything while it reads its log.
                if connection.ask(&["PING"]) == Told::Status("PONG".to_owned()) {
                    return (server, connection);
                }
            }
            sleep(Duration::from_millis(20));
        }
        panic!("the server does not answer");
    }
}

/// An answer in the server's protocol (RESP 2).
#[derive(PartialEq, Debug)]
enum Told {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Option<String>),
}

struct Connection(BufReader<UnixStream>);

impl Connection {
    fn ask(&mut self, words: &[&str]) -> Told {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let rest = line[1..].trim_end();
        match &line[..1] {
            "+" => Told::Status(rest.to_owned()),
            "-" => Told::Error(rest.to_owned()),
            ":" => Told::Integer(rest.parse().unwrap()),
            "$" if rest == "-1" => Told::Bulk(None),
            "$" => {
                let mut body = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut body).unwrap();
                body.truncate(body.len() - 2);
                Told::Bulk(Some(String::from_utf8(body).unwrap()))
            }
            other => panic!("{other:?} begins no answer of these commands"),
        }
    }

    /// Has the server do what the model does.
    fn execute(&mut self, command: &Command) -> Reply {
        let (told, is_number) = match command {
            Command::SetNxPx { key, value, px_ms } => {
                (self.ask(&["SET", key, value, "NX", "PX", &px_ms.to_string()]), false)
            }
            Command::Get(key) => (self.ask(&["GET", key]), false),
            Command::Del(key) => (self.ask(&["DEL", key]), false),
            Command::Incr(key) => (self.ask(&["INCR", key]), false),
            Command::CompareAndDelete { key, value } => {
                (self.ask(&["EVAL", DELETE, "1", key, value]), false)
            }
            Command::CompareAndPexpire { key, value, px_ms } => {
                (self.ask(&["EVAL", EXPIRE, "1", key, value, &px_ms.to_string()]), false)
            }
            Command::AcquireFenced { key, value, px_ms, counter } => {
                let px_ms = px_ms.to_string();
                (self.ask(&["EVAL", ACQUIRE, "2", key, counter, value, &px_ms]), true)
            }
            Command::CompareAndGet { key, value, counter } => {
                (self.ask(&["EVAL", READ, "2", key, counter, value]), true)
            }
        };
        match told {
            Told::Status(status) if status == "OK" => Reply::Ok,
            Told::Error(why) if why.contains("not an integer") => Reply::NoInteger,
            Told::Integer(number) => Reply::Integer(number),
            Told::Bulk(None) => Reply::Nil,
            Told::Bulk(Some(value)) if is_number => {
                value.parse().map_or(Reply::NoInteger, Reply::Integer)
            }
            Told::Bulk(Some(value)) => Reply::Value(value),
            other => panic!("{command:?} is answered {other:?}"),
        }
    }
}

/// The keys, of which the last is a counter most of the time.
const KEYS: [&str; 3] = ["one", "other", "counter"];

fn any_command() -> impl Strategy<Value = Command> {
    let key = || prop::sample::select(&KEYS[..]).prop_map(str::to_owned);
    let value = || prop::sample::select(&["me", "7", "8"][..]).prop_map(str::to_owned);
    let px_ms = || prop_oneof![Just(LATER_MS), Just(SOON_MS)];
    let counter = || KEYS[2].to_owned();
    prop_oneof![
        (key(), value(), px_ms()).prop_map(|(key, value, px_ms)| Command::SetNxPx {
            key,
            value,
            px_ms
        }),
        key().prop_map(Command::Get),
        key().prop_map(Command::Del),
        key().prop_map(Command::Incr),
        (key(), value()).prop_map(|(key, value)| Command::CompareAndDelete { key, value }),
        (key(), value(), px_ms()).prop_map(|(key, value, px_ms)| Command::CompareAndPexpire {
            key,
            value,
            px_ms
        }),
        (key(), value(), px_ms()).prop_map(move |(key, value, px_ms)| {
            Command::AcquireFenced { key, value, px_ms, counter: counter() }
        }),
        (key(), value()).prop_map(move |(key, value)| {
            Command::CompareAndGet { key, value, counter: counter() }
        }),
    ]
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Waits until no key is about to go, or has just gone.
fn settle(ends: &mut Vec<i64>) -> i64 {
    loop {
        let now = now_ms();
        ends.retain(|end| now < end + MARGIN_MS);
        if ends.iter().all(|end| now < end - MARGIN_MS) {
            return now;
        }
        sleep(Duration::from_millis(10));
    }
}

fn is_soon(command: &Command) -> bool {
    match command {
        Command::SetNxPx { px_ms, .. }
        | Command::CompareAndPexpire { px_ms, .. }
        | Command::AcquireFenced { px_ms, .. } => *px_ms == SOON_MS,
        _ => false,
    }
}

#[test]
#[ignore = "needs a redis-server, on the path or where SQUALL_REDIS says"]
fn a_real_server_answers_what_the_model_answers_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, mut real) = Server::start(folder.path());
    let (mut model, mut ends) = (Keyspace::default(), Vec::new());
    let mut runner = TestRunner::deterministic();
    for nth in 1..=COMMANDS {
        if nth % 20 == 0 {
            // Keys go while nobody looks.
            sleep(Duration::from_millis(SOON_MS / 2));
        }
        let command = any_command().new_tree(&mut runner).unwrap().current();
        let now = settle(&mut ends);
        if is_soon(&command) {
            ends.push(now + SOON_MS as i64);
        }
        let told = real.execute(&command);
        let (expected, _) = model.execute(now, &command);
        assert_eq!(told, expected, "command {nth}: {command:?}");
        if nth % 150 == 0 {
            drop(server);
            (server, real) = Server::start(folder.path());
            let now = settle(&mut ends);
            for key in KEYS.map(|key| Command::Get(key.to_owned())) {
                let expected = model.execute(now, &key).0;
                assert_eq!(real.execute(&key), expected, "{key:?} after a kill");
            }
        }
    }
    drop(server);
}
