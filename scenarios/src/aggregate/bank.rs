//! Accounts in an event store, and tellers who move money between them: some of an old release,
//! whose snapshots hold other things.

use super::books::{Asked, BOOKS, Bank, Heard, verdict};
use crate::event_store::{SETTLE, properties, tolerance};
use squall::{Client, Operation, Scenario};
use squall_env::codec;
use squall_env::platform::BindError;
use squall_env::{Env, HasOutcome, Outcome};
use squall_protocols::aggregate::bank::{Account, BankError, Command, Event};
use squall_protocols::aggregate::{
    Aggregate, FileSnapshots, Repository, RepositoryError, Settings,
};
use squall_protocols::event_store::{
    EventStore, EventStoreError, Filter, Position, RecordedEvent, RemoteStore, SegmentConfig,
    ServeError, serve,
};
use std::sync::Arc;
use std::time::Duration;

/// How many operations each teller does while there are faults.
const OPERATIONS: u64 = 14;

/// How many accounts there are.
const ACCOUNTS: u64 = 3;

/// What each is opened with, in cents.
const OPENED_WITH: u64 = 15_000;

/// How long one request may take.
const REQUEST_MAX: Duration = Duration::from_millis(1_200);

/// How often a transfer is sent again of which nobody knows whether it was done.
const FINISH_MAX: u32 = 4;

/// Tellers who move money between accounts, each with snapshots on a disk of its own.
pub fn bank() -> Scenario {
    let scenario = Scenario::new("aggregate/bank")
        .nodes("store", 1..=1, store)
        .clients("client", 2..=3, tell)
        .tolerates(tolerance());
    properties(scenario)
        .sometimes("a snapshot was taken")
        .sometimes("a snapshot was used")
        .sometimes("a snapshot was of another schema")
        .sometimes("a decision was made anew")
        .sometimes("a transfer was sent again")
        .sometimes("an account had not enough funds")
        .check(Bank::new(BOOKS, verdict))
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, name: &str| bank().mutant(name, switch, BOOKS);
    vec![
        mutant("aggregate/uses-snapshot-of-old-schema", "mutant/aggregate-uses-old-snapshot"),
        mutant("aggregate/keeps-what-was-not-recorded", "mutant/aggregate-keeps-what-was-refused"),
        mutant("aggregate/stays-at-its-version", "mutant/aggregate-stays-at-its-version"),
        mutant("event_store/appends-without-expected-version", "mutant/aggregate-loses-updates"),
        mutant("event_store/batch-in-parts", "mutant/aggregate-moves-money-in-parts"),
    ]
}

async fn store(env: Env) -> Result<(), ServeError> {
    let config = SegmentConfig { segment_bytes_max: 4096, recent_ids_max: 4 };
    serve(env, "events", config).await
}

/// The account as an old release kept it in snapshots: what is on it stood behind how often it had
/// moved.
#[derive(Clone, Default)]
struct OldAccount(Account);

impl OldAccount {
    /// The snapshot with the two exchanged.
    fn exchanged(account: &Account) -> Vec<u8> {
        let fields = (account.status(), account.movements(), account.balance());
        let mut frame = Vec::new();
        codec::encode(&fields, &mut frame).expect("numbers fit in a frame");
        // The body of a frame, behind its checksum and length.
        frame.split_off(8)
    }
}

impl Aggregate for OldAccount {
    type Command = Command;
    type Event = Event;
    type Error = BankError;
    const SNAPSHOT: Option<&'static str> = Some("account: status, movements, balance in cents");

    fn decide(&self, command: &Command) -> Result<Vec<Event>, BankError> {
        self.0.decide(command)
    }

    fn evolve(&mut self, event: &Event) {
        self.0.evolve(event);
    }

    fn save(&self) -> Vec<u8> {
        OldAccount::exchanged(&self.0)
    }

    fn restore(snapshot: &[u8]) -> Option<OldAccount> {
        let exchanged = Account::restore(snapshot)?;
        Account::restore(&OldAccount::exchanged(&exchanged)).map(OldAccount)
    }
}

/// What both releases show of an account.
trait Shows {
    fn account(&self) -> &Account;
}

impl Shows for Account {
    fn account(&self) -> &Account {
        self
    }
}

impl Shows for OldAccount {
    fn account(&self) -> &Account {
        &self.0
    }
}

/// A teller. Each time it starts it may be of the old release or of the new one.
async fn tell(client: Client) -> Result<(), BindError> {
    match client.env().random_below(2) {
        0 => Teller::<OldAccount>::open(client)?.work().await,
        _ => Teller::<Account>::open(client)?.work().await,
    }
    Ok(())
}

type Failed = RepositoryError<BankError>;

struct Teller<A: Aggregate> {
    client: Client,
    store: Arc<RemoteStore>,
    accounts: Repository<A>,
}

impl<A> Teller<A>
where
    A: Aggregate<Command = Command, Event = Event, Error = BankError> + Shows,
{
    fn open(client: Client) -> Result<Teller<A>, BindError> {
        let env = client.env();
        let store = Arc::new(RemoteStore::open(env, env.peers("store")[0], REQUEST_MAX)?);
        let of = Arc::clone(&store) as Arc<dyn EventStore>;
        let accounts = Repository::new(env, of, "account")
            .snapshots(Arc::new(FileSnapshots::new(env, "accounts")))
            .settings(Settings { snapshot_every: 2, attempts_max: 6 });
        Ok(Teller { client, store, accounts })
    }

    async fn work(&self) {
        let env = self.client.env();
        while let Some(operation) = self.client.next_operation(OPERATIONS) {
            let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 20_000 };
            env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
            let account = |argument| operation.draw(argument, ACCOUNTS);
            match operation.number() {
                // What is open already is refused.
                0..ACCOUNTS => self.open_account(&operation.number().to_string()).await,
                _ if operation.draw(1, 4) == 0 => self.load(&account(3).to_string()).await,
                _ => {
                    let distance = 1 + operation.draw(4, ACCOUNTS - 1);
                    self.transfer(operation, account(3), distance).await;
                }
            }
        }
        self.client.after_heal().await;
        // What is still on its way may be appended yet.
        env.sleep(SETTLE).await;
        for account in 0..ACCOUNTS {
            self.load(&account.to_string()).await;
        }
        while self.read_everything().await.is_err() {}
    }

    async fn open_account(&self, id: &str) {
        let customer_id = format!("customer-{id}");
        let command = Command::Open { customer_id, initial_deposit: OPENED_WITH };
        let asked = Asked::Open(self.accounts.stream(id), OPENED_WITH);
        self.ask(asked, &[(id, command)]).await;
    }

    async fn transfer(&self, operation: Operation, from: u64, distance: u64) {
        let to = ((from + distance) % ACCOUNTS).to_string();
        let from = from.to_string();
        // Nobody else moves as many cents.
        let own = u64::from(self.client.env().me().ordinal()) * OPERATIONS + operation.number();
        let cents = operation.draw(5, 60) * 100 + own + 1;
        let (source, target) = (self.accounts.stream(&from), self.accounts.stream(&to));
        let commands = [(&*from, Command::Withdraw { cents }), (&*to, Command::Deposit { cents })];
        self.ask(Asked::Move(source, target, cents), &commands).await;
    }

    /// Asks the accounts, and makes sure of what nobody knows.
    async fn ask(&self, asked: Asked, commands: &[(&str, Command)]) {
        let env = self.client.env();
        let work = async {
            let mut told = self.accounts.handle_all(commands).await.map(drop);
            for _ in 0..FINISH_MAX {
                let Err(RepositoryError::Unknown { attempt, .. }) = &told else { break };
                env.sometimes("a transfer was sent again");
                told = self.accounts.finish(attempt).await.map(drop);
            }
            match told {
                Ok(()) => Ok(Heard::Done),
                Err(error) if error.outcome() == Outcome::NotDone => {
                    if error == RepositoryError::Rejected(BankError::NotEnoughFunds) {
                        env.sometimes("an account had not enough funds");
                    }
                    Ok(Heard::Refused(error.to_string()))
                }
                Err(error) => Err(error),
            }
        };
        // What came of it is recorded.
        let _ = self.client.perform::<Bank, Failed>(asked, work).await;
    }

    async fn load(&self, id: &str) {
        let work = async {
            let loaded = self.accounts.load(id).await?;
            let account = loaded.state.account();
            Ok(Heard::Loaded(loaded.last, account.balance(), account.movements()))
        };
        let asked = Asked::Load(self.accounts.stream(id));
        let _ = self.client.perform::<Bank, Failed>(asked, work).await;
    }

    async fn read_everything(&self) -> Result<(), EventStoreError> {
        let read = async {
            let mut log: Vec<RecordedEvent> = Vec::new();
            loop {
                let after = log.last().map_or(Position(0), |event| event.position);
                let slice = self.store.read_all(after, 50, &Filter::all()).await?;
                log.extend(slice.events);
                if slice.upto == slice.head {
                    return Ok(Heard::Log(log));
                }
            }
        };
        self.client.perform::<Bank, EventStoreError>(Asked::Everything, read).await.map(drop)
    }
}
