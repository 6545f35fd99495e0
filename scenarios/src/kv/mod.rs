//! A key-value server and its client, written for tokio and moved onto `Env`.
//!
//! [`before`] is the service as it was: `tokio::net`, `tokio::spawn`, `tokio::fs`, frames of
//! `tokio_util`. [`after`] is the same on `Env`, function by function. What has changed:
//!
//! | before | after |
//! |---|---|
//! | `TcpListener::accept`, `TcpStream::connect` | `env.listen` and `accept`, `env.connect` |
//! | `tokio::spawn` | `env.spawn` |
//! | `tokio::fs::read`, `write`, `rename` | `env.read_file`, `open_file`, `rename` |
//! | `Framed`, `Mutex`, `serde_json`, all that is pure | the same |
//!
//! # What the simulator finds in it
//!
//! `before` answers "stored" when it has renamed a file that it has not synced. As long as the
//! machine keeps its power nobody notices; no test on a laptop does. After a power loss the new
//! name may stand for an empty file, or the old file may be back. The line-by-line port has the
//! same bug, and is the specimen `specimen/kv`, which an audit of the disk finds at a crash:
//!
//! ```text
#![doc = include_str!("found.txt")]
//! ```
//!
//! The mended version syncs the file before it renames it and the directory after that, which is
//! `env.replace_file`. It is `example/kv`, under the same weather.

pub mod after;
pub mod before;
pub mod wire;

use after::{Client as Kv, FILE, KvError, PORT, serve};
use squall::{AuditView, Client, Fault, Most, Operation, Scenario, Tolerance, linearizable};
use squall_check::{Access, MultiRegister};
use squall_env::Address;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

const WHOLE: &str = "a crash leaves a whole file";

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 15;

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

/// How long a client waits before it tries again what has failed.
const PAUSE: Duration = Duration::from_millis(100);

const KEYS: [&str; 2] = ["apples", "pears"];

/// What the clients' history is judged against.
type Model = MultiRegister<String, Option<String>>;

/// Clients of one server that crashes, loses its power and comes back, over connections that break.
pub fn kv() -> Scenario {
    let links = [Fault::Loss, Fault::Partition, Fault::IsolateOne, Fault::ClogLink];
    let tolerance = Tolerance::nothing()
        .impaired("server", Most::Any)
        .impaired("client", Most::Any)
        .any_stream()
        .crashes()
        .fault(Fault::LostWrites)
        .fault(Fault::LostEntries);
    Scenario::new("example/kv")
        .nodes("server", 1..=1, serve)
        .clients("client", 2..=3, load)
        .tolerates(links.into_iter().fold(tolerance, Tolerance::fault))
        .audit(WHOLE, || a_crash_leaves_a_whole_file)
        .check(linearizable(Model::new(BTreeMap::new(), None)))
        .finishes_within(Duration::from_secs(60))
}

/// The port with the bug that the service always had.
pub fn specimen() -> Scenario {
    kv().mutant("specimen/kv", "kv/answers-before-sync", WHOLE)
}

/// Whatever crashes now, the server can read its file again.
fn a_crash_leaves_a_whole_file(audit: &AuditView<'_>) -> Result<(), String> {
    for server in audit.roster().nodes("server") {
        let Some(content) = audit.disk(server).and_then(|disk| disk.file(FILE)) else { continue };
        if let Err(error) = serde_json::from_slice::<BTreeMap<String, String>>(content) {
            let (name, bytes) = (audit.roster().name(server), content.len());
            return Err(format!("a crash leaves {bytes} bytes of {name}'s {FILE}: {error}"));
        }
    }
    Ok(())
}

async fn load(client: Client) -> Result<(), Infallible> {
    let mut kv = None;
    while let Some(operation) = client.next_operation(OPERATIONS) {
        client.env().sleep(Duration::from_micros(operation.draw(0, 100_000))).await;
        operate(&client, &mut kv, operation).await;
    }
    client.after_heal().await;
    for key in KEYS {
        while get(&client, &mut kv, key).await.is_err() {
            client.env().sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// One operation, with what it draws. What came of it is recorded.
async fn operate(client: &Client, kv: &mut Option<Kv>, operation: Operation) {
    let key = KEYS[operation.draw(1, KEYS.len() as u64) as usize];
    if operation.draw(2, 2) == 0 {
        let _ = get(client, kv, key).await;
        return;
    }
    let value = format!("{}/{}", client.env().me().ordinal(), operation.number());
    let call = vec![Access::Write(key.to_owned(), Some(value.clone()))];
    let put = within(client, kv, async |kv| kv.put(key, &value).await);
    let work = async { put.await.map(|()| Vec::new()) };
    let _ = client.perform::<Model, KvError>(call, work).await;
}

async fn get(client: &Client, kv: &mut Option<Kv>, key: &str) -> Result<(), KvError> {
    let got = within(client, kv, async |kv| kv.get(key).await);
    let work = async { got.await.map(|value| vec![Some(value)]) };
    let call = vec![Access::Read(key.to_owned())];
    client.perform::<Model, KvError>(call, work).await.map(drop)
}

/// Does something with the connection, which is opened anew after every failure, and not for long.
async fn within<T>(
    client: &Client,
    kv: &mut Option<Kv>,
    work: impl AsyncFnOnce(&mut Kv) -> Result<T, KvError>,
) -> Result<T, KvError> {
    let env = client.env();
    let to = Address::new(env.peers("server")[0], PORT);
    // Whoever gives up takes the connection along: what else comes over it is nobody's answer.
    let mut open = kv.take();
    let done = env
        .timeout(OPERATION_MAX, async {
            let kv = match &mut open {
                Some(kv) => kv,
                None => open.insert(Kv::connect(env, to).await?),
            };
            work(kv).await
        })
        .await;
    let done = done.map_err(KvError::from).and_then(|done| done);
    *kv = open.filter(|_| done.is_ok());
    done
}
