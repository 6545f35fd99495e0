//! The demo of sagas of tutorials, in one process: orders of pieces of a stock, paid from one
//! balance, each a list of steps that are undone in reverse when one of them fails.
//!
//! An order of several pieces takes them one by one, and what it has taken when there is none of
//! the next is not given back, since a step that failed was never completed; or the release of
//! pieces says that it releases them and does not; or all orders share one orchestrator, and with
//! it the list of what was completed: an order that fails undoes those before it.

use super::recovery::text;
use squall::{Client, Scenario};
use squall_env::platform::BindError;
use squall_env::request::{Caller, Responder};
use squall_env::{Env, Port, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The property that breaks.
const PIECES: &str = "what is not on the shelf is of a confirmed order";

/// The pieces of each item that there are at first.
const ITEMS: [u32; 3] = [10, 5, 0];

/// What there is to pay with, in minor units, and what an order of so many pieces costs.
const BALANCE: u64 = 100_000;
const PRICE: u64 = 9_999;

/// How many orders the client gives.
const ORDERS: u64 = 8;

/// How long it waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

const PORT: Port = Port::named("orders");

/// What of it is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A reservation that fails keeps what it has taken so far.
    ReservesInPart,
    /// A release gives nothing back.
    ReleasesNothing,
    /// All orders share the list of completed steps.
    SharesItsList,
    /// Nothing.
    None,
}

/// All of them, each with the property that it breaks.
pub fn specimens() -> Vec<Scenario> {
    [Flaw::ReservesInPart, Flaw::ReleasesNothing, Flaw::SharesItsList]
        .into_iter()
        .map(|flaw| demo(flaw).breaks(PIECES))
        .collect()
}

/// A shop, and a client that orders.
pub fn demo(flaw: Flaw) -> Scenario {
    let name = match flaw {
        Flaw::ReservesInPart => "specimen/saga-reserves-in-part",
        Flaw::ReleasesNothing => "specimen/saga-releases-nothing",
        Flaw::SharesItsList => "specimen/saga-shares-its-list",
        Flaw::None => "sagas/in-one-process",
    };
    Scenario::new(name)
        .nodes("shop", 1..=1, move |env| serve(env, flaw))
        .clients("client", 1..=1, load)
        .always(PIECES, || counts)
        .sometimes("an order was confirmed")
        .sometimes("an order was refused")
}

/// What is on the shelf and what confirmed orders have is what there was.
fn counts(view: &View<'_>) -> Result<(), String> {
    for shop in view.changed::<Shop>() {
        for (item, first) in ITEMS.into_iter().enumerate() {
            let confirmed = shop.confirmed.iter().flat_map(|order| &shop.pieces[order]);
            let ordered = confirmed.filter(|piece| usize::from(**piece) == item).count() as u32;
            let shelf = shop.shelf[item];
            if shelf + ordered != first {
                let item = item + 1;
                return Err(format!("item {item}: {shelf} and {ordered} ordered of {first}"));
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Reserve,
    Charge,
}

/// The orchestrator and its services.
struct Shop {
    flaw: Flaw,
    shelf: [u32; 3],
    balance: u64,
    /// The items of each order, one for each piece.
    pieces: BTreeMap<u64, Vec<u8>>,
    confirmed: BTreeSet<u64>,
    completed: Vec<(Step, u64)>,
}

impl Shop {
    fn execute(&mut self, order: u64, pieces: Vec<u8>) -> bool {
        self.pieces.insert(order, pieces);
        if self.flaw != Flaw::SharesItsList {
            self.completed.clear();
        }
        for step in [Step::Reserve, Step::Charge] {
            if !self.act(step, order) {
                while let Some((step, order)) = self.completed.pop() {
                    self.compensate(step, order);
                }
                return false;
            }
            self.completed.push((step, order));
        }
        self.confirmed.insert(order)
    }

    fn act(&mut self, step: Step, order: u64) -> bool {
        let pieces = &self.pieces[&order];
        let price = PRICE * pieces.len() as u64;
        match step {
            Step::Reserve => {
                let before = self.shelf;
                for piece in pieces {
                    let there = &mut self.shelf[usize::from(*piece)];
                    if *there == 0 {
                        if self.flaw != Flaw::ReservesInPart {
                            self.shelf = before;
                        }
                        return false;
                    }
                    *there -= 1;
                }
                true
            }
            Step::Charge if self.balance < price => false,
            Step::Charge => {
                self.balance -= price;
                true
            }
        }
    }

    fn compensate(&mut self, step: Step, order: u64) {
        let pieces = &self.pieces[&order];
        match step {
            Step::Reserve if self.flaw == Flaw::ReleasesNothing => {}
            Step::Reserve => {
                for piece in pieces {
                    self.shelf[usize::from(*piece)] += 1;
                }
            }
            Step::Charge => self.balance += PRICE * pieces.len() as u64,
        }
    }
}

async fn serve(env: Env, flaw: Flaw) -> Result<(), String> {
    let mut asked = Responder::<(u64, Vec<u8>), bool>::open(&env, PORT).map_err(text)?;
    let shop = Shop {
        flaw,
        shelf: ITEMS,
        balance: BALANCE,
        pieces: BTreeMap::new(),
        confirmed: BTreeSet::new(),
        completed: Vec::new(),
    };
    let shop = env.show("shop", shop);
    env.ready();
    loop {
        let ((order, pieces), back) = asked.receive().await.map_err(text)?;
        let is_confirmed = shop.update(&env, |shop| shop.execute(order, pieces));
        env.sometimes(if is_confirmed { "an order was confirmed" } else { "an order was refused" });
        back.reply(is_confirmed);
    }
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let caller = Caller::<(u64, Vec<u8>), bool>::open(&env)?;
    let shop = env.addresses("shop", PORT)[0];
    while let Some(operation) = client.next_operation(ORDERS) {
        let pieces = match operation.draw(0, 4) {
            // There are none of the last item.
            0 => vec![0, 2],
            // So many cannot be paid when some others are.
            1 => vec![0, 0, 0, 1, 1],
            _ => vec![0, 1],
        };
        // Nothing is in the way of an answer.
        let _ = caller.call(shop, (operation.number(), pieces), ANSWER_MAX).await;
    }
    client.after_heal().await;
    Ok(())
}
