//! How long the decision about a history takes.
//!
//! Generated histories have 10 000 operations of 10 to 100 processes, all of which are busy all the
//! time; each is measured as a correct object made it, and with one read changed to a value that
//! was overwritten. With `SQUALL_HISTORIES` naming a folder, each file below it is measured too,
//! after it was read.

#![allow(clippy::disallowed_methods, missing_docs, reason = "a benchmark reads its environment")]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use squall_check::file::{Request, check};
use squall_check::{
    CasCall, CasRegister, CasReturn, FifoQueue, History, Limits, Model, QueueCall, QueueReturn,
    Recorder, is_linearizable,
};

const OPERATIONS: u64 = 10_000;

/// A small generator of numbers (xorshift), the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % end
    }
}

/// A history in which an arbitrary process acts at each event: it invokes, takes effect, or
/// returns.
fn generate<M: Model>(
    model: &M,
    processes: usize,
    mut call: impl FnMut(&mut Numbers, u64) -> M::Input,
    answer: impl Fn(&M::State, &M::Input) -> Option<M::Output>,
) -> History<M::Input, M::Output> {
    enum Stage<I, O> {
        Idle,
        Asked(squall_check::OperationId, I),
        Done(squall_check::OperationId, Option<O>),
    }
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15 ^ processes as u64);
    let recorder = Recorder::new();
    let mut state = model.initial();
    let mut stages: Vec<Stage<M::Input, M::Output>> = (0..processes).map(|_| Stage::Idle).collect();
    let (mut invoked, mut finished) = (0, 0);
    while finished < OPERATIONS {
        let process = numbers.below(processes as u64) as usize;
        let stage = std::mem::replace(&mut stages[process], Stage::Idle);
        stages[process] = match stage {
            Stage::Idle if invoked == OPERATIONS => Stage::Idle,
            Stage::Idle => {
                let input = call(&mut numbers, invoked);
                invoked += 1;
                Stage::Asked(recorder.invoke(process as u64, input.clone(), 0), input)
            }
            Stage::Asked(id, input) => {
                let output = answer(&state, &input);
                if let Some(output) = &output {
                    state = model.step(&state, &input, Some(output)).expect("a correct answer");
                }
                Stage::Done(id, output)
            }
            Stage::Done(id, output) => {
                finished += 1;
                match output {
                    Some(output) => recorder.ok(id, output, 0),
                    None => recorder.fail(id, 0),
                }
                Stage::Idle
            }
        };
    }
    recorder.finish()
}

/// A register that is read, written and replaced, with as many values as it is given.
fn register(processes: usize, values: u64) -> History<CasCall<u64>, CasReturn<u64>> {
    generate(
        &CasRegister::new(0),
        processes,
        |numbers, number| {
            let value = if values == 0 { number + 1 } else { numbers.below(values) };
            match numbers.below(4) {
                0 | 1 => CasCall::Read,
                2 => CasCall::Write(value),
                _ => CasCall::Cas(numbers.below(values.max(1)), value),
            }
        },
        |state, call| match call {
            CasCall::Read => Some(CasReturn::Value(*state)),
            CasCall::Write(_) => Some(CasReturn::Written),
            CasCall::Cas(old, _) => (old == state).then_some(CasReturn::Swapped(true)),
        },
    )
}

/// The same history with a read at three quarters of it that sees a value nobody wrote.
fn broken(
    history: &History<CasCall<u64>, CasReturn<u64>>,
) -> History<CasCall<u64>, CasReturn<u64>> {
    let mut lines = Vec::new();
    history.write_jsonl(&mut lines).expect("memory takes all");
    let text = String::from_utf8(lines).expect("JSON is text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let from = lines.len() * 3 / 4;
    let read = lines[from..].iter_mut().find(|line| line.contains("{\"value\":"));
    let read = read.expect("some read in the last quarter");
    let at = read.find("{\"value\":").expect("its value") + "{\"value\":".len();
    read.insert(at, '9');
    History::read_jsonl(lines.join("\n").as_bytes()).expect("a history")
}

fn generated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generated");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    let limits = Limits::unhurried();
    for processes in [10, 30, 100] {
        for values in [0, 5] {
            let name = if values == 0 { "unique" } else { "five" };
            let valid = register(processes, values);
            let wrong = broken(&valid);
            for (kind, history, expected) in [("valid", &valid, true), ("wrong", &wrong, false)] {
                group.bench_function(format!("cas-register/{name}/{kind}/{processes}"), |bench| {
                    bench.iter(|| {
                        let verdict = is_linearizable(&CasRegister::new(0), history, &limits);
                        assert_eq!(verdict, Some(expected));
                    });
                });
            }
        }
        let queue = generate(
            &FifoQueue::new(),
            processes,
            |numbers, number| match numbers.below(2) {
                0 => QueueCall::Enqueue(number),
                _ => QueueCall::Dequeue,
            },
            |state, call| {
                Some(match (call, state.front()) {
                    (QueueCall::Enqueue(_), _) => QueueReturn::Done,
                    (QueueCall::Dequeue, Some(item)) => QueueReturn::Item(*item),
                    (QueueCall::Dequeue, None) => QueueReturn::Empty,
                })
            },
        );
        group.bench_function(format!("queue/unique/valid/{processes}"), |bench| {
            bench.iter(|| is_linearizable(&FifoQueue::new(), &queue, &limits));
        });
    }
    group.finish();
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => files(&path, into),
            false => into.push(path),
        }
    }
}

/// The time of the decision alone, as a check reports it.
fn real(criterion: &mut Criterion) {
    let Some(folder) = std::env::var_os("SQUALL_HISTORIES") else { return };
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths);
    let mut group = criterion.benchmark_group("real");
    group.sample_size(10).measurement_time(Duration::from_millis(500));
    for path in paths {
        let name = path.to_string_lossy().into_owned();
        let model = if name.contains("mutex") { "mutex" } else { "cas-register" };
        let model = if name.contains("-kv") { "append-kv" } else { model };
        let mut request = Request { model: Some(model.to_owned()), ..Request::default() };
        request.limits.minimise_steps = 0;
        let run = || {
            let input = File::open(&path).expect("a file");
            check(&mut BufReader::new(input), &request).map(|report| report.elapsed)
        };
        if run().is_err() {
            continue;
        }
        group.bench_function(name, |bench| {
            bench.iter_custom(|times| {
                (0..times).map(|_| run().unwrap_or_default()).sum::<Duration>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, generated, real);
criterion_main!(benches);
