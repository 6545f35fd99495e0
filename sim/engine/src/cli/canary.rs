//! The canary: a system with a deliberate bug that every sweep must find. If a sweep does not, it
//! would not have found other bugs either.

use crate::choice::hash_text;
use crate::client::Client;
use crate::scenario::Scenario;
use crate::table::Fault;
use crate::tolerance::Tolerance;
use squall_env::{Env, Port, View};
use std::time::Duration;

/// What the canary breaks.
pub(super) const PROPERTY: &str = "every message is counted";

/// A sweep must find it within so many seeds: about one seed in seven shows it.
pub(super) const SEEDS: u64 = 256;

const MESSAGES: u64 = 20;

struct Counted(u64);

/// One node sends so many messages, and another counts them; nobody sends a lost one again.
pub(super) fn scenario() -> Scenario {
    Scenario::new("engine/canary")
        .nodes("counter", 1..=1, count)
        .clients("sender", 1..=1, send)
        .tolerates(Tolerance::nothing().fault(Fault::Loss))
        .heals_after(Duration::from_millis(500))
        .eventually(PROPERTY, Duration::from_secs(1), || {
            |view: &View<'_>| view.up::<Counted>().all(|counted| counted.0 == MESSAGES)
        })
        .breaks(PROPERTY)
}

fn port() -> Port {
    Port::named("canary")
}

async fn count(env: Env) -> Result<(), squall_env::platform::BindError> {
    let mut messages = env.messages::<u64>(port())?;
    let counted = env.show("counted", Counted(0));
    while messages.receive().await.is_ok() {
        counted.update(&env, |counted| counted.0 += 1);
    }
    Ok(())
}

async fn send(client: Client) -> Result<(), squall_env::platform::BindError> {
    let env = client.env();
    let mut messages = env.messages::<u64>(port())?;
    for number in 0..MESSAGES {
        messages.send_all(env.addresses("counter", port()), &(number ^ hash_text("canary")));
        env.sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;

    #[test]
    fn the_canary_is_found_long_before_its_bound_and_fails_in_no_other_way() {
        let scenario = scenario();
        let failures: Vec<_> = (0..SEEDS).filter_map(|seed| run(&scenario, seed).failure).collect();
        assert!(failures.len() > 10, "{} of {SEEDS} seeds show it", failures.len());
        assert!(failures.iter().all(|failure| failure.property == PROPERTY));
        assert!(failures.len() < SEEDS as usize / 2, "calm seeds show it too");
    }
}
