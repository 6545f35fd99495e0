//! Clients that order, wait, change their minds, and look after what is stuck.

use super::books::{Order, Trouble};
use super::node::{self, Orders};
use super::services::Remote;
use squall::{Client, Operation};
use squall_env::platform::BindError;
use squall_env::{Env, Shown};
use squall_protocols::event_store::EventStore;
use squall_protocols::event_store::{EventId, Expected, NewEvent};
use squall_protocols::saga::{
    Cause, Command, Entry, Event, EventStoreLog, Report, SagaId, SagaLog, Status, stream_of,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 6;

/// How long a client waits before it looks again.
const LOOK: Duration = Duration::from_millis(40);

/// How long an operator waits for a service.
const MEND_MAX: Duration = Duration::from_millis(300);

/// How often it helps an order: the way to a service may be so long that nothing ever helps.
const HELP_MAX: u32 = 2;

/// What a client was told, and what it has done as an operator.
#[derive(Default)]
pub(super) struct Told {
    /// The orders that it was told were started.
    pub(super) started: BTreeMap<SagaId, Order>,
    /// What it was told last of each.
    pub(super) last: BTreeMap<SagaId, Status>,
    /// The steps that it has taken on itself.
    pub(super) by_hand: BTreeSet<(SagaId, String)>,
    /// What it has put into the log that nobody can read.
    pub(super) bad: BTreeSet<SagaId>,
    /// What was over and then was something else.
    pub(super) changed: Option<(SagaId, Status, Status)>,
}

/// A client that is up.
pub(super) struct Looks;

struct Customer {
    env: Env,
    orders: Orders,
    services: Remote,
    store: Arc<dyn EventStore>,
    log: EventStoreLog,
    told: Shown<Told>,
    /// What it leaves as it is though it is stuck.
    given_up: BTreeSet<SagaId>,
    /// How often it has helped each.
    helped: BTreeMap<SagaId, u32>,
}

/// Orders while there are faults, and then looks after every order until it is over.
pub(super) async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let (store, log) = node::log(&env)?;
    let mut customer = Customer {
        orders: Orders::open(&env)?,
        services: Remote::open(&env)?,
        store,
        log,
        told: client.keep("told"),
        given_up: BTreeSet::new(),
        helped: BTreeMap::new(),
        env: env.clone(),
    };
    env.show("looks", Looks);
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 300_000))).await;
        let saga = SagaId(u64::from(env.me().ordinal() + 1) << 32 | operation.number());
        match operation.draw(1, 10) {
            0 => customer.plant(saga, operation).await,
            _ => customer.order(saga, operation).await,
        }
    }
    client.after_heal().await;
    while !customer.look_at_all().await {
        env.sleep(LOOK).await;
    }
    Ok(())
}

/// An order of what there is and of what there is not, for one of the accounts.
pub(crate) fn drawn(operation: Operation, trouble: Trouble) -> Order {
    let items = match operation.draw(2, 8) {
        0 => vec![(2, 1)],
        1..=2 => vec![(1, 2)],
        3 => vec![(0, 4)],
        _ => vec![(0, 1), (1, 1)],
    };
    // There is never as much on the second account as the last one takes.
    let price = [9_999, 15_000, 30_000][operation.draw(4, 3) as usize];
    Order { items, account: operation.draw(5, 2) as u8, price, trouble }
}

impl Customer {
    /// Puts a saga into the log that no node can go on with: one that a newer program has begun, or
    /// bytes that say nothing.
    async fn plant(&mut self, saga: SagaId, operation: Operation) {
        if operation.draw(6, 2) == 0 {
            let definition = "order".to_owned();
            let event =
                Event::Started { definition, version: 99, fingerprint: 1, input: Vec::new() };
            if self.log.append(saga, 0, vec![Entry { token: 0, event }]).await.is_err() {
                return;
            }
        } else {
            let event = NewEvent::new(EventId::random(&self.env), "saga_started", *b"\x01junk");
            let stream = stream_of(saga);
            if self.store.append(&stream, Expected::NoStream, vec![event]).await.is_err() {
                return;
            }
        }
        self.told.update(&self.env, |told| told.bad.insert(saga));
    }

    async fn order(&mut self, saga: SagaId, operation: Operation) {
        let trouble = match operation.draw(3, 10) {
            0 => Trouble::Declined,
            1 => Trouble::Packed,
            2 => Trouble::NoCarrier,
            3..=4 => Trouble::Limit,
            _ => Trouble::None,
        };
        let order = drawn(operation, trouble);
        let input = serde_json::to_vec(&order).expect("an order has an encoding");
        for _ in 0..3 {
            if self.orders.start(saga, "order", input.clone()).await {
                self.told.update(&self.env, |told| told.started.insert(saga, order));
                break;
            }
        }
        if operation.draw(7, 4) == 0 {
            self.env.sleep(Duration::from_micros(operation.draw(8, 200_000))).await;
            self.orders.command(saga, Command::Cancel).await;
        }
        let until = self.env.now() + Duration::from_micros(operation.draw(9, 400_000));
        while self.env.now() < until && !self.is_over(saga) {
            self.env.sleep(LOOK).await;
            self.look_at(saga).await;
        }
    }

    fn is_over(&self, saga: SagaId) -> bool {
        self.told.read(|told| told.last.get(&saga).is_some_and(Status::is_over))
    }

    /// Looks at everything that is not over. Whether there is nothing more to do.
    async fn look_at_all(&mut self) -> bool {
        let (all, bad): (Vec<SagaId>, Vec<SagaId>) = self.told.read(|told| {
            (told.started.keys().copied().collect(), told.bad.iter().copied().collect())
        });
        let mut done = true;
        for saga in all.into_iter().chain(bad) {
            let is_bad =
                self.told.read(|told| matches!(told.last.get(&saga), Some(Status::Unreadable(_))));
            if self.is_over(saga) || self.given_up.contains(&saga) || is_bad {
                continue;
            }
            self.look_at(saga).await;
            done = false;
        }
        done
    }

    async fn look_at(&mut self, saga: SagaId) {
        let Some(Report { status, .. }) = self.orders.report(saga).await else { return };
        self.env.trace(|| format!("{saga} is {status:?}"));
        match &status {
            Status::Completed { .. } => self.env.sometimes("an order was completed"),
            Status::Failed { cause: Cause::Refused { .. }, .. } => {
                self.env.sometimes("an order was refused and undone");
            }
            Status::Failed { cause: Cause::Unknown { .. }, .. } => {
                self.env.sometimes("an order was undone because nobody knew");
            }
            Status::Failed { cause: Cause::Cancelled, .. } => {
                self.env.sometimes("an order was cancelled");
            }
            _ => {}
        }
        self.told.update(&self.env, |told| {
            let before = told.last.insert(saga, status.clone());
            if let Some(before) = before.filter(|before| before.is_over() && *before != status) {
                told.changed = Some((saga, before, status.clone()));
            }
        });
        if let Status::Stuck { step, is_undo, .. } = status
            && !self.given_up.contains(&saga)
        {
            self.help(saga, step, is_undo).await;
        }
    }

    /// What an operator does about an order that is stuck.
    async fn help(&mut self, saga: SagaId, step: String, is_undo: bool) {
        let helped = self.helped.entry(saga).or_default();
        *helped += 1;
        if *helped > HELP_MAX {
            self.given_up.insert(saga);
            return;
        }
        let way = self.env.random_below(6);
        // Whether money was taken nobody but the payments can say.
        let way = if step == "charge" && way < 5 { 0 } else { way };
        let command = match way {
            0..=2 => {
                // Nothing can be made possible at a service that does not answer.
                self.services.mend(saga, &step, MEND_MAX).await;
                Command::Retry
            }
            3 => {
                self.env.sometimes("an operator skipped a step");
                Command::Skip
            }
            4 => {
                // It counts from now on: nobody knows when the command is taken.
                self.told.update(&self.env, |told| told.by_hand.insert((saga, step.clone())));
                let output = if is_undo { Vec::new() } else { b"by hand".to_vec() };
                Command::Force(output)
            }
            _ => {
                self.given_up.insert(saga);
                return;
            }
        };
        self.orders.command(saga, command).await;
    }
}
