//! What both have in common: a register as a state machine, its clients, the weather, and what
//! must hold.

use serde::{Deserialize, Serialize};
use squall::{Client, Fault, Most, Operation, Scenario, Tolerance, linearizable};
use squall_check::{Register, RegisterCall, RegisterReturn};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{CallError, Caller, ReplyTo, Responder};
use squall_env::{Address, Env, HasOutcome, NodeId, Outcome, Port, Shown, View};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Election safety.
pub const ONE_LEADER: &str = "a term has at most one leader";
/// State machine safety.
pub const COMMITTED: &str = "committed entries are the same everywhere and for ever";
/// The order in which entries are applied.
pub const IN_ORDER: &str = "entries are applied one after the other";

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 20;

/// How long a client waits for one operation.
const OPERATION_MAX: Duration = Duration::from_secs(4);

/// After how long a client asks again who leads.
const RETRY: Duration = Duration::from_millis(20);

/// How long it waits for one member, at first.
const PATIENCE: Duration = Duration::from_millis(400);

/// How long it waits at most.
const PATIENCE_MAX: Duration = Duration::from_secs(2);

/// Where members take what clients ask.
const SERVICE: &str = "register";

/// Writes the value of a client's operation, whose number is in its lower half.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Write(pub u64);

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {:x}", self.0)
    }
}

/// The register, and the number of each client's newest write: a write that comes again, or after
/// a later one of its client, is passed over.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Store {
    value: Option<u64>,
    newest: BTreeMap<u64, u64>,
}

impl Store {
    /// Applies a write once.
    pub fn apply(&mut self, Write(value): Write) {
        let (client, number) = (value >> 32, value & u64::from(u32::MAX));
        let newest = self.newest.entry(client).or_default();
        if number > *newest {
            *newest = number;
            self.value = Some(value);
        }
    }

    /// The value.
    pub fn value(&self) -> Option<u64> {
        self.value
    }
}

/// What a client asks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Ask {
    Write(Write),
    Read,
}

/// What a member tells it. Whoever does not know what became of a write says nothing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Tell {
    Written,
    Value(Option<u64>),
    /// It was not and will not be done here; who leads, if anybody is known to.
    NotLeader(Option<u64>),
}

/// Where a member takes what clients ask.
///
/// # Errors
/// If the port is taken.
pub fn service(env: &Env) -> Result<Responder<Ask, Tell>, BindError> {
    Responder::open(env, Port::named(SERVICE))
}

/// Takes requests for ever and hands each of them on.
///
/// # Errors
/// If the node has stopped.
pub async fn serve_clients(
    service: &mut Responder<Ask, Tell>,
    mut take: impl FnMut(Ask, ReplyTo<Tell>),
) -> Result<(), Closed> {
    loop {
        let (ask, back) = service.receive().await?;
        take(ask, back);
    }
}

/// What a member believes of itself, on show for properties.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub term: u64,
    pub leads: bool,
}

/// One applied entry: where it stands in the log, and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    pub index: u64,
    pub term: u64,
    pub content: String,
}

/// What a member has applied since it started, on show for properties.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// The index of the next entry, unless a snapshot has taken the place of what is before it.
    next: Option<u64>,
    entries: Vec<Applied>,
    broken: Option<String>,
}

impl History {
    /// A snapshot took the place of all entries up to this one.
    pub fn restored(&mut self, last: Option<u64>) {
        self.next = last.map(|last| last + 1);
    }

    /// The entry was applied.
    pub fn applied(&mut self, entry: Applied) {
        if let Some(next) = self.next.filter(|next| *next != entry.index) {
            self.broken = Some(format!("entry {} was applied where {next} was due", entry.index));
        }
        self.next = Some(entry.index + 1);
        self.entries.push(entry);
    }
}

/// Shows that an entry was applied.
pub fn show_applied(env: &Env, history: &Shown<History>, entry: Applied) {
    history.update(env, |history| history.applied(entry));
}

fn one_leader() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut leaders = BTreeMap::new();
    move |view| {
        for member in view.changed::<Standing>().filter(|member| member.leads) {
            let leader = *leaders.entry(member.term).or_insert(member.node);
            if leader != member.node {
                let (term, one, other) = (member.term, leader.ordinal(), member.node.ordinal());
                return Err(format!("members {one} and {other} both lead in term {term}"));
            }
        }
        Ok(())
    }
}

fn committed_agree() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut log: BTreeMap<u64, Applied> = BTreeMap::new();
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    move |view| {
        for member in view.changed::<History>() {
            let seen = seen.entry(member.number).or_default();
            for entry in &member.entries[*seen..] {
                let first = log.entry(entry.index).or_insert_with(|| entry.clone());
                if first != entry {
                    let (node, index) = (member.node.ordinal(), entry.index);
                    return Err(format!(
                        "member {node} applied {:?} of term {} as entry {index}, another one \
                         {:?} of term {}",
                        entry.content, entry.term, first.content, first.term
                    ));
                }
            }
            *seen = member.entries.len();
        }
        Ok(())
    }
}

fn in_order() -> impl FnMut(&View<'_>) -> Result<(), String> {
    |view| {
        let broken = view.changed::<History>().find_map(|member| {
            let broken = member.broken.as_ref()?;
            Some(format!("member {}: {broken}", member.node.ordinal()))
        });
        broken.map_or(Ok(()), Err)
    }
}

/// Whoever leads in the latest term.
fn latest_leader() -> impl FnMut(&View<'_>) -> Option<NodeId> {
    |view| {
        let leaders = view.up::<Standing>().filter(|member| member.leads);
        leaders.max_by_key(|member| member.term).map(|member| member.node)
    }
}

fn standings(view: &View<'_>) -> Vec<(NodeId, String)> {
    let words = |Standing { term, leads }: Standing| match leads {
        true => format!("leads in term {term}"),
        false => format!("in term {term}"),
    };
    view.up::<Standing>().map(|member| (member.node, words(*member))).collect()
}

fn histories(view: &View<'_>) -> Vec<(NodeId, String)> {
    let words = |history: &History| match history.entries.last() {
        Some(Applied { index, term, content }) => format!("{index} of term {term}: {content}"),
        None => "nothing yet".to_owned(),
    };
    view.up::<History>().map(|member| (member.node, words(&member))).collect()
}

/// What a cluster survives with its clients: what squall's own Raft is asked to survive. A
/// minority of the members at a time crashes, loses what it had not synced, stands still, or has a
/// failing disk; the network and the clocks may do anything.
pub fn tolerance() -> Tolerance {
    Tolerance::nothing()
        .impaired("member", Most::Minority)
        .impaired("client", Most::Any)
        .any_network()
        .but_not(Fault::QueueOverflow)
        .any_clock()
        // Nobody asks for the time of day.
        .but_not(Fault::WallDrift)
        .crashes()
        .lost_unsynced_writes()
        .failing_disks()
}

/// Adds to a cluster its clients, the weather, and what must hold.
pub fn loaded(scenario: Scenario) -> Scenario {
    scenario
        .clients("client", 2..=4, workload)
        .tolerates(tolerance())
        .heals_after(Duration::from_secs(10))
        .finishes_within(Duration::from_secs(60))
        .leader(latest_leader)
        .always(ONE_LEADER, one_leader)
        .always(COMMITTED, committed_agree)
        .always(IN_ORDER, in_order)
        .inspect("standing", standings)
        .inspect("applied last", histories)
        .check(linearizable(Register::<Option<u64>>::new(None)))
}

/// The members of the cluster.
pub fn members(env: &Env) -> Vec<NodeId> {
    env.peers("member")
}

/// The member of this number; they are counted from one.
pub fn numbered(env: &Env, number: u64) -> Option<NodeId> {
    members(env).into_iter().find(|node| u64::from(node.ordinal()) == number)
}

/// Why a client got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum ClientError {
    #[error("nobody led; nothing was done")]
    Unavailable,
    #[error("{0}")]
    Unanswered(#[from] CallError),
}

impl HasOutcome for ClientError {
    fn outcome(&self) -> Outcome {
        match self {
            ClientError::Unavailable => Outcome::NotDone,
            ClientError::Unanswered(error) => error.outcome(),
        }
    }
}

struct RegisterClient {
    env: Env,
    caller: Caller<Ask, Tell>,
    members: Vec<NodeId>,
    next: NodeId,
    /// How long it waits for one member: twice as long after each that did not answer, for on a
    /// slow network no answer at all might come within a fixed time.
    patience: Duration,
}

impl RegisterClient {
    fn open(env: &Env) -> Result<RegisterClient, BindError> {
        let members = members(env);
        let next = members[env.random_below(members.len() as u64) as usize];
        let caller = Caller::open(env)?;
        Ok(RegisterClient { env: env.clone(), caller, members, next, patience: PATIENCE })
    }

    /// Asks one member after the other until somebody leads and answers. Whatever is asked may be
    /// asked again.
    async fn ask(&mut self, ask: Ask) -> Result<Tell, ClientError> {
        let until = self.env.now() + OPERATION_MAX;
        let mut unanswered = None;
        while self.env.now() < until {
            let limit = self.patience.min(until - self.env.now());
            let to = Address::new(self.next, Port::named(SERVICE));
            match self.caller.call(to, ask, limit).await {
                Ok(Tell::NotLeader(leader)) => self.look_elsewhere(leader).await,
                Ok(told) => {
                    self.patience = PATIENCE.max(self.patience - self.patience / 8);
                    return Ok(told);
                }
                Err(error) => {
                    unanswered = Some(error);
                    self.patience = PATIENCE_MAX.min(self.patience * 2);
                    self.look_elsewhere(None).await;
                }
            }
        }
        Err(unanswered.map_or(ClientError::Unavailable, ClientError::Unanswered))
    }

    async fn look_elsewhere(&mut self, leader: Option<u64>) {
        match leader.and_then(|leader| numbered(&self.env, leader)) {
            Some(leader) if leader != self.next => self.next = leader,
            _ => {
                let nth = self.env.random_below(self.members.len() as u64) as usize;
                self.next = self.members[nth];
                self.env.sleep(RETRY).await;
            }
        }
    }
}

/// Reads and writes at random while there are faults, and then reads once more.
async fn workload(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut register = RegisterClient::open(&env)?;
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 10_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        // What came of it is recorded.
        let _ = operate(&client, &mut register, operation).await;
    }
    client.after_heal().await;
    while read(&client, &mut register).await.is_err() {}
    Ok(())
}

async fn operate(
    client: &Client,
    register: &mut RegisterClient,
    operation: Operation,
) -> Result<(), ClientError> {
    if operation.draw(1, 2) == 0 {
        return read(client, register).await;
    }
    // Numbers begin with one, so that none is the newest before the first.
    let value = u64::from(client.env().me().ordinal()) << 32 | (operation.number() + 1);
    let call = RegisterCall::Write(Some(value));
    let write = async {
        register.ask(Ask::Write(Write(value))).await?;
        Ok(RegisterReturn::Written)
    };
    client.perform::<Register<Option<u64>>, ClientError>(call, write).await.map(drop)
}

async fn read(client: &Client, register: &mut RegisterClient) -> Result<(), ClientError> {
    let read = async {
        match register.ask(Ask::Read).await? {
            Tell::Value(value) => Ok(RegisterReturn::Value(value)),
            Tell::Written | Tell::NotLeader(_) => Err(ClientError::Unanswered(CallError::Timeout)),
        }
    };
    let call = RegisterCall::Read;
    client.perform::<Register<Option<u64>>, ClientError>(call, read).await.map(drop)
}
