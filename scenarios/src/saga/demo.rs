//! The two orders that tutorials on sagas have, in fair weather: one that goes through, and one for
//! what is out of stock.

use super::books::{Order, Payments, Shipping, Stock, Trouble};
use super::node::Orders;
use super::oracle;
use super::services::{Calls, Service};
use super::{AGREES, CONSERVED, system};
use squall::{Client, Scenario, Tolerance};
use squall_env::View;
use squall_env::platform::BindError;
use squall_protocols::saga::{Cause, Report, SagaId, Status, StepStatus};
use std::collections::BTreeSet;
use std::time::Duration;

const FIGURES: &str = "the books show what was ordered";

const FIRST: SagaId = SagaId(123);
const SECOND: SagaId = SagaId(456);

/// Both orders are over.
struct Over;

/// The orders, one after the other, without any faults.
pub fn demo() -> Scenario {
    system::<false>("saga/demo")
        .clients("client", 1..=1, load)
        .tolerates(Tolerance::nothing())
        .always(FIGURES, || figures)
        .always(CONSERVED, || oracle::conserved)
        .always(AGREES, || oracle::agrees)
        .sometimes("both orders were over")
        .finishes_within(Duration::from_secs(120))
}

/// 1000.00 less 99.99, a piece of each of two items gone, and of the second order nothing but that
/// it was cancelled.
fn figures(view: &View<'_>) -> Result<(), String> {
    if view.up::<Over>().next().is_none() {
        return Ok(());
    }
    let is = |what: &str, right: bool| match right {
        true => Ok(()),
        false => Err(format!("{what} is another")),
    };
    for stock in view.up::<Service<Stock>>() {
        is("the stock", stock.books.shelf == [9, 4, 0])?;
    }
    for payments in view.up::<Service<Payments>>() {
        is("the balance", payments.books.balances[0] == 90_001)?;
        is("what was taken", payments.books.taken == [(FIRST, 0, 9_999)])?;
        is("who was asked for money", payments.accepted.iter().all(|(saga, _)| *saga == FIRST))?;
    }
    for shipping in view.up::<Service<Shipping>>() {
        is("the orders", shipping.books.orders == [(FIRST, false), (SECOND, true)])?;
        is("what was sent", shipping.books.shipped == [FIRST])?;
    }
    let undone = view.up::<Calls>().flat_map(|calls| {
        let undone = calls.0.iter().filter(|made| made.is_undo);
        undone.map(|made| (made.saga, made.step.clone())).collect::<Vec<_>>()
    });
    is(
        "what was undone",
        undone.collect::<BTreeSet<_>>() == BTreeSet::from([(SECOND, "create".to_owned())]),
    )
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut orders = Orders::open(&env)?;
    let first =
        Order { items: vec![(0, 1), (1, 1)], account: 0, price: 9_999, trouble: Trouble::None };
    let second = Order { items: vec![(2, 1)], price: 500_000, ..first.clone() };
    for (saga, order) in [(FIRST, first), (SECOND, second)] {
        let input = serde_json::to_vec(&order).expect("an order has an encoding");
        while !orders.start(saga, "plain order", input.clone()).await {}
        let report = loop {
            env.sleep(Duration::from_millis(10)).await;
            match orders.report(saga).await {
                Some(report) if report.status.is_over() => break report,
                _ => {}
            }
        };
        assert_eq!(report, expected(saga));
    }
    env.show("over", Over);
    env.sometimes("both orders were over");
    client.after_heal().await;
    Ok(())
}

/// What is said of an order that is over.
fn expected(saga: SagaId) -> Report {
    use StepStatus::{Compensated, Completed, Failed, Pending};
    let output = |text: &str| Some(text.as_bytes().to_vec());
    let out_of_stock = "item 3 is out of stock".to_owned();
    let (status, steps) = if saga == FIRST {
        let steps = vec![
            ("create", Completed, output("saga-000000000000007b"), None),
            ("reserve", Completed, output("reserved"), None),
            ("credit", Completed, Some(9_999u64.to_le_bytes().to_vec()), None),
            ("charge", Completed, output("receipt"), None),
            ("ship", Completed, output("saga-000000000000007b"), None),
        ];
        (Status::Completed { left: Vec::new() }, steps)
    } else {
        let steps = vec![
            ("create", Compensated, output("saga-00000000000001c8"), None),
            ("reserve", Failed, None, Some(out_of_stock.clone())),
            ("credit", Pending, None, None),
            ("charge", Pending, None, None),
            ("ship", Pending, None, None),
        ];
        let cause = Cause::Refused { step: "reserve".to_owned(), reason: out_of_stock };
        (Status::Failed { cause, left: Vec::new() }, steps)
    };
    let step = |(name, status, output, error): (&str, _, _, _)| {
        squall_protocols::saga::StepReport { name: name.to_owned(), status, output, error }
    };
    Report { status, steps: steps.into_iter().map(step).collect() }
}
