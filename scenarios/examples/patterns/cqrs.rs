//! Deposits on one side, a balance on the other. The view is the fold of the events up to its
//! checkpoint, and whoever has paid in finds his money in what he reads.

use super::faults_and_losses;
use squall::{Client, Scenario};
use squall_env::platform::BoxFuture;
use squall_env::{Env, View, open};
use squall_protocols::cqrs::{
    ApplyError, Board, Consistency, Projection, Projector, ProjectorConfig, Query, TABLES,
    ViewWriter, Views,
};
use squall_protocols::event_store::{
    self, EventId, EventStore, Expected, NewEvent, RecordedEvent, RemoteStore, SegmentConfig,
};
use squall_protocols::specification::{Field, Row, Table};
use squall_protocols::unit_of_work::{Entity, Lookup, Rows, TableStore, TablesMachine};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);
const ACCOUNT: &str = "account-1";

/// What is on an account.
struct Balance(i64);

impl Entity for Balance {
    const TABLE: Table = Table { name: "balances", fields: &[Field::integer("cents")] };

    fn key(&self) -> String {
        ACCOUNT.to_owned()
    }

    fn to_row(&self) -> Row {
        vec![Some(self.0.into())]
    }

    fn from_row(_: &str, row: &Row) -> Option<Balance> {
        Some(Balance(row.first()?.as_ref()?.integer()?))
    }
}

struct Balances;

impl Projection for Balances {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        view: &'a mut ViewWriter<'_>,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            let cents = event.data.as_slice().try_into().map(i64::from_le_bytes);
            let cents = cents.map_err(|_| ApplyError::Poison("no amount".to_owned()))?;
            match view.rows().get::<Balance>(ACCOUNT).await? {
                Some(Balance(before)) => view.rows().update(&Balance(before + cents))?,
                None => view.rows().add(&Balance(cents))?,
            }
            Ok(())
        })
    }
}

/// What is there?
struct WhatIsThere;

impl Query for WhatIsThere {
    type Answer = i64;

    const PROJECTION: &'static str = "balances";

    fn lookups(&self, _: u32) -> Vec<Lookup> {
        vec![Lookup::get(Balance::TABLE.name, ACCOUNT)]
    }

    fn answer(&self, _: u32, found: &[Rows]) -> Option<i64> {
        let row = found.first()?.first();
        row.map_or(Some(0), |(key, stored)| Some(Balance::from_row(key, &stored.row)?.0))
    }
}

/// What was paid in, and what was then read, if it was new enough.
struct Read(i64, i64);

/// What has to hold.
pub(crate) const PROPERTY: &str = "whoever has paid in finds his money";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/cqrs")
        .nodes("events", 1..=1, |env| event_store::serve(env, "events", SegmentConfig::default()))
        .clients("bank", 1..=1, bank)
        .tolerates(faults_and_losses(&["events"]))
        .always(PROPERTY, || {
            |view: &View<'_>| match view.up::<Read>().find(|read| read.1 < read.0) {
                Some(read) => Err(format!("{} were paid in and {} read", read.0, read.1)),
                None => Ok(()),
            }
        })
        .finishes_within(Duration::from_secs(60))
}

/// Keeps the view, pays in, and reads.
async fn bank(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let schema: &'static [Table] = &[TABLES[0], TABLES[1], TABLES[2], Balance::TABLE];
    let opened = open::<TablesMachine>(&env, "tables", schema).await;
    let (tables, run) = opened.map_err(|error| error.to_string())?;
    env.spawn("tables", async move { drop(run.await) });
    let tables: Arc<dyn TableStore> = Arc::new(tables);
    let events = RemoteStore::open(&env, env.peers("events")[0], LIMIT);
    let events: Arc<dyn EventStore> = Arc::new(events.map_err(|error| error.to_string())?);
    let board = Board::new(&env);
    let stores = (Arc::clone(&events), Arc::clone(&tables));
    let config = ProjectorConfig::default();
    let mut projector = Projector::new(&env, stores, Arc::new(Balances), config, &board);
    env.spawn("projector", async move { drop(projector.run().await) });
    pay_in(&client, &env, events.as_ref(), &Views::new(&env, tables, &board)).await;
    Ok(())
}

async fn pay_in(client: &Client, env: &Env, events: &dyn EventStore, views: &Views) {
    let read = env.show("read", Read(0, 0));
    let mut paid = 0;
    while let Some(operation) = client.next_operation(8) {
        let cents = 1 + operation.draw(0, 500) as i64;
        let event = NewEvent::new(EventId::random(env), "paid_in", cents.to_le_bytes());
        let done = loop {
            // The same event, however often: it is there once.
            if let Ok(done) = events.append(ACCOUNT, Expected::Any, vec![event.clone()]).await {
                break done;
            }
        };
        paid += cents;
        let asked = views.ask(&WhatIsThere, Consistency::AtLeast(done.position), LIMIT).await;
        if let Ok(found) = asked
            && !found.stale
        {
            read.update(env, |read| *read = Read(paid, found.data));
        }
    }
}
