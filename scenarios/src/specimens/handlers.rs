//! Who hears of the events of a tutorial's store: handlers that it calls while it appends. One that
//! fails makes a failure of what has been done, and one that was not called, for a crash or a lost
//! message came between, never will be. And a reader that passes over events of a type that it does
//! not know, until it is deployed anew, and then has read them.

use super::recovery::{numbers, text};
use serde::{Deserialize, Serialize};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Either, Env, Port, Shown, View, race};
use std::collections::BTreeSet;
use std::time::Duration;

/// The properties that break.
const ONCE: &str = "what failed was not done";
const FOLD: &str = "the view is the fold of the events that it has read";
const LEVEL: &str = "the view reads every event";

/// How many events each customer appends.
const EVENTS: u64 = 6;

/// How long whoever appends waits for a handler.
const HANDLER_MAX: Duration = Duration::from_millis(60);

const ANSWER_MAX: Duration = Duration::from_millis(300);

/// How long after it has started the view knows what a fee is.
const DEPLOYED_AFTER: Duration = Duration::from_millis(400);

/// How often the view looks for new events.
const LOOK: Duration = Duration::from_millis(20);

const EVENT_STORE: Port = Port::named("events");
const VIEW: Port = Port::named("view");
const MAIL: Port = Port::named("mail");

/// What of it is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A handler that sends a mail is called before the answer, and its failure is the answer.
    Reports,
    /// The handler that keeps the view is called before the answer; its failure is printed.
    Pushes,
    /// The view passes over what it does not know.
    PassesOver,
    /// Nothing: the view reads on from its checkpoint, and no further than it understands.
    None,
}

/// All of them, each with the property that it breaks.
pub fn specimens() -> Vec<Scenario> {
    vec![
        account(Flaw::Reports).breaks(ONCE),
        account(Flaw::Pushes).breaks(FOLD),
        account(Flaw::PassesOver).breaks(FOLD),
    ]
}

/// A store of one account's events, a view of it and customers. Messages get lost, and both crash.
pub fn account(flaw: Flaw) -> Scenario {
    let name = match flaw {
        Flaw::Reports => "specimen/event-store-fails-with-its-handlers",
        Flaw::Pushes => "specimen/event-store-calls-handlers-once",
        Flaw::PassesOver => "specimen/event-store-passes-over-unknown-types",
        Flaw::None => "event-store/handlers",
    };
    let tolerance = Tolerance::nothing().impaired("store", Most::Any).impaired("view", Most::Any);
    Scenario::new(name)
        .nodes("store", 1..=1, move |env| store(env, flaw))
        .nodes("view", 1..=1, move |env| view(env, flaw))
        .clients("customer", 2..=2, load)
        .tolerates(tolerance.fault(Fault::Loss).fault(Fault::Crash).fault(Fault::LostWrites))
        .always(ONCE, || once)
        .always(FOLD, || fold)
        .eventually(LEVEL, Duration::from_secs(10), || level)
        .finishes_within(Duration::from_secs(30))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Event {
    /// Who has it and which it is, as whoever appends it says.
    id: u64,
    amount: u64,
    /// Taken, and not given. Of a version that came later.
    is_fee: bool,
}

impl Event {
    fn to_number(self) -> u64 {
        self.id << 32 | self.amount << 1 | u64::from(self.is_fee)
    }

    fn from_number(number: u64) -> Event {
        let amount = (number & 0xffff_ffff) >> 1;
        Event { id: number >> 32, amount, is_fee: number & 1 == 1 }
    }

    fn apply(self, total: i64) -> i64 {
        let amount = self.amount as i64;
        total + if self.is_fee { -amount } else { amount }
    }
}

/// Every event of the store.
struct Events(Vec<Event>);

/// What the view has made of so many events.
#[derive(Clone, Copy, Default)]
struct Total {
    checkpoint: usize,
    total: i64,
}

fn once(view: &View<'_>) -> Result<(), String> {
    let Some(events) = view.up::<Events>().next() else { return Ok(()) };
    let mut ids = BTreeSet::new();
    match events.0.iter().find(|event| !ids.insert(event.id)) {
        None => Ok(()),
        Some(event) => Err(format!("it is there twice: {event:?}")),
    }
}

fn fold(view: &View<'_>) -> Result<(), String> {
    let Some(events) = view.up::<Events>().next() else { return Ok(()) };
    let Some(total) = view.up::<Total>().next() else { return Ok(()) };
    let read = events.0.iter().take(total.checkpoint);
    let fold = read.fold(0, |fold, event| event.apply(fold));
    match fold == total.total {
        true => Ok(()),
        false => Err(format!(
            "of {} events it has made {}, and not {fold}",
            total.checkpoint, total.total
        )),
    }
}

fn level(view: &View<'_>) -> bool {
    let events = view.up::<Events>().next().map(|events| events.0.len());
    view.up::<Total>().next().map(|total| total.checkpoint) == events
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Ask {
    Append(Event),
    /// Those behind so many.
    Read(usize),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    Appended,
    Failed,
    Events(Vec<Event>),
}

async fn store(env: Env, flaw: Flaw) -> Result<(), String> {
    let bytes = env.read_file("events").await.map_err(text)?.unwrap_or_default();
    let events = env.show("events", Events(numbers(&bytes).map(Event::from_number).collect()));
    let mut file = env.open_file("events", true).await.map_err(text)?;
    env.sync_directory("").await.map_err(text)?;
    let mut asked = Responder::<Ask, Answer>::open(&env, EVENT_STORE).map_err(text)?;
    let handlers = Caller::<(usize, Event), ()>::open(&env).map_err(text)?;
    env.ready();
    loop {
        let (ask, back) = asked.receive().await.map_err(text)?;
        let event = match ask {
            Ask::Append(event) => event,
            Ask::Read(from) => {
                let behind = |events: &Events| events.0.iter().skip(from).copied().collect();
                back.reply(Answer::Events(events.read(behind)));
                continue;
            }
        };
        file.append(event.to_number().to_le_bytes().to_vec()).await.map_err(text)?;
        file.sync().await.map_err(text)?;
        let nth = events.update(&env, |events| {
            events.0.push(event);
            events.0.len() - 1
        });
        let is_failed = call_handlers(&env, &handlers, flaw, (nth, event)).await.is_err();
        if is_failed {
            env.trace(|| format!("a handler failed for event {nth}"));
        }
        back.reply(match is_failed && flaw == Flaw::Reports {
            true => Answer::Failed,
            false => Answer::Appended,
        });
    }
}

async fn call_handlers(
    env: &Env,
    handlers: &Caller<(usize, Event), ()>,
    flaw: Flaw,
    event: (usize, Event),
) -> Result<(), CallError> {
    let port = match flaw {
        Flaw::Reports => MAIL,
        Flaw::Pushes => VIEW,
        Flaw::PassesOver | Flaw::None => return Ok(()),
    };
    handlers.call(env.addresses("view", port)[0], event, HANDLER_MAX).await
}

/// Keeps the view, and has a mail server beside it.
async fn view(env: Env, flaw: Flaw) -> Result<(), String> {
    let bytes = env.read_file("total").await.map_err(text)?.unwrap_or_default();
    let mut kept = numbers(&bytes);
    let checkpoint = kept.next().unwrap_or_default() as usize;
    let total = Total { checkpoint, total: kept.next().unwrap_or_default() as i64 };
    let total = env.show("total", total);
    let mut mails = Responder::<(usize, Event), ()>::open(&env, MAIL).map_err(text)?;
    let mut pushed = Responder::<(usize, Event), ()>::open(&env, VIEW).map_err(text)?;
    let store = Caller::<Ask, Answer>::open(&env).map_err(text)?;
    let (start, from) = (env.now(), env.addresses("store", EVENT_STORE)[0]);
    env.ready();
    loop {
        let look = race(env.sleep(LOOK), race(mails.receive(), pushed.receive())).await;
        let new = match look {
            Either::Left(()) if flaw == Flaw::Pushes => continue,
            Either::Left(()) => {
                let checkpoint = total.read(|total| total.checkpoint);
                (checkpoint..).zip(read(&store, from, checkpoint).await).collect()
            }
            Either::Right(Either::Left(mail)) => {
                mail.map_err(text)?.1.reply(());
                continue;
            }
            Either::Right(Either::Right(event)) => {
                let (event, back) = event.map_err(text)?;
                back.reply(());
                vec![event]
            }
        };
        for (nth, event) in new {
            let is_known = !event.is_fee || env.now() >= start + DEPLOYED_AFTER;
            if !is_known && flaw != Flaw::PassesOver {
                // It stays where it is until it knows what that is.
                break;
            }
            let Total { total: before, .. } = total.read(|total| *total);
            let made = if is_known { event.apply(before) } else { before };
            keep(&env, &total, Total { checkpoint: nth + 1, total: made }).await?;
        }
    }
}

async fn read(store: &Caller<Ask, Answer>, from: Address, behind: usize) -> Vec<Event> {
    match store.call(from, Ask::Read(behind), ANSWER_MAX).await {
        Ok(Answer::Events(events)) => events,
        _ => Vec::new(),
    }
}

async fn keep(env: &Env, shown: &Shown<Total>, total: Total) -> Result<(), String> {
    let numbers = [total.checkpoint as u64, total.total as u64];
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    env.replace_file("total", bytes).await.map_err(text)?;
    shown.update(env, |shown| *shown = total);
    Ok(())
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let caller = Caller::<Ask, Answer>::open(&env)?;
    let store = env.addresses("store", EVENT_STORE)[0];
    while let Some(operation) = client.next_operation(EVENTS) {
        env.sleep(Duration::from_micros(operation.draw(0, 200_000))).await;
        let id = u64::from(env.me().ordinal()) << 8 | operation.number();
        let is_fee = operation.draw(1, 4) == 0;
        let event = Event { id, amount: 1 + operation.draw(2, 500), is_fee };
        // Who hears that it has failed appends it again; who hears nothing does not.
        while let Ok(Answer::Failed) = caller.call(store, Ask::Append(event), ANSWER_MAX).await {}
    }
    client.after_heal().await;
    Ok(())
}
