//! Who takes part in the saga of an order, and how they are reached: past a breaker for each.

use super::gateway::breaker;
use super::orders::{ACCEPT, CONFIRM, Command, Orders, Told};
use crate::saga::services::{ROLE_OF, Remote};
use squall_env::platform::{BindError, BoxFuture};
use squall_env::{Elapsed, Env};
use squall_protocols::breaker::{Registry, Verdict};
use squall_protocols::outbox::OutboxClient;
use squall_protocols::saga::{Answer, Call, Definition, Participants, Patience};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a service may take, less than a saga waits for it.
const CALL_MAX: Duration = Duration::from_millis(1_500);

const PATIENCE: Patience = Patience {
    call_max: Duration::from_secs(2),
    attempts_max: 6,
    undo_attempts_max: 20,
    pause: Duration::from_millis(50),
    pause_max: Duration::from_millis(800),
};

/// An order: accepted, then reserved while the credit is looked at, paid, sent and confirmed.
pub(super) fn order(env: &Env) -> Definition {
    let first: &[&str] = match squall_env::mutant!(env, "shop/reserves-for-every-post") {
        true => &[],
        false => &[ACCEPT],
    };
    let order = Definition::of("shop order", 1)
        .compensatable(ACCEPT, &[])
        .compensatable("reserve", first)
        .compensatable("credit", &[ACCEPT]);
    let order = if squall_env::mutant!(env, "shop/confirms-what-is-not-paid") {
        order.compensatable(CONFIRM, &["reserve"]).pivot("charge").retriable("ship", &[])
    } else {
        order.pivot("charge").retriable("ship", &[]).retriable(CONFIRM, &["ship"])
    };
    order.patience(PATIENCE).build().expect("the steps make sense")
}

/// Everybody who takes part.
pub(super) struct Services {
    env: Env,
    orders: OutboxClient<Orders>,
    others: Remote,
    breakers: Mutex<Registry>,
}

impl Services {
    pub(super) fn open(env: &Env) -> Result<Services, BindError> {
        let breakers = Registry::new(env, breaker(), ROLE_OF.len() + 1);
        Ok(Services {
            orders: OutboxClient::open(env, env.peers("orders")[0], CALL_MAX)?,
            others: Remote::open(env)?,
            breakers: Mutex::new(breakers.expect("the configuration makes sense")),
            env: env.clone(),
        })
    }

    async fn carry(&self, call: Call) -> Answer {
        if call.step != ACCEPT && call.step != CONFIRM {
            return self.others.call(call).await;
        }
        match self.orders.command(Command::Call(call)).await {
            Ok(Some(Told::Answer(answer))) => answer,
            _ => Answer::Unknown,
        }
    }
}

impl Participants for Services {
    fn call(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let role = ROLE_OF.into_iter().find(|(step, _)| *step == call.step);
            let role = role.map_or("orders", |(_, role)| role);
            let breaker = self.breakers.lock().unwrap_or_else(PoisonError::into_inner).get(role);
            let Ok(leave) = breaker.acquire() else {
                self.env.sometimes("a service was not called that does not answer");
                return Answer::Unknown;
            };
            let answer = match self.env.timeout(CALL_MAX, self.carry(call)).await {
                Ok(answer) => answer,
                Err(Elapsed) => Answer::Unknown,
            };
            let is_known = answer != Answer::Unknown;
            leave.record(if is_known { Verdict::Success } else { Verdict::Failure });
            answer
        })
    }
}
