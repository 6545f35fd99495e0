use super::{ensure, in_both_worlds, text};
use squall_env::machine::RequestError;
use squall_env::{Env, Machine, Never, RequestId, Turn, open, race};
use std::time::Duration;

/// Counts what it is asked to, and remembers it.
#[derive(Debug, PartialEq)]
struct Counter {
    total: u64,
    ticks: u64,
}

enum Ask {
    Add(u64),
    Ticks,
    Compact,
}

impl Machine for Counter {
    type Config = u64;
    type Timer = ();
    type Message = Never;
    type Request = Ask;
    type Reply = u64;
    type Record = u64;
    type Snapshot = u64;

    fn restore(start: &u64, snapshot: Option<u64>) -> Counter {
        Counter { total: snapshot.unwrap_or(*start), ticks: 0 }
    }

    fn apply(&mut self, record: &u64) {
        self.total += record;
    }

    fn snapshot(&self) -> u64 {
        self.total
    }

    fn on_start(&mut self, turn: &mut Turn<Counter>) {
        turn.arm((), Duration::from_millis(1));
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<Counter>) {
        match ask {
            Ask::Add(number) => {
                turn.persist(self, number);
                turn.reply(id, self.total);
            }
            Ask::Ticks => turn.reply(id, self.ticks),
            Ask::Compact => {
                turn.compact();
                turn.reply(id, self.total);
            }
        }
    }

    fn on_timer(&mut self, (): (), turn: &mut Turn<Counter>) {
        self.ticks += 1;
        turn.arm((), Duration::from_millis(1));
    }
}

#[test]
fn a_machine_answers_keeps_time_and_remembers_what_it_answered() {
    in_both_worlds(1, |env: Env| async move {
        let mut expected = 5;
        // Each round is a life of the machine; the journal is all that leads from one to the next.
        for life in 0..4u64 {
            let (handle, run) = open::<Counter>(&env, "counter", 5).await.map_err(text)?;
            let body = async {
                for number in 0..20 {
                    expected += number;
                    let total = handle.request(Ask::Add(number)).await.map_err(text)?;
                    ensure(total == expected, "the total is wrong")?;
                }
                if life == 1 {
                    handle.request(Ask::Compact).await.map_err(text)?;
                    env.sleep(Duration::from_millis(50)).await;
                }
                while handle.request(Ask::Ticks).await.map_err(text)? == 0 {
                    env.sleep(Duration::from_millis(1)).await;
                }
                ensure(handle.live().read(|counter| counter.total) == expected, "live differs")
            };
            match race(run, body).await {
                squall_env::Either::Left(stopped) => {
                    return Err(format!("it stopped: {stopped:?}"));
                }
                squall_env::Either::Right(checked) => checked?,
            }
            let late = handle.request(Ask::Ticks).await;
            ensure(late == Err(RequestError::Stopped), "a machine that is gone answered")?;
        }
        Ok(())
    });
}

#[test]
fn many_requests_at_once_each_get_their_answer() {
    in_both_worlds(1, |env: Env| async move {
        let (handle, run) = open::<Counter>(&env, "counter", 0).await.map_err(text)?;
        env.spawn("machine", async move { run.await.map_err(text) });
        let asked: Vec<_> = (0..100u64)
            .map(|_| {
                let handle = handle.clone();
                env.spawn("asker", async move { handle.request(Ask::Add(1)).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in asked {
            answers.push(task.await.map_err(text)?.map_err(text)?);
        }
        answers.sort_unstable();
        ensure(answers == (1..=100).collect::<Vec<_>>(), "answers were lost or came twice")
    });
}
