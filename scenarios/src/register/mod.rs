//! Scenarios of the atomic register.

pub mod explored;

use squall::{Client, Operation, Scenario, Tolerance, linearizable};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::platform::BindError;
use squall_env::{HasOutcome, NodeId, View};
use squall_protocols::register::{
    RegisterClient, RegisterError, Replica, Tag, Value, invariants, serve,
};
use std::time::Duration;

/// The property of what clients see.
pub const LINEARIZABLE: &str = "the history is linearizable";
const ONE_VALUE: &str = "a tag stands for one value";
/// The property of disks.
pub const DURABLE: &str = "what is acknowledged is durable on a majority";

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 20;

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

/// Readers and writers of one register on three to five replicas, of which a minority at a time
/// may crash, lose what it had not synced, stand still, or have a failing disk.
pub fn atomic() -> Scenario {
    Scenario::new("register/atomic")
        .nodes("replica", 3..=5, serve)
        .clients("client", 2..=4, workload)
        .tolerates(
            Tolerance::minority_impaired("replica")
                .impaired("client", squall::Most::Any)
                .any_network()
                .any_clock()
                .crashes()
                .lost_unsynced_writes()
                .failing_disks()
                .swapped_disks(),
        )
        .always("stored tags never go back", invariants::tags_never_go_back)
        .always(ONE_VALUE, invariants::a_tag_stands_for_one_value)
        .audit(DURABLE, invariants::acknowledged_is_durable)
        .inspect("stores", stores)
        .sometimes("a read had to write back")
        .sometimes_each::<(bool, bool)>("what a read finds", ["asked again", "all agree"])
        .check(linearizable(Register::<Option<u64>>::new(None)))
        .finishes_within(Duration::from_secs(30))
}

/// What each replica stores, for readers of a trace.
fn stores(view: &View<'_>) -> Vec<(NodeId, String)> {
    let words = |replica: &Replica| match replica.value().try_into().map(u64::from_le_bytes) {
        Ok(value) => {
            let Tag { sequence, writer } = replica.tag();
            format!("{value}, as number {sequence} of writer {writer:x}")
        }
        Err(_) => "nothing yet".to_owned(),
    };
    view.up::<Replica>().map(|replica| (replica.node, words(&replica))).collect()
}

/// Reads and writes at random while there are faults, and then reads once more.
///
/// # Errors
/// If the client's node has stopped.
pub async fn workload(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut register = RegisterClient::open(&env, "replica")?;
    // Some clients mostly read and some mostly write: with one writer an unfinished write is
    // followed by another of the same client, with several by somebody else's.
    let reads_of_ten = [1, 5, 9][client.draw(0, 3) as usize];
    while let Some(operation) = client.next_operation(OPERATIONS) {
        // Operations come in bursts, so that they overlap.
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 10_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        operate(&client, &mut register, operation, reads_of_ten).await;
    }
    client.after_heal().await;
    while read(&client, &mut register).await.is_err() {}
    Ok(())
}

/// Reads and writes at random for a while; for clients that are real processes.
///
/// # Errors
/// If the client's node has stopped.
pub async fn load(client: Client, length: Duration) -> Result<(), BindError> {
    let env = client.env().clone();
    let until = env.now() + length;
    let mut register = RegisterClient::open(&env, "replica")?;
    while let Some(operation) = client.next_operation(u64::MAX)
        && env.now() < until
    {
        env.sleep(Duration::from_micros(operation.draw(2, 20_000))).await;
        operate(&client, &mut register, operation, 5).await;
    }
    Ok(())
}

/// Reads until a majority answers.
///
/// # Errors
/// If the client's node has stopped.
pub async fn read_once(client: Client) -> Result<(), BindError> {
    let mut register = RegisterClient::open(client.env(), "replica")?;
    while read(&client, &mut register).await.is_err() {}
    Ok(())
}

/// One operation, with what it draws.
async fn operate(
    client: &Client,
    register: &mut RegisterClient,
    operation: Operation,
    reads_of_ten: u64,
) {
    if operation.draw(1, 10) < reads_of_ten {
        // What came of it is recorded.
        let _ = read(client, register).await;
        return;
    }
    let env = client.env();
    let value = u64::from(env.me().ordinal()) << 32 | operation.number();
    let wall = env.wall();
    env.trace(|| format!("writes {value}, by its own wall clock at {wall:?}"));
    write(client, register, value).await;
}

/// What the clients' history is judged against.
pub type Model = Register<Option<u64>>;

/// Reads and records it.
///
/// # Errors
/// If no majority answers in time.
pub async fn read(client: &Client, register: &mut RegisterClient) -> Result<(), RegisterError> {
    let work = async {
        let value = register.read(OPERATION_MAX).await?;
        // What is no number was written by none of these clients, which no write explains.
        let number = |value: Value| (*value).try_into().map_or(u64::MAX, u64::from_le_bytes);
        Ok(RegisterReturn::Value(value.map(number)))
    };
    client.perform::<Model, RegisterError>(RegisterCall::Read, work).await.map(drop)
}

/// Writes and records it, whatever comes of it.
pub async fn write(client: &Client, register: &mut RegisterClient, value: u64) {
    let work = async {
        register.write(value.to_le_bytes(), OPERATION_MAX).await?;
        Ok(RegisterReturn::Written)
    };
    let written: Result<_, RegisterError> =
        client.perform::<Model, RegisterError>(RegisterCall::Write(Some(value)), work).await;
    if let Err(error) = written {
        client.env().trace(|| format!("{error} ({:?})", error.outcome()));
    }
}

/// One line of the register gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        atomic().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("register/reads-without-write-back", LINEARIZABLE),
        mutant("register/acknowledges-before-durable", DURABLE),
        mutant("register/quorum-off-by-one", LINEARIZABLE),
        mutant("register/reuses-tag-after-restart", ONE_VALUE),
    ]
}
