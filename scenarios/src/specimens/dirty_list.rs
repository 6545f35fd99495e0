//! The unit of work of tutorials: a list of what is dirty, which a commit writes one by
//! one over whatever is there. Between two writes the money of a transfer is nowhere, a
//! crash of the writer or a store that does not answer leaves it so, and of two who have read the
//! same the last one wins.

use crate::unit_of_work::{Bank, Call, MONEY, Told, load, scenario};
use squall::{Client, Scenario};
use squall_env::Env;
use squall_protocols::unit_of_work::contract::Account;
use squall_protocols::unit_of_work::{
    Batch, Change, CommitError, Entity, RemoteTables, StoreError, TableStore, UnitOfWork, Write,
};
use std::sync::Arc;
use std::time::Duration;

/// How many transfers each client makes.
const TRANSFERS: u64 = 12;

/// Transfers by a unit of work that is a list.
pub fn dirty_list() -> Scenario {
    let specimen = Scenario::new("specimen/dirty-list").breaks(MONEY);
    scenario(specimen.clients("client", 2..=4, workload))
}

/// What is to be written, in the order in which it will be. The lists of what is new and of what is
/// removed, which a transfer does not need, are like it.
struct DirtyList {
    store: Arc<RemoteTables>,
    dirty: Vec<Account>,
}

impl DirtyList {
    fn new(store: Arc<RemoteTables>) -> DirtyList {
        DirtyList { store, dirty: Vec::new() }
    }

    async fn get(&self, id: &str) -> Result<Option<Account>, StoreError> {
        let read = self.store.get(Account::TABLE.name, id).await?;
        Ok(read.found.and_then(|stored| Account::from_row(id, &stored.row)))
    }

    fn register_dirty(&mut self, account: Account) {
        if !self.dirty.contains(&account) {
            self.dirty.push(account);
        }
    }

    async fn commit(&mut self, env: &Env) -> Result<(), CommitError> {
        for account in &self.dirty {
            self.write(env, account).await?;
        }
        self.rollback();
        Ok(())
    }

    fn rollback(&mut self) {
        self.dirty.clear();
    }

    /// Writes over what is there, as a store does that knows no versions.
    async fn write(&self, env: &Env, account: &Account) -> Result<(), CommitError> {
        loop {
            let read = self.store.get(Account::TABLE.name, &account.id).await?;
            let row = account.to_row();
            let change = match read.found.map(|stored| stored.version) {
                None => Change::Insert { row },
                Some(version) => Change::Update { version, row },
            };
            let (table, key) = (Account::TABLE.name.to_owned(), account.id.clone());
            let batch = Batch {
                id: u128::from(env.random()),
                since: read.sequence,
                writes: vec![Write { table, key, change }],
                messages: Vec::new(),
            };
            match self.store.commit(&batch).await {
                Err(CommitError::Conflict { .. } | CommitError::Exists { .. }) => {}
                other => return other.map(drop),
            }
        }
    }
}

async fn workload(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let mut unit = DirtyList::new(load::store(&env)?);
    // The accounts are opened as one: only what comes behind is the unit of work's own doing.
    let mut opening = UnitOfWork::new(&env, load::store(&env)?);
    while load::open_accounts(&mut opening).await.is_err() {}
    while let Some(operation) = client.next_operation(TRANSFERS) {
        env.sleep(Duration::from_micros(operation.draw(4, 50_000))).await;
        let (from, to, amount) = load::drawn(operation);
        let work = async {
            let made = transfer(&mut unit, &env, (from, to), amount).await;
            if made.is_err() {
                unit.rollback();
            }
            made
        };
        // What came of it is recorded.
        let call = Call::Transfer(from, to, amount);
        let _ = client.perform::<Bank, CommitError>(call, work).await;
    }
    client.after_heal().await;
    Ok(())
}

async fn transfer(
    unit: &mut DirtyList,
    env: &Env,
    (from, to): (u8, u8),
    amount: i64,
) -> Result<Told, CommitError> {
    let (debtor, creditor) = (load::key(from), load::key(to));
    let debtor = unit.get(&debtor).await?.unwrap_or(Account { id: debtor, balance: 0 });
    let creditor = unit.get(&creditor).await?.unwrap_or(Account { id: creditor, balance: 0 });
    if debtor.balance < amount {
        return Ok(Told::Insufficient(debtor.balance));
    }
    unit.register_dirty(Account { balance: debtor.balance - amount, ..debtor });
    unit.register_dirty(Account { balance: creditor.balance + amount, ..creditor });
    unit.commit(env).await?;
    Ok(Told::Transferred)
}
