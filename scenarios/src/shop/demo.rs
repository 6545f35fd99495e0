//! The two orders that tutorials on a shop of services have, in fair weather: a customer with
//! 500.00 orders for 59.97 and has 440.03 left, and one with 100.00 orders for 299.99 and is turned
//! away.

use super::gateway::{Customer, PlaceError};
use super::judged::{Asked, Audited, Books, Heard, Shop, WHOLE, verdict};
use super::load::{First, audit};
use super::nodes::text;
use super::orders::Status;
use super::system;
use crate::saga::books::{Look, Order, Trouble};
use squall::{Client, Scenario, Tolerance};
use squall_env::View;
use std::time::Duration;

const FIGURES: &str = "the books show what was ordered";

/// What there is at first.
const FIRST: First = First { pieces: [10, 5, 0], money: [50_000, 10_000] };

/// The numbers of the orders.
const PAID: u64 = 123;
const TOO_DEAR: u64 = 456;

/// How long a customer goes on with an order.
const PLACE_MAX: Duration = Duration::from_secs(4);

/// The auditor has read this.
struct Seen(Books);

/// The orders, one after the other, without any faults.
pub fn demo() -> Scenario {
    system::<false>("shop/demo", FIRST)
        .clients("client", 1..=1, load)
        .tolerates(Tolerance::nothing())
        .always(FIGURES, || figures)
        .check(Shop::new(WHOLE, verdict))
        .sometimes("the books were read")
        .finishes_within(Duration::from_secs(120))
}

/// An order's price is that of all its pieces.
fn order(account: u8, items: &[(u8, u32, u64)]) -> Order {
    Order {
        items: items.iter().map(|(item, pieces, _)| (*item, *pieces)).collect(),
        account,
        price: items.iter().map(|(_, pieces, price)| u64::from(*pieces) * price).sum(),
        trouble: Trouble::None,
    }
}

fn orders() -> [(u64, Order); 2] {
    // Three books for 19.99 each, and a lamp for 299.99.
    [(PAID, order(0, &[(0, 3, 1_999)])), (TOO_DEAR, order(1, &[(1, 1, 29_999)]))]
}

/// 440.03 and 100.00 are left, three books are gone, and the views tell customers the same.
fn figures(view: &View<'_>) -> Result<(), String> {
    let Some(seen) = view.up::<Seen>().next() else { return Ok(()) };
    let audited = |at: usize, status, look, word: &str| {
        let (number, order) = orders()[at].clone();
        let shown = Some((word.to_owned(), order.price as i64));
        Audited { number, order, status, look, shown }
    };
    let look = Look {
        reserved: vec![vec![(0, 3)]],
        taken: vec![(0, 5_997)],
        shipped: 1,
        ..Look::default()
    };
    let wanted = Books {
        orders: vec![
            audited(0, Status::Confirmed, look, "shipped"),
            audited(1, Status::Rejected, Look::default(), "cancelled"),
        ],
        shelf: vec![7, 5, 0],
        balances: vec![44_003, 10_000],
        shelf_first: vec![10, 5, 0],
        balances_first: vec![50_000, 10_000],
        owed: vec![Some(5_997), Some(0)],
    };
    match seen.0 == wanted {
        true => Ok(()),
        false => Err(format!("{:?} and not {wanted:?}", seen.0)),
    }
}

async fn load(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let customer = Customer::open(&env).map_err(text)?;
    for (number, order) in orders() {
        let work = async {
            customer.place(number, &order, PLACE_MAX).await?;
            Ok::<_, PlaceError>(Heard::Placed)
        };
        client.perform::<Shop, _>(Asked::Place(number, order.clone()), work).await.map_err(text)?;
    }
    let books = audit(&client, FIRST).await?;
    env.show("books", Seen(books));
    env.sometimes("the books were read");
    client.after_heal().await;
    Ok(())
}
