//! What every [`TableStore`] has to do, as checks that any of them can be put to.

use super::{
    Batch, Change, CommitError, Entity, Message, REMEMBERED_MAX, StoreError, TableStore, UnitError,
    UnitOfWork, Write,
};
use crate::specification::{Field, Row, Specification, Table, Value, field};
use squall_env::{Env, HasOutcome, Outcome};
use std::sync::Arc;

/// The tables of a store that is put to the contract.
pub const SCHEMA: &[Table] = &[Product::TABLE, Account::TABLE];

/// What a shop sells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Product {
    /// Its number.
    pub id: String,
    /// What it is called, if it has a name yet.
    pub name: Option<String>,
    /// What it costs, in cents.
    pub price: i64,
    /// How many there are.
    pub stock: i64,
}

/// An account, whose balance is in cents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its number.
    pub id: String,
    /// What is on it.
    pub balance: i64,
}

impl Entity for Product {
    const TABLE: Table = Table {
        name: "products",
        fields: &[Field::text("name"), Field::integer("price"), Field::integer("stock")],
    };

    fn key(&self) -> String {
        self.id.clone()
    }

    fn to_row(&self) -> Row {
        let name = self.name.clone().map(Value::from);
        vec![name, Some(self.price.into()), Some(self.stock.into())]
    }

    fn from_row(key: &str, row: &Row) -> Option<Product> {
        let [name, price, stock] = row.as_slice() else { return None };
        let name = name.as_ref().and_then(Value::text).map(str::to_owned);
        let (price, stock) = (price.as_ref()?.integer()?, stock.as_ref()?.integer()?);
        Some(Product { id: key.to_owned(), name, price, stock })
    }
}

impl Entity for Account {
    const TABLE: Table = Table { name: "accounts", fields: &[Field::integer("balance")] };

    fn key(&self) -> String {
        self.id.clone()
    }

    fn to_row(&self) -> Row {
        vec![Some(self.balance.into())]
    }

    fn from_row(key: &str, row: &Row) -> Option<Account> {
        let balance = row.first()?.as_ref()?.integer()?;
        Some(Account { id: key.to_owned(), balance })
    }
}

/// Why a transfer was not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransferError {
    /// There is no such account.
    #[error("there is no account {0:?}")]
    NoAccount(String),
    /// There is less on the account.
    #[error("there are {0} on the account")]
    Insufficient(i64),
    /// An account cannot hold so much.
    #[error("the account would hold too much")]
    Overflow,
    /// The unit of work says so.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

impl HasOutcome for TransferError {
    fn outcome(&self) -> Outcome {
        match self {
            TransferError::Unit(error) => error.outcome(),
            _ => Outcome::NotDone,
        }
    }
}

/// Transfers an amount: debit, credit and the message about it are committed as one, and whatever
/// keeps that from being done leaves nothing of it.
///
/// # Errors
/// [`TransferError`]. The amount was not transferred, unless its outcome is indeterminate: then
/// the commit is in doubt.
pub async fn transfer(
    unit: &mut UnitOfWork,
    (from, to): (&str, &str),
    amount: i64,
    message: &[u8],
) -> Result<(), TransferError> {
    let prepared = prepare(unit, (from, to), amount, message).await;
    if prepared.is_err() {
        unit.rollback();
    }
    prepared?;
    unit.commit().await?;
    Ok(())
}

async fn prepare(
    unit: &mut UnitOfWork,
    (from, to): (&str, &str),
    amount: i64,
    message: &[u8],
) -> Result<(), TransferError> {
    // The debit comes first, so that there is something to roll back.
    let mut debtor = account(unit, from).await?;
    let before = debtor.balance;
    debtor.balance = before.checked_sub(amount).ok_or(TransferError::Overflow)?;
    unit.update(&debtor)?;
    unit.send("transferred", message.to_vec())?;
    let mut creditor = account(unit, to).await?;
    creditor.balance = creditor.balance.checked_add(amount).ok_or(TransferError::Overflow)?;
    unit.update(&creditor)?;
    if before < amount { Err(TransferError::Insufficient(before)) } else { Ok(()) }
}

async fn account(unit: &mut UnitOfWork, id: &str) -> Result<Account, TransferError> {
    unit.get(id).await?.ok_or_else(|| TransferError::NoAccount(id.to_owned()))
}

/// Puts an empty store with the tables of [`SCHEMA`] to all checks.
///
/// # Errors
/// What does not hold.
pub async fn holds(env: &Env, store: Arc<dyn TableStore>) -> Result<(), String> {
    let unit = || UnitOfWork::new(env, Arc::clone(&store));
    repositories(&mut unit()).await?;
    conflicts(&mut unit(), &mut unit()).await?;
    transfers(&mut unit()).await?;
    new_and_removed(&mut unit()).await?;
    specifications(&mut unit()).await?;
    batches(&*store).await?;
    refusals(&*store).await?;
    malformed(&*store).await?;
    outbox(&*store).await?;
    oblivion(&*store).await
}

/// Checks a store that has [held](holds) and was opened anew.
///
/// # Errors
/// What was not kept.
pub async fn is_kept(env: &Env, store: Arc<dyn TableStore>) -> Result<(), String> {
    let mut unit = UnitOfWork::new(env, Arc::clone(&store));
    let accounts: Vec<Account> = unit.find(&Specification::everything()).await.map_err(text)?;
    let expected = [account_of("alice", 70), account_of("bob", 80)];
    ensure(accounts == expected, "what was committed is not kept")?;
    // The last batch is still known by its id.
    let again = store.commit(&empty(OBLIVION + u128::from(REMEMBERED_MAX))).await;
    ensure(again == store.sequence().await.map_err(CommitError::from), "a batch is forgotten")
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn apples() -> Product {
    Product { id: "p-1".to_owned(), name: Some("apples".to_owned()), price: 250, stock: 10 }
}

fn account_of(id: &str, balance: i64) -> Account {
    Account { id: id.to_owned(), balance }
}

async fn repositories(unit: &mut UnitOfWork) -> Result<(), String> {
    ensure(unit.get::<Product>("p-1").await.map_err(text)?.is_none(), "an empty store has rows")?;
    let missing = unit.update(&apples());
    ensure(matches!(missing, Err(UnitError::Missing { .. })), "what is missing was updated")?;
    let missing = unit.remove::<Product>("p-1");
    ensure(matches!(missing, Err(UnitError::Missing { .. })), "what is missing was removed")?;
    let unread = unit.remove::<Product>("p-2");
    ensure(matches!(unread, Err(UnitError::Unread { .. })), "what was not read was removed")?;
    unit.add(&apples()).map_err(text)?;
    let twice = unit.add(&apples());
    ensure(matches!(twice, Err(UnitError::Exists { .. })), "the same was added twice")?;
    unit.commit().await.map_err(text)?;
    // A copy that was handed out is nobody's business until it is registered.
    let mut copy = unit.get::<Product>("p-1").await.map_err(text)?.ok_or("it was not added")?;
    ensure(copy == apples(), "something else was added")?;
    copy.stock = 0;
    ensure(unit.get("p-1").await.map_err(text)? == Some(apples()), "a copy is shared")?;
    unit.update(&copy).map_err(text)?;
    ensure(unit.get("p-1").await.map_err(text)? == Some(copy), "a change is not seen")?;
    unit.rollback();
    ensure(unit.get("p-1").await.map_err(text)? == Some(apples()), "a rollback leaves part")?;
    unit.rollback();
    // Added by somebody who does not know that it is there.
    unit.add(&apples()).map_err(text)?;
    let refused = unit.commit().await;
    let exists = matches!(refused, Err(UnitError::Commit(CommitError::Exists { .. })));
    ensure(exists, "what is there was overwritten")?;
    unit.get::<Product>("p-1").await.map_err(text)?;
    unit.remove::<Product>("p-1").map_err(text)?;
    unit.commit().await.map_err(text)?;
    ensure(unit.get::<Product>("p-1").await.map_err(text)?.is_none(), "it was not removed")?;
    unit.rollback();
    Ok(())
}

async fn conflicts(one: &mut UnitOfWork, other: &mut UnitOfWork) -> Result<(), String> {
    one.add(&account_of("alice", 100)).map_err(text)?;
    one.add(&account_of("bob", 50)).map_err(text)?;
    one.commit().await.map_err(text)?;
    for unit in [&mut *one, &mut *other] {
        let mut alice: Account = unit.get("alice").await.map_err(text)?.ok_or("no alice")?;
        alice.balance += 1;
        unit.update(&alice).map_err(text)?;
    }
    one.commit().await.map_err(text)?;
    let refused = other.commit().await;
    let conflict = matches!(refused, Err(UnitError::Commit(CommitError::Conflict { .. })));
    ensure(conflict, "an update was lost")?;
    let mut alice: Account = other.get("alice").await.map_err(text)?.ok_or("no alice")?;
    ensure(alice.balance == 101, "what is read after a conflict is stale")?;
    // What was only read is checked, too.
    let bob: Account = one.get("bob").await.map_err(text)?.ok_or("no bob")?;
    ensure(bob.balance == 50, "bob has another balance")?;
    alice.balance = 100;
    other.update(&alice).map_err(text)?;
    other.commit().await.map_err(text)?;
    let read: Option<Account> = one.get("alice").await.map_err(text)?;
    ensure(read == Some(alice.clone()), "the change is not there")?;
    let read = other.get::<Account>("alice").await.map_err(text)?;
    other.update(&Account { balance: 99, ..alice.clone() }).map_err(text)?;
    other.commit().await.map_err(text)?;
    one.update(&Account { balance: 0, ..bob }).map_err(text)?;
    ensure(one.commit().await.is_err(), "a commit rests on what was changed meanwhile")?;
    other.get::<Account>("alice").await.map_err(text)?;
    other.update(&read.ok_or("no alice")?).map_err(text)?;
    other.commit().await.map(drop).map_err(text)
}

async fn transfers(unit: &mut UnitOfWork) -> Result<(), String> {
    transfer(unit, ("alice", "bob"), 30, b"30").await.map_err(text)?;
    let insufficient = transfer(unit, ("alice", "bob"), 71, b"71").await;
    ensure(insufficient == Err(TransferError::Insufficient(70)), "an account is overdrawn")?;
    let nobody = transfer(unit, ("alice", "carol"), 1, b"1").await;
    ensure(nobody == Err(TransferError::NoAccount("carol".to_owned())), "carol has got it")?;
    let found: Vec<Account> = unit.find(&Specification::everything()).await.map_err(text)?;
    let expected = [account_of("alice", 70), account_of("bob", 80)];
    ensure(found == expected, "a transfer that was not made left something")?;
    unit.rollback();
    Ok(())
}

async fn new_and_removed(unit: &mut UnitOfWork) -> Result<(), String> {
    unit.add(&account_of("dora", 1)).map_err(text)?;
    unit.remove::<Account>("dora").map_err(text)?;
    let nothing = unit.commit().await.map_err(text)?;
    ensure(nothing.is_none(), "what was added and removed was committed")?;
    let none = unit.get::<Account>("dora").await.map_err(text)?;
    ensure(none.is_none(), "what was added and removed is there")?;
    unit.rollback();
    Ok(())
}

async fn specifications(unit: &mut UnitOfWork) -> Result<(), String> {
    for (id, name, price) in [("a", Some("ant"), 1), ("b", None, 2), ("c", Some("cat"), 3)] {
        let name = name.map(str::to_owned);
        unit.add(&Product { id: id.to_owned(), name, price, stock: 0 }).map_err(text)?;
    }
    unit.commit().await.map_err(text)?;
    let not_ant = !field("name").is("ant");
    for (rule, expected) in [
        (field("price").at_least(2), vec!["b", "c"]),
        (not_ant.clone(), vec!["c"]),
        (not_ant.or(field("name").is_missing()), vec!["b", "c"]),
        (field("name").is("' OR ''='"), vec![]),
    ] {
        let found: Vec<Product> = unit.find(&rule).await.map_err(text)?;
        let found: Vec<&str> = found.iter().map(|product| product.id.as_str()).collect();
        ensure(found == expected, "a specification finds others")?;
        unit.rollback();
    }
    let unknown = unit.find::<Product>(&field("cost").is(1)).await;
    let unknown = matches!(unknown, Err(UnitError::Store(StoreError::Specification(_))));
    ensure(unknown, "a field that is not there was found")?;
    unit.find::<Product>(&Specification::everything()).await.map_err(text)?;
    for id in ["a", "b", "c"] {
        unit.remove::<Product>(id).map_err(text)?;
    }
    let rest = unit.find::<Product>(&Specification::everything()).await.map_err(text)?;
    ensure(rest.is_empty(), "what is removed is still found")?;
    unit.commit().await.map(drop).map_err(text)
}

fn empty(id: u128) -> Batch {
    Batch { id, since: 0, writes: Vec::new(), messages: Vec::new() }
}

fn write(key: &str, change: Change) -> Write {
    Write { table: Account::TABLE.name.to_owned(), key: key.to_owned(), change }
}

fn insert(key: &str) -> Write {
    write(key, Change::Insert { row: vec![Some(1.into())] })
}

/// The version of an account, or zero.
async fn version(store: &dyn TableStore, key: &str) -> Result<u64, String> {
    let read = store.get(Account::TABLE.name, key).await.map_err(text)?;
    Ok(read.found.map_or(0, |stored| stored.version))
}

async fn batches(store: &dyn TableStore) -> Result<(), String> {
    let batch = Batch { writes: vec![insert("erin")], ..empty(1) };
    let number = store.commit(&batch).await.map_err(text)?;
    ensure(store.commit(&batch).await == Ok(number), "a batch that came again was not known")?;
    ensure(version(store, "erin").await? == number, "a version is no batch's number")?;
    // Of a batch that is refused nothing is left, whatever stands before what is wrong.
    let delete = write("erin", Change::Delete { version: number });
    let wrong = write("alice", Change::Delete { version: number });
    let both = Batch { writes: vec![delete.clone(), wrong], ..empty(2) };
    let refused = store.commit(&both).await;
    ensure(matches!(refused, Err(CommitError::Conflict { .. })), "a version is not checked")?;
    ensure(version(store, "erin").await? == number, "a part of a refused batch is done")?;
    let deleted = store.commit(&Batch { writes: vec![delete], ..empty(3) }).await.map_err(text)?;
    ensure(deleted > number, "numbers go back")?;
    let again = Batch { writes: vec![insert("erin")], ..empty(4) };
    let again = store.commit(&again).await.map_err(text)?;
    let stale = write("erin", Change::Update { version: number, row: vec![None] });
    let stale = store.commit(&Batch { writes: vec![stale], ..empty(5) }).await;
    let conflict = matches!(stale, Err(CommitError::Conflict { .. }));
    ensure(conflict, "a row was taken for an earlier one with its key")?;
    let delete = write("erin", Change::Delete { version: again });
    store.commit(&Batch { writes: vec![delete], ..empty(6) }).await.map(drop).map_err(text)
}

/// A late copy of a batch that was refused must stay refused.
async fn refusals(store: &dyn TableStore) -> Result<(), String> {
    let first = Batch { writes: vec![insert("finn")], ..empty(10) };
    let number = store.commit(&first).await.map_err(text)?;
    let second = Batch { writes: vec![insert("finn")], ..empty(11) };
    let absent = write("finn", Change::Check { version: None });
    let third = Batch { writes: vec![absent, insert("gil")], ..empty(12) };
    let refused = (store.commit(&second).await, store.commit(&third).await);
    ensure(refused.0.is_err() && refused.1.is_err(), "what is there was added")?;
    let delete = write("finn", Change::Delete { version: number });
    store.commit(&Batch { writes: vec![delete], ..empty(13) }).await.map_err(text)?;
    let copies = (store.commit(&second).await, store.commit(&third).await);
    ensure(copies == refused, "a copy of a refused batch was done")
}

async fn malformed(store: &dyn TableStore) -> Result<(), String> {
    let row = |row: Row| write("hal", Change::Insert { row });
    let unknown = Write { table: "nothing".to_owned(), ..insert("hal") };
    for (id, writes) in [
        (20, vec![row(vec![])]),
        (21, vec![row(vec![Some("text".into())])]),
        (22, vec![insert("hal"), insert("hal")]),
        (23, vec![unknown]),
    ] {
        let refused = store.commit(&Batch { writes, ..empty(id) }).await;
        let malformed = matches!(refused, Err(CommitError::Malformed { .. }));
        ensure(malformed, "a batch was taken that makes no sense")?;
    }
    ensure(version(store, "hal").await? == 0, "a malformed batch left something")?;
    let unknown = store.get("nothing", "hal").await;
    ensure(unknown == Err(StoreError::UnknownTable("nothing".to_owned())), "an unknown table")
}

async fn outbox(store: &dyn TableStore) -> Result<(), String> {
    let all = store.outbox(0, 100).await.map_err(text)?;
    let bodies: Vec<&[u8]> = all.iter().map(|waiting| waiting.message.body.as_slice()).collect();
    ensure(bodies == [b"30"], "other than what was committed waits in the outbox")?;
    let said = |body: &[u8]| Message { topic: "said".to_owned(), body: body.to_vec() };
    let batch = Batch { messages: vec![said(b"one"), said(b"two")], ..empty(30) };
    store.commit(&batch).await.map_err(text)?;
    store.commit(&batch).await.map_err(text)?;
    let first = all.first().ok_or("nothing waits")?.position;
    let next = store.outbox(first, 1).await.map_err(text)?;
    ensure(next.len() == 1 && next[0].message == said(b"one"), "messages are out of order")?;
    store.relayed(next[0].position).await.map_err(text)?;
    let rest = store.outbox(0, 100).await.map_err(text)?;
    ensure(rest.len() == 1 && rest[0].message == said(b"two"), "a message came twice or never")?;
    store.relayed(rest[0].position).await.map_err(text)?;
    store.commit(&Batch { messages: vec![said(b"three")], ..empty(31) }).await.map_err(text)?;
    let last = store.outbox(rest[0].position, 100).await.map_err(text)?;
    ensure(last.len() == 1, "a position was used again")
}

/// The ids of the batches that make a store forget earlier ones.
const OBLIVION: u128 = 1_000;

/// A store that forgets batches refuses those that it may have forgotten.
async fn oblivion(store: &dyn TableStore) -> Result<(), String> {
    let begun = store.sequence().await.map_err(text)?;
    for id in 0..=u128::from(REMEMBERED_MAX) {
        let batch = Batch { since: begun, ..empty(OBLIVION + id) };
        store.commit(&batch).await.map_err(text)?;
    }
    let old = Batch { since: begun, ..empty(OBLIVION) };
    ensure(store.commit(&old).await == Err(CommitError::Forgotten), "a forgotten batch was done")
}
