//! A door that lets each customer in at most five times at once, and five times a second after
//! that, whatever its clock does.

use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::{Instant, View};
use squall_protocols::limiter::{Quota, SharedLimiter};
use std::time::Duration;

const BURST: usize = 5;
const INTERVAL: Duration = Duration::from_millis(200);

/// When a customer was let in.
struct LetIn(Vec<Instant>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "nobody is let in more often than allowed";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/limiter")
        .clients("door", 1..=1, let_in)
        .tolerates(
            Tolerance::nothing().impaired("door", Most::Any).any_clock().but_not(Fault::WallDrift),
        )
        .always(PROPERTY, || {
            |view: &View<'_>| view.up::<LetIn>().try_for_each(|let_in| allowed(&let_in.0))
        })
}

fn allowed(times: &[Instant]) -> Result<(), String> {
    for (at, from) in times.iter().enumerate() {
        for (count, until) in (1..).zip(&times[at..]) {
            let within = until.since(*from);
            let most = BURST + (within.as_nanos() / INTERVAL.as_nanos()) as usize;
            if count > most {
                return Err(format!("{count} were let in within {within:?}"));
            }
        }
    }
    Ok(())
}

async fn let_in(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let quota = Quota::per(INTERVAL * BURST as u32, BURST as u32).map_err(|e| e.to_string())?;
    let limiter = SharedLimiter::new(&env, quota, 100);
    let let_in = env.show("let in", LetIn(Vec::new()));
    while let Some(operation) = client.next_operation(40) {
        env.sleep(Duration::from_millis(operation.draw(0, 150))).await;
        if limiter.check(&"Ada").is_ok() {
            let now = env.now();
            let_in.update(&env, |let_in| let_in.0.push(now));
        }
    }
    Ok(())
}
