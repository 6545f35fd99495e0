//! A repository that hands out what it holds, as those in the memory of a tutorial do: to change
//! what was loaded changes what is kept. A unit of work that is rolled back forgets its list of
//! changes, and takes back none of them. And a list of what is new that takes in nothing which it
//! has already: of two entries that are alike, and have no number yet, it keeps one.

use super::recovery::text;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario, Tolerance};
use squall_env::platform::BindError;
use squall_env::request::{Caller, Responder};
use squall_env::{Env, Port, Shown, View};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The property that breaks.
const CONSERVED: &str = "no money is made or lost";

/// What is on each account at first, in minor units.
const FIRST: u64 = 10_000;

const ACCOUNTS: u64 = 3;

/// More than this may be on no account.
const MOST: u64 = 12_000;

/// How many transfers each customer asks for.
const TRANSFERS: u64 = 6;

const ANSWER_MAX: Duration = Duration::from_millis(300);

const PORT: Port = Port::named("bank");

/// A repository of what it holds.
pub fn hands_out() -> Scenario {
    scenario("specimen/repository-hands-out-what-it-holds", Flaw::HandsOut).breaks(CONSERVED)
}

/// A list of what is new that compares.
pub fn compares() -> Scenario {
    scenario("specimen/unit-of-work-takes-alike-for-the-same", Flaw::Compares).breaks(CONSERVED)
}

/// A repository of copies, which keeps what is committed.
pub fn copies() -> Scenario {
    scenario("repository/copies", Flaw::None)
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// To change what was loaded changes what is kept.
    HandsOut,
    /// Of two entries that are alike one is kept.
    Compares,
    /// Nothing.
    None,
}

fn scenario(name: &str, flaw: Flaw) -> Scenario {
    Scenario::new(name)
        .nodes("bank", 1..=1, move |env| serve(env, flaw))
        .clients("customer", 2..=2, load)
        .tolerates(Tolerance::nothing())
        .always(CONSERVED, || conserved)
        .sometimes("a transfer was rolled back")
        .finishes_within(Duration::from_secs(10))
}

fn conserved(view: &View<'_>) -> Result<(), String> {
    let mut sums = view.up::<Bank>().map(|bank| bank.repository.sum());
    match sums.find(|sum| *sum != ACCOUNTS * FIRST) {
        None => Ok(()),
        Some(sum) => Err(format!("there were {}, and there are {sum}", ACCOUNTS * FIRST)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Account {
    id: u64,
    balance: u64,
}

/// An account that was loaded.
type Loaded = Arc<Mutex<Account>>;

fn read(account: &Loaded) -> Account {
    *account.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(account: &Loaded, change: impl FnOnce(&mut Account)) {
    change(&mut account.lock().unwrap_or_else(PoisonError::into_inner));
}

struct Repository {
    accounts: BTreeMap<u64, Loaded>,
    hands_out: bool,
}

impl Repository {
    fn get(&self, id: u64) -> Option<Loaded> {
        let held = self.accounts.get(&id)?;
        Some(if self.hands_out { Arc::clone(held) } else { Arc::new(Mutex::new(read(held))) })
    }

    fn put(&mut self, account: Loaded) {
        self.accounts.insert(read(&account).id, account);
    }

    fn sum(&self) -> u64 {
        self.accounts.values().map(|account| read(account).balance).sum()
    }
}

struct Bank {
    repository: Repository,
    flaw: Flaw,
}

/// So much more, or less, on this account. It has a number once it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    account: u64,
    amount: i64,
}

/// Takes this much from that account to the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Transfer {
    from: u64,
    to: u64,
    amount: u64,
    in_halves: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, thiserror::Error)]
enum Refused {
    #[error("there is no such account")]
    Unknown,
    #[error("there is not enough")]
    Insufficient,
    #[error("there would be too much")]
    TooMuch,
}

/// What is to be kept of one transfer.
#[derive(Default)]
struct UnitOfWork {
    new: Vec<Entry>,
    dirty: Vec<Loaded>,
}

impl UnitOfWork {
    fn commit(self, bank: &mut Bank) {
        self.dirty.into_iter().for_each(|account| bank.repository.put(account));
        for Entry { account, amount } in self.new {
            let Some(account) = bank.repository.accounts.get(&account) else { continue };
            write(account, |account| {
                account.balance = account.balance.saturating_add_signed(amount);
            });
        }
    }

    fn register_new(&mut self, entry: Entry, flaw: Flaw) {
        if flaw != Flaw::Compares || !self.new.contains(&entry) {
            self.new.push(entry);
        }
    }

    /// The amount leaves one account as it is, and comes to the other in two halves.
    fn in_halves(&mut self, bank: &Bank, transfer: Transfer) -> Result<(), Refused> {
        let Transfer { from, to, amount, .. } = transfer;
        let balance = |id| bank.repository.get(id).map(|loaded| read(&loaded).balance);
        balance(from).ok_or(Refused::Unknown)?.checked_sub(amount).ok_or(Refused::Insufficient)?;
        if balance(to).ok_or(Refused::Unknown)? + amount > MOST {
            return Err(Refused::TooMuch);
        }
        let (first, second) = ((amount / 2) as i64, amount.div_ceil(2) as i64);
        self.register_new(Entry { account: from, amount: -(first + second) }, bank.flaw);
        self.register_new(Entry { account: to, amount: first }, bank.flaw);
        self.register_new(Entry { account: to, amount: second }, bank.flaw);
        Ok(())
    }

    /// What was registered is not kept.
    fn roll_back(mut self) {
        self.new.clear();
        self.dirty.clear();
    }

    fn transfer(&mut self, bank: &Bank, transfer: Transfer) -> Result<(), Refused> {
        let from = bank.repository.get(transfer.from).ok_or(Refused::Unknown)?;
        let left = read(&from).balance.checked_sub(transfer.amount);
        let left = left.ok_or(Refused::Insufficient)?;
        write(&from, |from| from.balance = left);
        self.dirty.push(from);
        let to = bank.repository.get(transfer.to).ok_or(Refused::Unknown)?;
        let sum = read(&to).balance + transfer.amount;
        if sum > MOST {
            return Err(Refused::TooMuch);
        }
        write(&to, |to| to.balance = sum);
        self.dirty.push(to);
        Ok(())
    }
}

async fn serve(env: Env, flaw: Flaw) -> Result<(), String> {
    let mut asked = Responder::<Transfer, Result<(), Refused>>::open(&env, PORT).map_err(text)?;
    let account = |id| (id, Arc::new(Mutex::new(Account { id, balance: FIRST })));
    let accounts = (0..ACCOUNTS).map(account).collect();
    let repository = Repository { accounts, hands_out: flaw == Flaw::HandsOut };
    let bank: Shown<Bank> = env.show("bank", Bank { repository, flaw });
    env.ready();
    loop {
        let (transfer, back) = asked.receive().await.map_err(text)?;
        let mut unit = UnitOfWork::default();
        let done = bank.update(&env, |bank| {
            let done = match transfer.in_halves {
                true => unit.in_halves(bank, transfer),
                false => unit.transfer(bank, transfer),
            };
            match done {
                Ok(()) => unit.commit(bank),
                Err(_) => unit.roll_back(),
            }
            done
        });
        if done.is_err() {
            env.sometimes("a transfer was rolled back");
        }
        back.reply(done);
    }
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let caller = Caller::<Transfer, Result<(), Refused>>::open(&env)?;
    let bank = env.addresses("bank", PORT)[0];
    while let Some(operation) = client.next_operation(TRANSFERS) {
        env.sleep(Duration::from_micros(operation.draw(0, 50_000))).await;
        let from = operation.draw(1, ACCOUNTS);
        let to = (from + 1 + operation.draw(2, ACCOUNTS - 1)) % ACCOUNTS;
        let (amount, in_halves) = (100 + operation.draw(3, 3_000), operation.draw(4, 2) == 0);
        let transfer = Transfer { from, to, amount, in_halves };
        let _ = caller.call(bank, transfer, ANSWER_MAX).await;
    }
    client.after_heal().await;
    Ok(())
}
