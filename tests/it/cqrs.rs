use crate::assert_found;
use crate::parity::{Checked, ensure, in_both_worlds, in_the_real_world, text};
use squall_env::platform::BoxFuture;
use squall_env::{Either, Env, HasOutcome, Outcome, Position, open, race};
use squall_protocols::cqrs::{
    ApplyError, Board, Command, CommandBus, CommandError, CommandId, Consistency, Deadline,
    Deduplicate, Dispatched, Projection, Projector, ProjectorConfig, ProjectorError, ReadResult,
    Session, Step, Validate, ViewWriter, Views,
};
use squall_protocols::event_store::{
    EventId, EventStore, Expected, Filter, NewEvent, RecordedEvent, SegmentConfig, SegmentStore,
};
use squall_protocols::unit_of_work::{SqliteTables, TableStore, TablesMachine};
use squall_scenarios::cqrs::orders::{
    CancelOrder, CreateOrder, Created, Item, Orders, STATUS_CHANGED, Status, UpdateOrderStatus,
};
use squall_scenarios::cqrs::views::{OrdersAnswer, OrdersProjection, OrdersQuery, SCHEMA, SHIPPED};
use squall_scenarios::cqrs::{mutants, orders as scenario};
use squall_scenarios::specimens::dual_write::{dual_write, inserts_twice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A shop on one node.
struct Shop {
    env: Env,
    events: Arc<dyn EventStore>,
    tables: Arc<dyn TableStore>,
    bus: CommandBus,
    board: Board,
    views: Views,
}

impl Shop {
    fn new(env: &Env, events: Arc<dyn EventStore>, tables: Arc<dyn TableStore>) -> Shop {
        let bus = CommandBus::new(env, Arc::clone(&events))
            .with(Validate)
            .with(Deadline)
            .with(Deduplicate)
            .register::<CreateOrder>(Orders)
            .register::<UpdateOrderStatus>(Orders)
            .register::<CancelOrder>(Orders);
        let board = Board::new(env);
        let views = Views::new(env, Arc::clone(&tables), &board);
        Shop { env: env.clone(), events, tables, bus, board, views }
    }

    fn projector(&self, projection: impl Projection + 'static) -> Projector {
        let stores = (Arc::clone(&self.events), Arc::clone(&self.tables));
        let backoff = Duration::from_millis(1);
        let config = ProjectorConfig { batch: 4, attempts: 3, backoff, wait: SECOND };
        Projector::new(&self.env, stores, Arc::new(projection), config, &self.board)
    }

    async fn dispatch<C: Command>(&self, command: C) -> Result<Dispatched, CommandError> {
        let id = CommandId::random(&self.env);
        self.bus.dispatch(id, &command, self.env.now() + SECOND).await
    }

    async fn ask(
        &self,
        query: OrdersQuery,
        consistency: Consistency,
    ) -> Result<ReadResult<OrdersAnswer>, String> {
        self.views.ask(&query, consistency, SECOND / 10).await.map_err(text)
    }

    async fn status(&self, order: &str, at: Position) -> Result<Option<String>, String> {
        let query = OrdersQuery::Order(order.to_owned());
        let read = self.ask(query, Consistency::AtLeast(at)).await?;
        ensure(!read.stale, "an answer is stale")?;
        Ok(read.data.orders.first().map(|order| order.status.clone()))
    }
}

fn order(id: &str) -> CreateOrder {
    let item = |sku: &str, quantity, price| Item { sku: sku.to_owned(), quantity, price };
    CreateOrder(Created {
        order: id.to_owned(),
        customer: "cust-123".to_owned(),
        items: vec![item("book", 2, 1_999), item("pen", 1, 250)],
        address: "1 Main Street".to_owned(),
    })
}

/// Applies events until there are none.
async fn catch_up(projector: &mut Projector) -> Checked {
    loop {
        match projector.step().await {
            Ok(Step::Idle(_)) | Err(ProjectorError::Retired) => return Ok(()),
            Ok(Step::Moved | Step::Failed) => {}
            Err(error) => return Err(text(error)),
        }
    }
}

/// Runs a check on a shop whose tables are on a journal, in both worlds.
macro_rules! in_both {
    ($check:expr) => {
        in_both_worlds(1, |env: Env| async move {
            let config = SegmentConfig::default();
            let events = SegmentStore::open(&env, "events", config).await.map_err(text)?;
            let opened = open::<TablesMachine>(&env, "tables", SCHEMA).await;
            let (tables, run) = opened.map_err(text)?;
            let shop = Shop::new(&env, Arc::new(events), Arc::new(tables));
            match race(run, $check(shop)).await {
                Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
                Either::Right(checked) => checked,
            }
        })
    };
}

/// Runs a check on a shop whose tables are on SQLite, in the real world.
macro_rules! on_sqlite {
    ($check:expr) => {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file: &'static Path = Box::leak(folder.path().join("views").into_boxed_path());
        in_the_real_world(1, move |env: Env| async move {
            let config = SegmentConfig::default();
            let events = SegmentStore::open(&env, "events", config).await.map_err(text)?;
            let tables = SqliteTables::open(&env, file, SCHEMA).await.map_err(text)?;
            $check(Shop::new(&env, Arc::new(events), Arc::new(tables))).await
        });
    };
}

#[test]
fn orders_are_created_shipped_and_cancelled_and_found_by_id_and_by_customer() {
    in_both!(orders);
    on_sqlite!(orders);
}

async fn orders(shop: Shop) -> Checked {
    let mut projector = shop.projector(OrdersProjection::<1>);
    shop.dispatch(order("o-1")).await.map_err(text)?;
    let second = shop.dispatch(order("o-2")).await.map_err(text)?;
    catch_up(&mut projector).await?;
    ensure(shop.status("o-1", second.position).await?.as_deref() == Some("pending"), "pending")?;
    let shipped = UpdateOrderStatus { order: "o-1".to_owned(), status: Status::Shipped };
    shop.dispatch(shipped.clone()).await.map_err(text)?;
    let cancelled = shop.dispatch(CancelOrder("o-2".to_owned())).await.map_err(text)?;
    catch_up(&mut projector).await?;
    let read = shop
        .ask(OrdersQuery::Customer("cust-123".to_owned()), Consistency::AtLeast(cancelled.position))
        .await?;
    let statuses: Vec<&str> = read.data.orders.iter().map(|one| one.status.as_str()).collect();
    ensure(statuses == ["shipped", "cancelled"], "the orders of a customer are others")?;
    ensure(read.data.orders[0].total == 4_248, "an order costs something else")?;
    let customer = read.data.customer.ok_or("there is no customer")?;
    ensure((customer.orders, customer.owes) == (2, 4_248), "a customer owes something else")?;
    let outbox = shop.tables.outbox(0, 10).await.map_err(text)?;
    ensure(outbox.len() == 1 && outbox[0].message.topic == SHIPPED, "others heard otherwise")?;
    for refused in [
        shop.dispatch(shipped).await,
        shop.dispatch(order("o-1")).await,
        shop.dispatch(CancelOrder("o-9".to_owned())).await,
    ] {
        let refused = refused.err().ok_or("what makes no sense was done")?;
        ensure(matches!(refused, CommandError::Refused(_)), "it was not refused")?;
        ensure(refused.outcome() == Outcome::NotDone, "a refusal is in doubt")?;
    }
    Ok(())
}

#[test]
fn a_command_is_done_once_and_what_stops_it_on_its_way_is_a_typed_error() {
    in_both!(commands);
}

struct Unheard;

impl Command for Unheard {
    const NAME: &'static str = "unheard";
}

async fn commands(shop: Shop) -> Checked {
    let unregistered = shop.dispatch(Unheard).await;
    ensure(unregistered == Err(CommandError::Unregistered("unheard")), "it was heard of")?;
    let CreateOrder(created) = order("o-1");
    let empty = CreateOrder(Created { items: Vec::new(), ..created });
    let invalid = shop.dispatch(empty).await;
    ensure(matches!(invalid, Err(CommandError::Invalid(_))), "an order of nothing was taken")?;
    let id = CommandId::random(&shop.env);
    let late = shop.bus.dispatch(id, &order("o-1"), shop.env.now()).await;
    ensure(late == Err(CommandError::Late), "a command was begun too late")?;
    let until = shop.env.now() + SECOND * 5;
    let done = shop.bus.dispatch(id, &order("o-1"), until).await.map_err(text)?;
    ensure(!done.repeated, "it was done before")?;
    // On another node, which has never heard of it, and without middleware.
    let bare = CommandBus::new(&shop.env, Arc::clone(&shop.events));
    let bare = bare.register::<CreateOrder>(Orders);
    for bus in [&shop.bus, &bare] {
        let again = bus.dispatch(id, &order("o-1"), until).await.map_err(text)?;
        ensure(again == Dispatched { repeated: true, ..done }, "a copy was told something else")?;
    }
    // A refusal stays one, even if it would not be made again.
    let id = CommandId::random(&shop.env);
    let cancel = CancelOrder("o-2".to_owned());
    let refused = shop.bus.dispatch(id, &cancel, until).await;
    shop.dispatch(order("o-2")).await.map_err(text)?;
    ensure(refused.is_err(), "an order that is not there was cancelled")?;
    ensure(shop.bus.dispatch(id, &cancel, until).await == refused, "a refusal was taken back")?;
    let orders = shop.events.read_all(Position(0), 100, &Filter::prefix("order-")).await;
    ensure(orders.map_err(text)?.events.len() == 2, "a command was done twice")
}

#[test]
fn a_query_behind_a_command_waits_for_the_view_and_says_if_it_is_stale() {
    in_both!(reads);
}

async fn reads(shop: Shop) -> Checked {
    let query = || OrdersQuery::Order("o-1".to_owned());
    ensure(shop.ask(query(), Consistency::Eventual).await.is_err(), "there is a view already")?;
    let mut projector = shop.projector(OrdersProjection::<1>);
    catch_up(&mut projector).await?;
    let mut session = Session::default();
    let done = shop.dispatch(order("o-1")).await.map_err(text)?;
    session.did(&done);
    // Nobody applies it: the answer has the same shape, and says so.
    let read = shop.ask(query(), Consistency::Session(session)).await?;
    ensure(read.stale && read.position < done.position, "an answer is not stale")?;
    ensure(read.data.orders.is_empty(), "a stale answer is new")?;
    let read = shop.ask(query(), Consistency::Eventual).await?;
    ensure(!read.stale, "an answer is staler than was asked for")?;
    ensure(projector.step().await == Ok(Step::Moved), "there was nothing to apply")?;
    ensure(shop.views.lag("orders").await == Ok(Some(0)), "it lags behind")?;
    let two = shop.dispatch(order("o-2")).await.map_err(text)?;
    // Somebody waits before it is applied, and is told.
    let applied = async {
        shop.env.sleep(Duration::from_millis(20)).await;
        catch_up(&mut projector).await
    };
    let views = shop.views.clone();
    let asked = shop.env.spawn("asked", async move {
        let query = OrdersQuery::Order("o-2".to_owned());
        views.ask(&query, Consistency::AtLeast(two.position), SECOND * 10).await
    });
    applied.await?;
    let read = asked.await.map_err(text)?.map_err(text)?;
    ensure(!read.stale && read.position == two.position, "it was answered too early")?;
    session.saw(&read);
    let read = shop.ask(query(), Consistency::Session(session)).await?;
    ensure(read.position == two.position && read.data.orders.len() == 1, "a session goes back")
}

#[test]
fn a_poison_event_stops_its_stream_alone_and_is_applied_once_that_is_repaired() {
    in_both!(poison);
    on_sqlite!(poison);
}

/// A projection that was repaired, or was not.
struct Repaired(Arc<AtomicBool>);

impl Projection for Repaired {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        view: &'a mut ViewWriter<'_>,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        if event.data == b"{" && self.0.load(Ordering::Relaxed) {
            return Box::pin(async { Ok(()) });
        }
        OrdersProjection::<1>.apply(event, view)
    }
}

async fn poison(shop: Shop) -> Checked {
    let repaired = Arc::new(AtomicBool::new(false));
    let mut projector = shop.projector(Repaired(Arc::clone(&repaired)));
    shop.dispatch(order("o-1")).await.map_err(text)?;
    let broken = NewEvent::new(EventId::random(&shop.env), STATUS_CHANGED, *b"{");
    let broken = shop.events.append("order-o-1", Expected::Any, vec![broken]).await;
    let broken = broken.map_err(text)?.position;
    shop.dispatch(CancelOrder("o-1".to_owned())).await.map_err(text)?;
    let last = shop.dispatch(order("o-2")).await.map_err(text)?.position;
    catch_up(&mut projector).await?;
    ensure(shop.status("o-2", last).await?.as_deref() == Some("pending"), "all streams stop")?;
    ensure(shop.status("o-1", last).await?.as_deref() == Some("pending"), "order is not kept")?;
    let parked = projector.parked().await.map_err(text)?;
    let attempts: Vec<i64> = parked.iter().map(|event| event.attempts).collect();
    ensure(attempts == [3, 0], "it was not tried as often as it should be")?;
    ensure(parked[0].position == broken && !parked[0].reason.is_empty(), "another was parked")?;
    ensure(shop.board.blocked("orders", 1) == Some(1), "nobody is told that it is parked")?;
    let (applied, why) = projector.replay("order-o-1").await.map_err(text)?;
    ensure(applied == 0 && why.is_some(), "it was applied unrepaired")?;
    repaired.store(true, Ordering::Relaxed);
    let replayed = projector.replay("order-o-1").await.map_err(text)?;
    ensure(replayed == (2, None), "they were not applied")?;
    ensure(projector.replay("order-o-1").await.map_err(text)? == (0, None), "applied twice")?;
    ensure(shop.status("o-1", last).await?.as_deref() == Some("cancelled"), "it has no effect")?;
    shop.dispatch(CancelOrder("o-2".to_owned())).await.map_err(text)?;
    catch_up(&mut projector).await?;
    ensure(shop.board.blocked("orders", 1) == Some(0), "it is said to be parked still")?;
    ensure(projector.parked().await.map_err(text)?.is_empty(), "something is parked")
}

#[test]
fn a_view_is_rebuilt_beside_the_one_that_is_asked_and_tells_nothing_twice() {
    in_both!(rebuild);
    on_sqlite!(rebuild);
}

async fn rebuild(shop: Shop) -> Checked {
    let mut old = shop.projector(OrdersProjection::<1>);
    let mut new = shop.projector(OrdersProjection::<2>);
    let ship = |order: &str| {
        let status = Status::Shipped;
        UpdateOrderStatus { order: order.to_owned(), status }
    };
    for id in ["o-1", "o-2", "o-3", "o-4"] {
        shop.dispatch(order(id)).await.map_err(text)?;
    }
    let before = shop.dispatch(ship("o-1")).await.map_err(text)?.position;
    catch_up(&mut old).await?;
    // While it is built, the old one is asked, and goes on.
    ensure(new.step().await == Ok(Step::Moved), "nothing was built")?;
    let all = || OrdersQuery::Customer("cust-123".to_owned());
    let read = shop.ask(all(), Consistency::AtLeast(before)).await?;
    ensure(read.data.version == 1 && read.data.orders.len() == 4, "the old view is not asked")?;
    let after = shop.dispatch(ship("o-2")).await.map_err(text)?.position;
    catch_up(&mut old).await?;
    catch_up(&mut new).await?;
    ensure(old.step().await == Err(ProjectorError::Retired), "the old one goes on")?;
    let rebuilt = shop.ask(all(), Consistency::AtLeast(after)).await?;
    ensure(rebuilt.data.version == 2 && !rebuilt.stale, "the new view is not asked")?;
    ensure(rebuilt.data.orders.len() == 4, "the new view lacks orders")?;
    let last = shop.dispatch(ship("o-3")).await.map_err(text)?.position;
    catch_up(&mut new).await?;
    let told = shop.tables.outbox(0, 10).await.map_err(text)?;
    let told: Vec<u64> = told
        .into_iter()
        .filter_map(|one| one.message.body.try_into().ok().map(u64::from_be_bytes))
        .collect();
    ensure(told == [before.0, after.0, last.0], "others heard of an event twice or never")
}

#[test]
fn views_say_what_happened_whatever_happens_to_their_node_and_to_the_event_store() {
    scenario().seeds(0..200).run();
}

#[test]
fn every_mutant_of_commands_and_views_breaks_the_property_that_it_names() {
    assert_found(mutants(), 600);
    assert_found(vec![dual_write(), inserts_twice()], 100);
}

#[test]
fn two_projectors_of_one_version_apply_each_event_once() {
    in_both!(rivals);
}

async fn rivals(shop: Shop) -> Checked {
    for _ in 0..2 {
        let mut projector = shop.projector(OrdersProjection::<1>);
        let env = shop.env.clone();
        shop.env.spawn("rival", async move {
            let why = projector.run().await;
            env.trace(|| why.to_string());
        });
    }
    let mut last = Position(0);
    for number in 0..12 {
        last = shop.dispatch(order(&format!("o-{number}"))).await.map_err(text)?.position;
    }
    let query = OrdersQuery::Customer("cust-123".to_owned());
    let read = shop.views.ask(&query, Consistency::AtLeast(last), SECOND * 10).await;
    let read = read.map_err(text)?;
    ensure(!read.stale, "they do not catch up")?;
    let customer = read.data.customer.ok_or("there is no customer")?;
    ensure((customer.orders, customer.owes) == (12, 12 * 4_248), "events were applied twice")?;
    let mut projector = shop.projector(OrdersProjection::<1>);
    ensure(projector.parked().await.map_err(text)?.is_empty(), "something was parked")
}
