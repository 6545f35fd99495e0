//! Orders of a shop: commands on one side, views on the other, and a rebuild of the views while
//! both go on, on nodes that crash and cannot be reached.

pub(crate) mod judge;
pub(crate) mod load;
pub(crate) mod oracle;
pub mod orders;
mod own;
pub mod views;

use crate::tolerance;
use load::{Answer, QUERIES, Question};
use squall::{FINISHES, Scenario};
use squall_env::request::Responder;
use squall_env::{Either, Env, Port, open, race};
use squall_protocols::cqrs::{Board, Projection, Projector, ProjectorConfig, Views};
use squall_protocols::event_store::{self, EventStore, RemoteStore, SegmentConfig};
use squall_protocols::unit_of_work::{TableStore, TablesMachine};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use views::{OrdersProjection, SCHEMA};

/// The property of views.
pub(crate) const VIEW: &str = "a view is the fold of the events up to its checkpoint";
pub(crate) const CHECKPOINT: &str = "no checkpoint and no live view goes back";
const READS: &str = "an answer is that of its position, and as new as it says";
const COMMANDS: &str = "a command is done once, as its giver was told";
const OWN: &str = "whoever has given a command reads what it did";
const EFFECTS: &str = "an event has its effect outside once";
/// The name of the tables' journal.
const TABLES: &str = "tables";

/// Clients that create, ship and cancel orders, and ask for them; an event store and a node of
/// views that crash, lose what they have not synced, and are parted; and a second version of the
/// views, which is built while the first one is asked.
pub fn orders() -> Scenario {
    Scenario::new("cqrs/orders")
        .nodes("events", 1..=1, |env| event_store::serve(env, "events", SegmentConfig::default()))
        .nodes("views", 1..=1, serve_views)
        .nodes("witness", 1..=1, oracle::witness)
        .clients("client", 2..=3, load::workload)
        .tolerates(tolerance::of_durable(&["events", "views", "client"]))
        .always(VIEW, judge::views)
        .always(CHECKPOINT, judge::checkpoints)
        .always(READS, judge::reads)
        .always(OWN, own::reads)
        .always(COMMANDS, judge::commands)
        .always(EFFECTS, judge::effects)
        .sometimes("a command was concluded by another try")
        .sometimes("a command was decided anew")
        .sometimes("a poison event was parked")
        .sometimes("a query waited for its view")
        .sometimes("a rebuilt view took the place of the old one")
        .sometimes("an answer was stale")
        // Over the slowest links a command takes all its time, and a client gives many.
        .finishes_within(Duration::from_secs(90))
}

/// A node that keeps views, builds a new version of them after a while, and answers queries.
pub(crate) async fn serve_views(env: Env) -> Result<(), String> {
    let (tables, run) = open::<TablesMachine>(&env, TABLES, SCHEMA).await.map_err(text)?;
    let tables: Arc<dyn TableStore> = Arc::new(tables);
    let limit = Duration::from_millis(2_000);
    let events = RemoteStore::open(&env, env.peers("events")[0], limit).map_err(text)?;
    let stores: Stores = (Arc::new(events), Arc::clone(&tables));
    let board = Board::new(&env);
    project(&env, &stores, Arc::new(OrdersProjection::<1>), &board, Duration::ZERO);
    // The new version is rolled out at any time, and is there again after a restart.
    let delay = Duration::from_micros(env.random_below(2_500_000));
    project(&env, &stores, Arc::new(OrdersProjection::<2>), &board, delay);
    let answers = answer(env.clone(), Views::new(&env, tables, &board));
    env.ready();
    match race(run, answers).await {
        Either::Left(stopped) => stopped.map_err(text),
        Either::Right(ended) => ended,
    }
}

type Stores = (Arc<dyn EventStore>, Arc<dyn TableStore>);

/// Keeps a version up to date from then on.
fn project(
    env: &Env,
    (events, tables): &Stores,
    projection: Arc<dyn Projection>,
    board: &Board,
    delay: Duration,
) {
    let config = ProjectorConfig {
        batch: 6,
        attempts: 3,
        backoff: Duration::from_millis(25),
        wait: Duration::from_millis(300),
    };
    let (events, tables) = (Arc::clone(events), Arc::clone(tables));
    let mut projector = Projector::new(env, (events, tables), projection, config, board);
    let own = env.clone();
    env.spawn("projector", async move {
        own.sleep(delay).await;
        let why = projector.run().await;
        own.trace(|| format!("the projector ends: {why}"));
    });
}

async fn answer(env: Env, views: Views) -> Result<(), String> {
    let asked = Responder::<Question, Answer>::open(&env, Port::named(QUERIES));
    let mut asked = asked.map_err(text)?;
    loop {
        let (question, reply) = asked.receive().await.map_err(text)?;
        let views = views.clone();
        env.spawn("query", async move {
            let Question { query, consistency, limit_ms } = question;
            let limit = Duration::from_millis(limit_ms);
            reply.reply(views.ask(&query, consistency, limit).await);
        });
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        orders().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("cqrs/checkpoint-before-apply", VIEW),
        mutant("cqrs/apply-without-checkpoint", VIEW),
        mutant("cqrs/inclusive-checkpoint", FINISHES),
        mutant("cqrs/skips-to-the-end", VIEW),
        mutant("cqrs/checkpoint-ahead-of-events", VIEW),
        mutant("cqrs/stays-behind-what-it-does-not-handle", FINISHES),
        mutant("cqrs/answers-before-the-view-has-it", READS),
        mutant("cqrs/rebuilds-in-place", CHECKPOINT),
        mutant("cqrs/poison-stops-all", FINISHES),
        mutant("cqrs/rebuild-speaks-again", EFFECTS),
        mutant("cqrs/forgets-commands", COMMANDS),
        mutant("cqrs/takes-a-copy-for-its-own", COMMANDS),
        mutant("cqrs/answers-with-the-stream-version", OWN),
    ]
}
