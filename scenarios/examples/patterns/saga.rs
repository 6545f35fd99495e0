//! Trips of a flight and a room. There are fewer rooms than flights: who has no room gives the
//! flight back, whoever crashes in the middle of it.

use super::faults_and_losses;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario};
use squall_env::machine::{RequestId, ServeError, serve_requests};
use squall_env::platform::BoxFuture;
use squall_env::request::Caller;
use squall_env::{Address, Env, Machine, Never, Port, Turn, View, open};
use squall_protocols::event_store::{self, RemoteStore, SegmentConfig};
use squall_protocols::lock::{self, Config, LockClient, Single};
use squall_protocols::saga::{
    Answer, Call, Definition, Definitions, Effects, EventStoreLog, Mark, Orchestrator,
    Participants, SagaId, Served,
};
use std::sync::Arc;
use std::time::Duration;

const PORT: Port = Port::named("places service");
const TRIPS: u64 = 4;

/// Places of a hotel or of an airline, and what was done for which trip.
struct Places {
    free: u32,
    effects: Effects,
}

/// A place is taken or given back, and why: one record.
#[derive(Clone, Serialize, Deserialize)]
struct Change(Option<Mark>, Option<bool>);

impl Machine for Places {
    type Config = u32;
    type Timer = Never;
    type Message = ();
    type Request = Call;
    type Reply = Answer;
    type Record = Change;
    type Snapshot = (u32, Effects);

    fn restore(places: &u32, snapshot: Option<(u32, Effects)>) -> Places {
        let (free, effects) = snapshot.unwrap_or_else(|| (*places, Effects::default()));
        Places { free, effects }
    }

    fn apply(&mut self, Change(mark, taken): &Change) {
        mark.iter().for_each(|mark| self.effects.apply(mark));
        match taken {
            Some(true) => self.free -= 1,
            Some(false) => self.free += 1,
            None => {}
        }
    }

    fn snapshot(&self) -> (u32, Effects) {
        (self.free, self.effects.clone())
    }

    fn on_request(&mut self, id: RequestId, call: Call, turn: &mut Turn<Places>) {
        let take = || match self.free {
            0 => Err("nothing is free".to_owned()),
            _ => Ok((true, Vec::new())),
        };
        // What was done before is not done again, and what was undone never is.
        let served = self.effects.serve(&call, turn, take, |_| Ok(false));
        let Served { answer, mark, change } = served;
        if mark.is_some() {
            turn.persist(self, Change(mark, change));
        }
        turn.reply(id, answer);
    }
}

async fn places(env: Env, free: u32) -> Result<(), ServeError> {
    let (places, run) = open::<Places>(&env, "places", free).await?;
    let answer = |call, back| places.clone().answer(call, back, None);
    serve_requests(&env, run, PORT, answer).await
}

/// The hotel and the airline over the network.
struct Desk(Caller<Call, Answer>, [Address; 2]);

impl Participants for Desk {
    fn call(&self, call: Call) -> BoxFuture<'_, Answer> {
        let to = self.1[usize::from(call.step == "room")];
        Box::pin(async move {
            let answer = self.0.call(to, call, Duration::from_secs(60)).await;
            answer.unwrap_or(Answer::Unknown)
        })
    }
}

/// All trips are over.
struct Over;

/// What has to hold.
pub(crate) const PROPERTY: &str = "who has no room has no flight";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/saga")
        .nodes("events", 1..=1, |env| event_store::serve(env, "events", SegmentConfig::default()))
        .nodes("locks", 1..=1, lock::serve)
        .nodes("airline", 1..=1, |env| places(env, 4))
        .nodes("hotel", 1..=1, |env| places(env, 2))
        .clients("agency", 2..=2, travel)
        .tolerates(faults_and_losses(&["events", "locks", "airline", "hotel"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                let free: Vec<u32> = view.up::<Places>().map(|places| places.free).collect();
                match view.up::<Over>().next().is_some() && free.len() == 2 && free != [2, 0] {
                    true => Err(format!("{} seats and {} rooms are free", free[0], free[1])),
                    false => Ok(()),
                }
            }
        })
        .finishes_within(Duration::from_secs(120))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn travel(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let of = |role| Address::new(env.peers(role)[0], PORT);
    let desk = Desk(Caller::open(&env).map_err(text)?, [of("airline"), of("hotel")]);
    let limit = Duration::from_secs(2);
    let store = RemoteStore::open(&env, env.peers("events")[0], limit).map_err(text)?;
    let log = Arc::new(EventStoreLog::new(&env, Arc::new(store)));
    let trip = Definition::of("trip", 1).compensatable("flight", &[]).pivot("room");
    let trips = Definitions::new([trip.build().map_err(text)?]);
    let poll = Duration::from_millis(50);
    let sagas = Orchestrator::new(&env, log, Arc::new(desk), trips, poll);
    let locks = Arc::new(Single::open(&env, env.peers("locks")[0]).map_err(text)?);
    let locks = LockClient::new(&env, locks, Config::default());
    let (own, running) = (env.clone(), sagas.clone());
    env.spawn("owner", async move {
        loop {
            let (ttl, until) = (Duration::from_secs(2), own.now() + Duration::from_secs(10));
            // Whoever has lost the lock, or did not get it, tries again.
            let _ = running.run_under(&locks, "trips", ttl, until).await;
        }
    });
    for trip in (0..TRIPS).map(SagaId) {
        // Both agencies start all of them: each is started once.
        while sagas.start(trip, "trip", Vec::new()).await.is_err() {}
    }
    for trip in (0..TRIPS).map(SagaId) {
        while !matches!(sagas.report(trip).await, Ok(Some(report)) if report.status.is_over()) {
            env.sleep(poll).await;
        }
    }
    env.show("over", Over);
    Ok(())
}
