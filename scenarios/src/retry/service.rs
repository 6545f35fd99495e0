//! A service that does one thing at a time, and keeps the others waiting.

use serde::{Deserialize, Serialize};
use squall_env::platform::Closed;
use squall_env::request::{ReplyTo, Responder};
use squall_env::{Env, Port, Shown, sync};
use squall_protocols::retry::{Deadline, Effect, Left};
use std::sync::Arc;
use std::time::Duration;

/// How long it works on a request.
const WORK: Duration = Duration::from_millis(10);

/// How many requests wait at most: what takes it longer than anybody waits.
const WAITING: usize = 400;

/// A try of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: u64,
    /// Which try it is, from 1.
    pub(super) attempt: u32,
    pub(super) effect: Effect,
    /// How long an answer is worth anything.
    pub(super) left: Left,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Overloaded,
}

/// What a service has done since it started: calls and tries, in order.
#[derive(Default)]
pub(super) struct Served {
    /// What has come.
    pub(super) came: Vec<(u64, u32)>,
    /// Which of those it has begun to work on.
    pub(super) begun: Vec<usize>,
    pub(super) done: Vec<(u64, u32, Effect)>,
}

type Waiting = (Request, Deadline, ReplyTo<Answer>, usize);

/// Serves, and if it is `WISE`, leaves what nobody waits for.
pub(super) async fn serve<const WISE: bool>(env: Env) -> Result<(), String> {
    let responder = Responder::<Request, Answer>::open(&env, Port::named("service"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    let (sender, queue) = sync::channel::<Waiting>(&env, "requests", WAITING);
    let served = Arc::new(env.show("served", Served::default()));
    env.spawn("work", work::<WISE>(env.clone(), queue, Arc::clone(&served)));
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let (request, reply) = received.map_err(|error| error.to_string())?;
        let deadline = request.left.from_now(env.now());
        let nth = served.update(&env, |served| {
            served.came.push((request.id, request.attempt));
            served.came.len() - 1
        });
        if let Err(sync::TrySendError::Full((_, _, reply, _))) =
            sender.try_send((request, deadline, reply, nth))
        {
            env.sometimes("the service had too much to do");
            reply.reply(Answer::Overloaded);
        }
    }
}

async fn work<const WISE: bool>(
    env: Env,
    mut queue: sync::Receiver<Waiting>,
    served: Arc<Shown<Served>>,
) {
    while let Some((request, deadline, reply, nth)) = queue.receive().await {
        if WISE && deadline.is_over(env.now()) {
            env.sometimes("the service left what nobody waits for");
            continue;
        }
        served.update(&env, |served| served.begun.push(nth));
        env.sleep(WORK).await;
        let Request { id, attempt, effect, .. } = request;
        served.update(&env, |served| served.done.push((id, attempt, effect)));
        reply.reply(Answer::Done);
    }
}
