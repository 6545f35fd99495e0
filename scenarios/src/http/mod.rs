//! A register over HTTP, with hyper at both ends: what runs on sockets runs in the world.

mod client;
mod service;

pub use client::{HttpClient, HttpError};
pub use service::{PORT_1, PORT_2, ServeError, serve};

use squall::{Client, Fault, Most, Operation, Scenario, Tolerance, linearizable};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::Address;
use std::convert::Infallible;
use std::time::Duration;

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 15;

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

/// How long a client waits before it tries again what has failed.
const PAUSE: Duration = Duration::from_millis(100);

/// What the clients' history is judged against.
type Model = Register<Option<u64>>;

/// One request at a time on each connection, which is kept open.
pub fn http1() -> Scenario {
    scenario("example/http", one_by_one)
}

/// Several requests at a time on one connection of HTTP/2.
pub fn http2() -> Scenario {
    scenario("example/http2", all_at_once)
}

fn scenario<F>(name: &str, load: fn(Client) -> F) -> Scenario
where
    F: Future<Output = Result<(), Infallible>> + Send + 'static,
{
    let links = [
        Fault::Loss,
        Fault::Bandwidth,
        Fault::Partition,
        Fault::OneWay,
        Fault::IsolateOne,
        Fault::ClogLink,
        Fault::ClogNode,
        Fault::SwizzleClog,
    ];
    let tolerance = Tolerance::nothing()
        .impaired("server", Most::Any)
        .impaired("client", Most::Any)
        .any_stream()
        .crashes()
        .fault(Fault::ClockRate)
        .fault(Fault::LateTimers)
        .fault(Fault::LostWrites)
        .fault(Fault::LostEntries);
    Scenario::new(name)
        .nodes("server", 1..=1, serve)
        .clients("client", 2..=4, load)
        .tolerates(links.into_iter().fold(tolerance, Tolerance::fault))
        .sometimes("a connection serves a second request")
        .sometimes("an answer is missing")
        .check(linearizable(Model::new(None)))
        .finishes_within(Duration::from_secs(60))
}

async fn one_by_one(client: Client) -> Result<(), Infallible> {
    let env = client.env().clone();
    let mut http = HttpClient::new(&env, server(&client, PORT_1), OPERATION_MAX);
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(2, 100_000))).await;
        operate(&client, &mut http, operation).await;
    }
    read_at_last(&client, &mut http).await;
    Ok(())
}

async fn all_at_once(client: Client) -> Result<(), Infallible> {
    let env = client.env().clone();
    let mut http = HttpClient::multiplexed(&env, server(&client, PORT_2), OPERATION_MAX);
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(2, 100_000))).await;
        // Reads that nobody records are under way beside the one operation of the client.
        let others: Vec<_> = (0..operation.draw(3, 4))
            .map(|_| {
                let mut http = http.clone();
                env.spawn("beside", async move { http.read().await.is_ok() })
            })
            .collect();
        operate(&client, &mut http, operation).await;
        for other in others {
            // Whether it was answered makes no difference.
            let _ = other.await;
        }
    }
    read_at_last(&client, &mut http).await;
    Ok(())
}

fn server(client: &Client, port: squall_env::Port) -> Address {
    client.env().addresses("server", port)[0]
}

/// Reads once more when the faults are over.
async fn read_at_last(client: &Client, http: &mut HttpClient) {
    client.after_heal().await;
    while read(client, http).await.is_err() {
        // A server that refuses does so at once, and perhaps for long.
        client.env().sleep(PAUSE).await;
    }
}

/// One operation, with what it draws. What came of it is recorded.
async fn operate(client: &Client, http: &mut HttpClient, operation: Operation) {
    if operation.draw(1, 2) == 0 {
        let _ = read(client, http).await;
        return;
    }
    let value = u64::from(client.env().me().ordinal()) << 32 | operation.number();
    let work = async {
        http.write(value).await?;
        Ok(RegisterReturn::Written)
    };
    let call = RegisterCall::Write(Some(value));
    let _: Result<_, HttpError> = client.perform::<Model, HttpError>(call, work).await;
}

async fn read(client: &Client, http: &mut HttpClient) -> Result<(), HttpError> {
    let work = async { Ok(RegisterReturn::Value(http.read().await?)) };
    client.perform::<Model, HttpError>(RegisterCall::Read, work).await.map(drop)
}
