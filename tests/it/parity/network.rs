use super::{Checked, ensure, over_every_network, text};
use serde::{Deserialize, Serialize};
use squall_env::platform::{BindError, DATAGRAM_MAX};
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Env, Port};
use std::time::Duration;

const PORT: Port = Port::named("parity");
const RETRY: Duration = Duration::from_millis(50);

/// The other one of two nodes.
fn other(env: &Env) -> Address {
    let me = env.me();
    let mut all = env.addresses("node", PORT);
    all.retain(|address| address.node != me);
    all[0]
}

/// Sends until an answer comes: a connection may be refused at first, and datagrams may be lost.
async fn ask(env: &Env, question: &[u8]) -> Result<Vec<u8>, String> {
    let mut socket = env.bind(Port::ANY).map_err(text)?;
    let mut buffer = Vec::new();
    loop {
        socket.send(other(env), question);
        if let Ok(from) = env.timeout(RETRY, socket.receive(&mut buffer)).await {
            ensure(from.map_err(text)? == other(env), "the answer came from elsewhere")?;
            return Ok(buffer);
        }
    }
}

/// Answers every datagram with itself, for ever.
fn echo(env: &Env) -> Checked {
    let mut socket = env.bind(PORT).map_err(text)?;
    env.spawn("echo", async move {
        let mut buffer = Vec::new();
        while let Ok(from) = socket.receive(&mut buffer).await {
            socket.send(from, &buffer);
        }
    });
    Ok(())
}

#[test]
fn what_is_sent_arrives_whole_up_to_the_largest_datagram() {
    over_every_network(2, |env: Env| async move {
        echo(&env)?;
        for size in [0, 1, 63, 64, 65, 5_000, DATAGRAM_MAX] {
            let question: Vec<u8> = (0..size).map(|at| at as u8 ^ size as u8).collect();
            let answer = ask(&env, &question).await?;
            ensure(answer == question, "the bytes that came are not those that were sent")?;
        }
        Ok(())
    });
}

#[test]
fn what_is_too_large_is_dropped_and_the_rest_goes_on() {
    over_every_network(2, |env: Env| async move {
        echo(&env)?;
        ask(&env, b"first").await?;
        let mut socket = env.bind(Port::ANY).map_err(text)?;
        socket.send(other(&env), &vec![1; DATAGRAM_MAX + 1]);
        let waited = env.timeout(4 * RETRY, socket.receive(&mut Vec::new())).await;
        ensure(waited.is_err(), "too large a datagram was delivered")?;
        ask(&env, b"still there").await.map(drop)
    });
}

#[test]
fn a_node_reaches_itself() {
    over_every_network(1, |env: Env| async move {
        let mut socket = env.bind(PORT).map_err(text)?;
        let me = Address::new(env.me(), PORT);
        socket.send(me, b"hello");
        let mut buffer = Vec::new();
        let from = socket.receive(&mut buffer).await.map_err(text)?;
        ensure(from == me && buffer == b"hello", "it heard something else")
    });
}

#[test]
fn a_port_is_bound_once_and_comes_back() {
    over_every_network(1, |env: Env| async move {
        let first = env.bind(PORT).map_err(text)?;
        let second = env.bind(PORT).err();
        ensure(second == Some(BindError::InUse(PORT)), "a port was bound twice")?;
        drop(first);
        env.bind(PORT).map_err(text)?;
        let (one, two) = (env.bind(Port::ANY).map_err(text)?, env.bind(Port::ANY).map_err(text)?);
        ensure(one.port() != two.port(), "two sockets have one port")
    });
}

#[test]
fn what_goes_to_a_port_that_nobody_has_is_dropped() {
    over_every_network(2, |env: Env| async move {
        echo(&env)?;
        let socket = env.bind(Port::ANY).map_err(text)?;
        let nobody = Address::new(other(&env).node, Port::named("nobody"));
        socket.send(nobody, b"lost");
        ask(&env, b"found").await.map(drop)
    });
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Question {
    Double(u32),
    Silence,
}

#[test]
fn requests_get_their_own_answers_and_silence_is_indeterminate() {
    over_every_network(2, |env: Env| async move {
        let mut responder: Responder<Question, u32> = Responder::open(&env, PORT).map_err(text)?;
        env.spawn("server", async move {
            while let Ok((question, reply)) = responder.receive().await {
                if let Question::Double(number) = question {
                    reply.reply(number * 2);
                }
            }
        });
        let caller: Caller<Question, u32> = Caller::open(&env).map_err(text)?;
        let to = other(&env);
        let limit = Duration::from_secs(1);
        while caller.call(to, Question::Double(1), RETRY).await.is_err() {}
        let (one, two) = (
            caller.call(to, Question::Double(20), limit),
            caller.call(to, Question::Double(3), limit),
        );
        let answers = both(one, two).await;
        ensure(answers == (Ok(40), Ok(6)), "answers went to the wrong question")?;
        let silence = caller.call(to, Question::Silence, RETRY).await;
        ensure(silence == Err(CallError::Timeout), "silence was answered")?;
        let outcome = CallError::Timeout.outcome();
        ensure(outcome == squall_env::Outcome::Indeterminate, "a timeout knows the outcome")
    });
}

#[test]
fn an_answer_that_takes_longer_than_the_patience_is_heard_all_the_same() {
    over_every_network(2, |env: Env| async move {
        let mut responder: Responder<u32, u32> = Responder::open(&env, PORT).map_err(text)?;
        let own = env.clone();
        env.spawn("server", async move {
            while let Ok((number, reply)) = responder.receive().await {
                let late = own.clone();
                own.spawn("answer", async move {
                    late.sleep(RETRY * 4).await;
                    reply.reply(number * 2);
                });
            }
        });
        let caller: Caller<u32, u32> = Caller::open(&env).map_err(text)?;
        let (to, limit) = (other(&env), Duration::from_secs(10));
        let heard = caller.call_again(to, 21, RETRY, limit).await.map_err(text)?;
        ensure(heard.response == 42, "the answer is another one's")?;
        ensure(heard.sent > 1, "nothing was sent again")?;
        let once = caller.call(to, 21, RETRY).await;
        ensure(once == Err(CallError::Timeout), "an answer came before it was given")
    });
}

/// Waits for both, in any order.
async fn both<A: Future, B: Future>(one: A, two: B) -> (A::Output, B::Output) {
    let (mut one, mut two) = (Box::pin(one), Box::pin(two));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|cx| {
        if first.is_none()
            && let std::task::Poll::Ready(output) = one.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let std::task::Poll::Ready(output) = two.as_mut().poll(cx)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => std::task::Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                std::task::Poll::Pending
            }
        }
    })
    .await
}
