//! What is done once for many inputs.

use super::{ensure, in_both_worlds, text};
use squall_env::{Either, Env, Machine, Never, RequestId, Turn, open, race};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Counts how often it has settled, and answers those who wait for that.
#[derive(Default)]
struct Settler {
    settled: u64,
    waiting: Vec<RequestId>,
}

enum Ask {
    HowOften,
    Settle,
}

impl Machine for Settler {
    type Config = ();
    type Timer = Never;
    type Message = Never;
    type Request = Ask;
    type Reply = u64;
    type Record = u64;
    type Snapshot = u64;

    fn restore(_config: &(), _snapshot: Option<u64>) -> Settler {
        Settler::default()
    }

    fn apply(&mut self, _record: &u64) {}

    fn snapshot(&self) -> u64 {
        0
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<Settler>) {
        match ask {
            Ask::HowOften => turn.reply(id, self.settled),
            Ask::Settle => {
                self.waiting.push(id);
                turn.settle();
            }
        }
    }

    fn on_settled(&mut self, turn: &mut Turn<Settler>) {
        self.settled += 1;
        for id in self.waiting.drain(..) {
            turn.reply(id, self.settled);
        }
    }
}

#[test]
fn a_machine_settles_once_for_all_that_wait_and_never_unasked() {
    in_both_worlds(1, |env: Env| async move {
        let (handle, run) = open::<Settler>(&env, "settler", ()).await.map_err(text)?;
        let body = async {
            let unasked = handle.request(Ask::HowOften).await.map_err(text)?;
            ensure(unasked == 0, "it settled unasked")?;
            let handle = &handle;
            let ask = || Box::pin(handle.request(Ask::Settle));
            let mut asked: Vec<Pin<Box<_>>> = (0..8).map(|_| ask()).collect();
            let mut answers = Vec::new();
            // All of them are asked before the machine has a turn.
            poll_fn(|cx| {
                asked.retain_mut(|answer| match answer.as_mut().poll(cx) {
                    Poll::Ready(answer) => {
                        answers.push(answer);
                        false
                    }
                    Poll::Pending => true,
                });
                if asked.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            ensure(answers == [Ok(1); 8], "it did not settle once for all of them")?;
            let again = handle.request(Ask::Settle).await.map_err(text)?;
            ensure(again == 2, "it did not settle again")
        };
        match race(run, body).await {
            Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
            Either::Right(checked) => checked,
        }
    });
}
