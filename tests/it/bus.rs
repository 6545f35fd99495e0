use crate::assert_found;
use crate::parity::{Checked, ensure, in_both_worlds, text};
use squall_env::sync::stop;
use squall_env::{Either, Env, race};
use squall_protocols::bus::{
    self, Backend, Begin, BusClient, BusConfig, BusError, Given, Post, Refused,
};
use squall_protocols::queue::{Backoff, Failure, MessageId};
use squall_scenarios::bus::{mutants, subscriptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn every_subscription_hears_of_everything_in_order() {
    subscriptions().seeds(0..200).run();
}

#[test]
fn every_mutant_of_the_bus_breaks_the_property_that_it_names() {
    assert_found(mutants(), 1_000);
}

const SHORT: Duration = Duration::from_millis(5);

/// Posts an event of this kind that says a number, which is also its id.
async fn post(bus: &BusClient, kind: &str, number: u8) -> Result<u64, BusError> {
    let id = MessageId(u128::from(number));
    bus.post_again(Post { id, kind: kind.to_owned(), body: vec![number] }).await
}

/// What a subscription is given within a while; what says `fails` is not done.
async fn hears(env: &Env, bus: &BusClient, name: &str, fails: u8) -> Result<Vec<u8>, String> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (stopper, stopped) = stop(env, "reader");
    let handler = |given: Given| {
        let heard = Arc::clone(&heard);
        async move {
            let number = given.post.body[0];
            if number == fails {
                return Err(Failure::Retry("it cannot be done".to_owned()));
            }
            heard.lock().unwrap().push(number);
            Ok(())
        }
    };
    let own = env.clone();
    env.spawn("stopper", async move {
        own.sleep(Duration::from_millis(300)).await;
        stopper.stop();
    });
    let backoff = Backoff::new(SHORT, SHORT);
    bus.read(env, name, backoff, stopped, handler).await.map_err(text)?;
    let heard = heard.lock().unwrap().clone();
    Ok(heard)
}

/// A bus with room for four posts and one that is parked, where this is done.
fn on_a_bus<F, Fut>(check: F)
where
    F: Fn(Env, BusClient) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    in_both_worlds(1, move |env: Env| async move {
        let config = BusConfig {
            posts_max: 4,
            attempts_max: 2,
            claim: Duration::from_millis(50),
            ..BusConfig::default()
        };
        let bus = BusClient::open(&env, env.me(), Duration::from_secs(5)).map_err(text)?;
        match race(bus::serve(env.clone(), config), check(env.clone(), bus)).await {
            Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
            Either::Right(checked) => checked,
        }
    });
}

#[test]
fn a_subscription_by_kind_hears_of_nothing_else_and_holds_up_nobody() {
    on_a_bus(|env: Env, bus: BusClient| async move {
        bus.subscribe("paid", &["paid", "refused"], Begin::Oldest).await.map_err(text)?;
        bus.subscribe("paid", &["refused", "paid"], Begin::Oldest).await.map_err(text)?;
        let other = bus.subscribe("paid", &["paid"], Begin::Oldest).await;
        ensure(other == Err(Refused::Differs.into()), "a subscription changed its kinds")?;
        // There are more of them than the bus has room for.
        for number in 0..9 {
            post(&bus, "sent", number).await.map_err(text)?;
        }
        for (kind, number) in [("paid", 10), ("sent", 11), ("refused", 12)] {
            post(&bus, kind, number).await.map_err(text)?;
        }
        let heard = hears(&env, &bus, "paid", 0).await?;
        ensure(heard == [10, 12], &format!("it heard {heard:?}"))
    });
}

#[test]
fn who_unsubscribes_is_waited_for_no_more() {
    on_a_bus(|_: Env, bus: BusClient| async move {
        bus.subscribe("slow", &[], Begin::Next).await.map_err(text)?;
        for number in 0..4 {
            post(&bus, "sent", number).await.map_err(text)?;
        }
        ensure(post(&bus, "sent", 4).await == Err(Refused::Full.into()), "there was room")?;
        bus.unsubscribe("slow").await.map_err(text)?;
        post(&bus, "sent", 4).await.map_err(text)?;
        let gone = bus.standing("slow").await;
        ensure(gone == Err(Refused::NoSubscription.into()), "it is there still")
    });
}

#[test]
fn a_parked_post_is_tried_again_or_dropped_as_somebody_says() {
    on_a_bus(|env: Env, bus: BusClient| async move {
        bus.subscribe("all", &[], Begin::Next).await.map_err(text)?;
        for number in [1, 2] {
            post(&bus, "sent", number).await.map_err(text)?;
        }
        ensure(hears(&env, &bus, "all", 1).await? == [2], "a post that fails holds up others")?;
        let parked = bus.parked("all", None).await.map_err(text)?;
        let [first] = &parked[..] else { return Err(format!("{parked:?} are parked")) };
        ensure(first.why == "it cannot be done", "it is not said why")?;
        bus.replay("all", first.position).await.map_err(text)?;
        ensure(hears(&env, &bus, "all", 0).await? == [1], "it is not tried again")?;
        post(&bus, "sent", 3).await.map_err(text)?;
        ensure(hears(&env, &bus, "all", 3).await?.is_empty(), "it was done")?;
        let parked = bus.parked("all", None).await.map_err(text)?;
        let position = parked.first().ok_or("nothing is parked")?.position;
        bus.discard("all", position).await.map_err(text)?;
        ensure(bus.parked("all", None).await.map_err(text)?.is_empty(), "it is not dropped")?;
        let again = bus.replay("all", position).await;
        ensure(again == Err(Refused::NotParked.into()), "what is dropped can be tried again")
    });
}
