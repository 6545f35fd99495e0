//! Aggregates, snapshots and subscriptions on a store with files, in both worlds.

use crate::parity::{ensure, in_both_worlds, text};
use squall_env::{Either, Env, race};
use squall_protocols::aggregate::bank::{self, Account, BankError};
use squall_protocols::aggregate::game::{self, Player};
use squall_protocols::aggregate::{
    Aggregate, FileSnapshots, Repository, RepositoryError, Settings, Snapshots,
};
use squall_protocols::event_store::{
    Checkpoint, EventId, EventStore, Expected, Filter, NewEvent, Position, Schema, SegmentConfig,
    SegmentStore, Subscription,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

async fn open(env: &Env) -> Result<Arc<dyn EventStore>, String> {
    let config = SegmentConfig { segment_bytes_max: 2048, ..SegmentConfig::default() };
    Ok(Arc::new(SegmentStore::open(env, "events", config).await.map_err(text)?))
}

#[test]
fn an_account_keeps_its_balance_when_the_store_is_opened_again() {
    in_both_worlds(1, |env: Env| async move {
        let accounts = Repository::<Account>::new(&env, open(&env).await?, "account");
        let open_it =
            bank::Command::Open { customer_id: "cust-1".to_owned(), initial_deposit: 10_000 };
        accounts.handle("acc-123", open_it).await.map_err(text)?;
        let withdraw = |cents| bank::Command::Withdraw { cents };
        accounts.handle("acc-123", withdraw(30_00)).await.map_err(text)?;
        let refused = accounts.handle("acc-123", withdraw(70_01)).await.err();
        let wanted = Some(RepositoryError::Rejected(BankError::NotEnoughFunds));
        ensure(refused == wanted, "it was overdrawn")?;
        drop(accounts);
        let accounts = Repository::<Account>::new(&env, open(&env).await?, "account");
        let loaded = accounts.load("acc-123").await.map_err(text)?;
        ensure(loaded.state.balance() == 70_00 && loaded.last == Some(1), "it is another balance")
    });
}

#[test]
fn a_replay_of_the_game_shows_the_score_after_each_event() {
    in_both_worlds(1, |env: Env| async move {
        let store = open(&env).await?;
        let players = Repository::<Player>::new(&env, Arc::clone(&store), "player");
        let began = env.wall();
        let earn = |points| game::Command::Earn { points };
        let collect = |name: &str| game::Command::Collect { power_up: name.to_owned() };
        let demo = [
            game::Command::Start,
            earn(50),
            collect("Speed Boost"),
            earn(75),
            collect("Shield"),
            earn(100),
        ];
        for command in demo {
            players.handle("player-1", command).await.map_err(text)?;
        }
        let slice = store.read("player-player-1", 0, 100).await.map_err(text)?;
        let mut walls = slice.events.iter().map(|event| event.metadata.wall);
        ensure(walls.all(|wall| began <= wall && wall <= env.wall()), "it is of another time")?;
        let (mut player, mut scores) = (Player::default(), Vec::new());
        for event in &slice.events {
            let event = Schema::<game::Event>::new().read(event).map_err(text)?;
            player.evolve(&event.ok_or("an event of the store's own")?);
            let is_first = scores.is_empty();
            let is_begun = player.level() == 1 && player.achievements() == ["First Steps"];
            ensure(!is_first || is_begun, "it has not begun as games do")?;
            ensure(player.status() == game::Status::Playing, "it is not under way")?;
            scores.push(player.score());
        }
        ensure(scores == [0, 50, 50, 125, 125, 225], &format!("the scores are {scores:?}"))?;
        let loaded = players.load("player-1").await.map_err(text)?;
        ensure(loaded.state == player && player.level() == 3, "the state is another")
    });
}

#[test]
fn a_snapshot_spares_the_events_before_it_and_is_dropped_with_its_stream() {
    in_both_worlds(1, |env: Env| async move {
        let (store, files) = (open(&env).await?, FileSnapshots::new(&env, "snapshots"));
        let settings = Settings { snapshot_every: 3, ..Settings::default() };
        let accounts = Repository::<Account>::new(&env, Arc::clone(&store), "account")
            .snapshots(Arc::new(files.clone()))
            .settings(settings);
        let open_it = |cents| bank::Command::Open {
            customer_id: "cust-1".to_owned(),
            initial_deposit: cents,
        };
        accounts.handle("1", open_it(10_000)).await.map_err(text)?;
        for cents in 1..=5 {
            accounts.handle("1", bank::Command::Deposit { cents }).await.map_err(text)?;
        }
        let snapshot = files.load("account-1").await.map_err(text)?.ok_or("there is none")?;
        ensure(snapshot.version == 2, &format!("it is of version {}", snapshot.version))?;
        let (loaded, replayed) = (accounts.load("1").await, accounts.replay("1").await);
        ensure(loaded == replayed && loaded.is_ok(), "the snapshot gives another state")?;
        // Softly deleted, the account begins anew, whatever the snapshot says.
        let id = EventId::random(&env);
        store.delete_softly("account-1", Expected::Any, id).await.map_err(text)?;
        let loaded = accounts.load("1").await.map_err(text)?;
        ensure(loaded.state == Account::default() && loaded.last.is_none(), "it came back")?;
        accounts.handle("1", open_it(20_000)).await.map_err(text)?;
        let loaded = accounts.load("1").await.map_err(text)?;
        ensure(loaded.state.balance() == 20_000, "it goes on from the old snapshot")
    });
}

#[test]
fn a_subscriber_catches_up_then_hears_of_what_comes_and_goes_on_from_its_checkpoint() {
    in_both_worlds(1, |env: Env| async move {
        let store = open(&env).await?;
        let event = |number: u8| {
            let id = EventId(u128::from(number));
            vec![NewEvent::new(id, "counted", [number])]
        };
        for number in 1..=3 {
            store.append("s", Expected::Any, event(number)).await.map_err(text)?;
        }
        let mut heard = Vec::new();
        for (until, more) in [(5, 4..=5), (7, 6..=7)] {
            let mut checkpoint = Checkpoint::open(&env, "reader").await.map_err(text)?;
            let after = checkpoint.position();
            let mut subscription =
                Subscription::new(&env, Arc::clone(&store), after, Filter::prefix("s"));
            let seen = Arc::new(Mutex::new(Vec::new()));
            let follow = subscription.follow(&mut checkpoint, 2, |event| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.lock().map_err(text)?.push(event.data[0]);
                    Ok::<(), String>(())
                }
            });
            let append = async {
                for number in more {
                    env.sleep(Duration::from_millis(20)).await;
                    store.append("s", Expected::Any, event(number)).await.map_err(text)?;
                }
                while seen.lock().map_err(text)?.last() != Some(&until) {
                    env.sleep(Duration::from_millis(5)).await;
                }
                // Until the checkpoint behind it is saved.
                env.sleep(Duration::from_millis(300)).await;
                Ok::<(), String>(())
            };
            match race(follow, append).await {
                Either::Left(stopped) => return Err(format!("it has stopped: {stopped:?}")),
                Either::Right(done) => done?,
            }
            heard.extend(seen.lock().map_err(text)?.drain(..));
        }
        ensure(heard == [1, 2, 3, 4, 5, 6, 7], &format!("it has heard {heard:?}"))?;
        let checkpoint = Checkpoint::open(&env, "reader").await.map_err(text)?;
        ensure(checkpoint.position() == Position(7), "the checkpoint is elsewhere")
    });
}
