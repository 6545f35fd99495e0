//! Money that clients move between accounts, as units of work: both accounts change or none, and
//! nobody decides on what is no longer so.

use super::faults_and_losses;
use squall::{Client, Scenario};
use squall_env::View;
use squall_protocols::specification::{Field, Row, Specification, Table};
use squall_protocols::unit_of_work::{
    Entity, RemoteTables, TablesMachine, UnitError, UnitOfWork, serve,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, PartialEq, Debug)]
struct Account {
    id: String,
    balance: i64,
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
        Some(Account { id: key.to_owned(), balance: row.first()?.as_ref()?.integer()? })
    }
}

/// What has to hold.
pub(crate) const PROPERTY: &str = "no money is made or lost";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/unit_of_work")
        .nodes("store", 1..=1, |env| serve(env, &[Account::TABLE]))
        .clients("client", 2..=3, transfer)
        .tolerates(faults_and_losses(&["store", "client"]))
        .always(PROPERTY, || {
            |view: &View<'_>| view.up::<TablesMachine>().try_for_each(|store| balanced(&store))
        })
        .finishes_within(Duration::from_secs(60))
}

fn balanced(store: &TablesMachine) -> Result<(), String> {
    let all = store.tables().find(Account::TABLE.name, &Specification::everything());
    let all = all.map_err(|error| error.to_string())?;
    let account = |(key, stored): &(String, _)| -> Option<Account> {
        let stored: &squall_protocols::unit_of_work::Stored = stored;
        Account::from_row(key, &stored.row)
    };
    let sum: i64 = all.iter().filter_map(account).map(|account| account.balance).sum();
    match all.is_empty() || sum == 200 {
        true => Ok(()),
        false => Err(format!("there are {sum}")),
    }
}

async fn transfer(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let store = RemoteTables::open(&env, env.peers("store")[0], Duration::from_secs(2));
    let mut unit = UnitOfWork::new(&env, Arc::new(store.map_err(|error| error.to_string())?));
    while let Some(operation) = client.next_operation(8) {
        let amount = operation.draw(0, 50) as i64;
        // What nobody knows the fate of is asked for again before there is something new.
        while unit.is_in_doubt() && unit.commit().await.is_err() {}
        if move_money(&mut unit, amount).await.is_err() && !unit.is_in_doubt() {
            unit.rollback();
        }
    }
    Ok(())
}

async fn move_money(unit: &mut UnitOfWork, amount: i64) -> Result<(), UnitError> {
    let (from, to) = (unit.get::<Account>("from").await?, unit.get::<Account>("to").await?);
    match (from, to) {
        (Some(mut from), Some(mut to)) => {
            (from.balance, to.balance) = (from.balance - amount, to.balance + amount);
            unit.update(&from)?;
            unit.update(&to)?;
        }
        _ => {
            unit.add(&Account { id: "from".to_owned(), balance: 200 })?;
            unit.add(&Account { id: "to".to_owned(), balance: 0 })?;
        }
    }
    unit.commit().await.map(drop)
}
