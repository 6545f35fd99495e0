//! A node that is a broker.

use super::broker::{Broker, NAME, Request};
use super::types::{Ask, Refused, Tell};
pub use squall_env::machine::ServeError;
use squall_env::request::{ReplyTo, Responder};
use squall_env::{Either, Env, Handle, Outcome, Port, mutant, open, race};

/// The name of the port where clients ask.
pub const PORT: &str = "queue";

/// So many requests are under way at most; more are refused before anything happens.
const REQUESTS_MAX: usize = 512;

/// A node that is a broker.
///
/// # Errors
/// If the broker cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env) -> Result<(), ServeError> {
    let (broker, run) = open::<Broker>(&env, NAME, ()).await?;
    let mut asked: Responder<Request, Tell> = Responder::open(&env, Port::named(PORT))?;
    env.ready();
    let permits = squall_env::sync::semaphore(&env, "requests", REQUESTS_MAX);
    let serving = async {
        loop {
            let (request, back) = asked.receive().await?;
            let Some(permit) = permits.try_acquire() else {
                back.reply(Tell::Refused(Refused::Busy));
                continue;
            };
            let (broker, own) = (broker.clone(), env.clone());
            env.spawn("request", async move {
                answer(&own, &broker, request, back).await;
                drop(permit);
            });
        }
    };
    match race(run, serving).await {
        Either::Left(stopped) => Ok(stopped?),
        Either::Right(closed) => closed,
    }
}

async fn answer(env: &Env, broker: &Handle<Broker>, request: Request, back: ReplyTo<Tell>) {
    if mutant!(env, "queue/confirms-before-durable") && matches!(request.ask, Ask::Publish(_)) {
        back.reply(Tell::Published { known: false });
        let _ = broker.request(request).await;
        return;
    }
    match broker.request(request).await {
        Ok(tell) => back.reply(tell),
        Err(error) if error.outcome() == Outcome::NotDone => {
            back.reply(Tell::Refused(Refused::Busy));
        }
        // Without an answer the client learns by its deadline that nobody knows.
        Err(_) => {}
    }
}
