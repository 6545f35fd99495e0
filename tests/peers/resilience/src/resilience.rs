//! Breakers and rate limiters beside governor and tower-resilience: nanoseconds for a call that is
//! let through, with one thread and with two that share the same one.

use governor::{DefaultKeyedRateLimiter, RateLimiter};
use squall_env::{Env, Roster};
use squall_protocols::breaker::{self, SharedBreaker, Verdict};
use squall_protocols::limiter::{self, AtomicGcra, Gcra, SharedLimiter};
use squall_protocols::tower::{BreakerLayer, LimiterLayer};
use squall_real::{Config, Node};
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tower_layer::Layer;
use tower_resilience::circuitbreaker::CircuitBreakerLayer;
use tower_resilience::ratelimiter::RateLimiterLayer;
use tower_service::Service;

/// How many calls each thread makes in a round.
const CALLS: u64 = 300_000;

/// How many rounds there are; what is printed is the median.
const ROUNDS: usize = 7;

/// How many keys are asked for, one after the other.
const KEYS: u64 = 1_000;

/// Cells for a second, and at once: more than are asked for, so that all are allowed.
const CELLS: u32 = 500_000_000;

/// Makes so many calls.
type Caller = Box<dyn FnMut(u64) + Send>;

/// What is measured: its name, and what it is compared with.
struct Subject {
    name: &'static str,
    against: Option<&'static str>,
    caller: Box<dyn Fn() -> Caller>,
}

/// A service that answers at once.
#[derive(Clone)]
struct Backend;

impl Service<u64> for Backend {
    type Response = u64;
    type Error = std::io::Error;
    type Future = Ready<Result<u64, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request))
    }
}

/// Polls until it is done: nothing here waits for long.
fn finish<F: Future>(future: F) -> F::Output {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::hint::spin_loop();
    }
}

/// Calls a service as users of tower do.
fn service<S>(service: &S) -> Caller
where
    S: Service<u64> + Clone + Send + 'static,
{
    let mut service = service.clone();
    Box::new(move |calls| {
        for request in 0..calls {
            let is_ready = finish(std::future::poll_fn(|cx| service.poll_ready(cx)));
            assert!(is_ready.is_ok() && finish(service.call(request)).is_ok());
        }
    })
}

/// A subject whose callers share what this is given.
fn subject<T, F>(name: &'static str, against: Option<&'static str>, shared: T, caller: F) -> Subject
where
    T: 'static,
    F: Fn(&T) -> Caller + 'static,
{
    Subject { name, against, caller: Box::new(move || caller(&shared)) }
}

fn breakers(env: &Env) -> Result<Vec<Subject>, Box<dyn Error>> {
    let config = || breaker::Config { half_open_calls: 10, ..breaker::Config::default() };
    let judge = |result: &Result<u64, std::io::Error>| match result {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Failure,
    };
    let layer = BreakerLayer::new(SharedBreaker::new(env, config())?, judge);
    let theirs = CircuitBreakerLayer::builder()
        .sliding_window_size(100)
        .minimum_number_of_calls(100)
        .failure_rate_threshold(0.5)
        .build()?;
    let value = |breaker: &SharedBreaker| -> Caller {
        let breaker = breaker.clone();
        Box::new(move |calls| {
            for _ in 0..calls {
                breaker.acquire().expect("it is closed").record(Verdict::Success);
            }
        })
    };
    let theirs_name = "breaker: tower-resilience, a service of tower";
    Ok(vec![
        subject(theirs_name, None, theirs.layer(Backend), service),
        subject(
            "breaker: squall, a service of tower",
            Some(theirs_name),
            layer.layer(Backend),
            service,
        ),
        subject("breaker: squall, by hand", None, SharedBreaker::new(env, config())?, value),
    ])
}

fn limiters(env: &Env) -> Result<Vec<Subject>, Box<dyn Error>> {
    let cells = NonZeroU32::new(CELLS).ok_or("no cells")?;
    let theirs = governor::Quota::per_second(cells);
    let ours = limiter::Quota::per(Duration::from_secs(1), CELLS)?;
    let direct = Arc::new(RateLimiter::direct(theirs));
    let keyed: Arc<DefaultKeyedRateLimiter<u64>> = Arc::new(RateLimiter::keyed(theirs));
    let shared = |env: &Env| SharedLimiter::<u64>::new(env, ours, KEYS as usize);
    // A shard has room for more than its part, for keys do not fall alike.
    let sharded = SharedLimiter::<u64>::sharded(env, Gcra::new(ours), 4 * KEYS as usize, 64);
    let one = |limiter: &SharedLimiter<u64>, keys: u64| -> Caller {
        let limiter = limiter.clone();
        Box::new(move |calls| {
            (0..calls).for_each(|call| assert!(limiter.check(&(call % keys)).is_ok()));
        })
    };
    let number = (env.clone(), Arc::new(AtomicGcra::new(ours)));
    let window = RateLimiterLayer::builder()
        .limit_for_period(CELLS as usize)
        .refresh_period(Duration::from_secs(1))
        .build()?;
    let layer = LimiterLayer::new(shared(env), |_: &u64| 0);
    let (of_one, of_many) = ("limiter of one key: governor", "limiter of 1 000 keys: governor");
    let of_tower = "limiter: tower-resilience, a service of tower";
    Ok(vec![
        subject(of_one, None, direct, |limiter| {
            let limiter = Arc::clone(limiter);
            Box::new(move |calls| (0..calls).for_each(|_| assert!(limiter.check().is_ok())))
        }),
        subject("limiter of one key: squall", Some(of_one), shared(env), move |limiter| {
            one(limiter, 1)
        }),
        subject(
            "limiter of one key: squall, one number",
            Some(of_one),
            number,
            |(env, limiter)| {
                let (env, limiter) = (env.clone(), Arc::clone(limiter));
                Box::new(move |calls| {
                    (0..calls).for_each(|_| assert!(limiter.check(env.now()).is_allowed()));
                })
            },
        ),
        subject(of_many, None, keyed, |limiter| {
            let limiter = Arc::clone(limiter);
            Box::new(move |calls| {
                (0..calls).for_each(|call| assert!(limiter.check_key(&(call % KEYS)).is_ok()));
            })
        }),
        subject("limiter of 1 000 keys: squall", Some(of_many), shared(env), move |limiter| {
            one(limiter, KEYS)
        }),
        subject(
            "limiter of 1 000 keys: squall, in shards",
            Some(of_many),
            sharded,
            move |limiter| one(limiter, KEYS),
        ),
        subject(of_tower, None, window.layer(Backend), service),
        subject(
            "limiter: squall, a service of tower",
            Some(of_tower),
            layer.layer(Backend),
            service,
        ),
    ])
}

/// Nanoseconds for a call, when so many threads make them.
fn round(subject: &Subject, threads: usize) -> f64 {
    let start = Arc::new(Barrier::new(threads));
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let (mut caller, start) = ((subject.caller)(), Arc::clone(&start));
            std::thread::spawn(move || {
                caller(CALLS / 10);
                start.wait();
                let began = Instant::now();
                caller(CALLS);
                began.elapsed()
            })
        })
        .collect();
    let took = running.into_iter().map(|thread| thread.join().expect("no caller panics"));
    took.max().unwrap_or_default().as_nanos() as f64 / CALLS as f64
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// The environment of a real node, for its clock.
fn real_env() -> Result<(Env, Node, tempfile::TempDir), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let roster = Roster::new("bench").with("node", 1);
    let me = roster.nodes("node").next().ok_or("no node")?;
    let (sender, receiver) = mpsc::channel();
    let node =
        Node::start(Config::new(roster, me, directory.path()), move |env: Env| async move {
            sender.send(env.clone())?;
            env.stopping().await;
            Ok::<(), mpsc::SendError<Env>>(())
        })?;
    Ok((receiver.recv()?, node, directory))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (env, node, _directory) = real_env()?;
    let subjects: Vec<Subject> = breakers(&env)?.into_iter().chain(limiters(&env)?).collect();
    let mut rounds = vec![[Vec::new(), Vec::new()]; subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, rounds) in subjects.iter().zip(&mut rounds) {
            for threads in [1, 2] {
                rounds[threads - 1].push(round(subject, threads));
            }
        }
    }
    let medians: Vec<[f64; 2]> = rounds.into_iter().map(|two| two.map(median)).collect();
    println!("| | ns, one thread | ns, two threads | of the peer's time |");
    println!("|---|---|---|---|");
    for (subject, [one, two]) in subjects.iter().zip(&medians) {
        let peer = subjects.iter().position(|other| Some(other.name) == subject.against);
        let ratio = peer.map_or(String::new(), |peer| {
            let [its_one, its_two] = medians[peer];
            format!("{:.2}, {:.2}", one / its_one, two / its_two)
        });
        println!("| {} | {one:.0} | {two:.0} | {ratio} |", subject.name);
    }
    node.stop()?;
    Ok(())
}
