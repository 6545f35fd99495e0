//! How long judging a history of transactions takes, by its length, its kind and its worth.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use squall_check::Value;
use squall_check::transactions::{
    Fate, Kind, Level, Micro, Options, Status, Transaction, Transactions, check,
};

/// How many processes run transactions at once.
const PROCESSES: u64 = 20;

/// How many operations a transaction has.
const OPERATIONS: u64 = 4;

/// What the database that ran the transactions did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    /// It ran each at one instant between its begin and its end.
    Strict,
    /// It gave each the snapshot of its begin, and let the first of two writers win.
    Snapshot,
}

/// What a history is like.
struct Case {
    name: &'static str,
    kind: Kind,
    database: Database,
    has_time: bool,
    is_hot: bool,
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A transaction that has begun.
struct Running {
    invoked: u64,
    /// How many versions each key had at the begin.
    snapshot: Vec<usize>,
    keys: Vec<(u64, bool)>,
}

/// A history of so many transactions. Keys lie in a window of ten, which slides unless they are
/// hot. Without times, only the order within each process is left.
fn history(count: usize, case: &Case) -> Transactions {
    let Case { kind, database, has_time, is_hot, .. } = *case;
    let mut dice = Dice(7);
    let mut history = Transactions::new(kind);
    let mut versions: Vec<Vec<i64>> = vec![Vec::new(); count / 8 + 16];
    let mut running: Vec<Option<Running>> = (0..PROCESSES).map(|_| None).collect();
    let mut clock = 0;
    let mut next = 1;
    while history.len() < count {
        clock += 1;
        let process = dice.below(PROCESSES);
        let Some(run) = running[process as usize].take() else {
            let window = if is_hot { 0 } else { history.len() as u64 / 8 };
            let keys = (0..OPERATIONS).map(|_| (window + dice.below(10), dice.below(2) == 0));
            let keys = keys.collect();
            let snapshot = versions.iter().map(Vec::len).collect();
            running[process as usize] = Some(Running { invoked: clock, snapshot, keys });
            continue;
        };
        let is_changed = |&(key, is_write): &(u64, bool)| {
            is_write && versions[key as usize].len() != run.snapshot[key as usize]
        };
        let loses = database == Database::Snapshot && run.keys.iter().any(is_changed);
        let mut micros = Vec::new();
        let mut own: Vec<(u64, i64)> = Vec::new();
        for &(key, is_write) in &run.keys {
            let name = Value::Int(key as i64);
            if is_write {
                own.push((key, next));
                micros.push(match kind {
                    Kind::ListAppend => Micro::Append(name, next.into()),
                    Kind::RwRegister => Micro::Write(name, next.into()),
                });
                next += 1;
                continue;
            }
            let all = &versions[key as usize];
            let seen =
                if database == Database::Snapshot { run.snapshot[key as usize] } else { all.len() };
            let mine = own.iter().filter(|(other, _)| *other == key).map(|&(_, value)| value);
            let list: Vec<i64> = all[..seen].iter().copied().chain(mine).collect();
            micros.push(Micro::Read(
                name,
                match kind {
                    Kind::ListAppend => Value::List(list.into_iter().map(Value::from).collect()),
                    Kind::RwRegister => list.last().map_or(Value::Nil, |&last| last.into()),
                },
            ));
        }
        if !loses {
            own.into_iter().for_each(|(key, value)| versions[key as usize].push(value));
        }
        history
            .push(Transaction {
                process: Some(process),
                number: None,
                invoked: has_time.then_some(run.invoked),
                returned: has_time.then_some(clock),
                fate: if loses { Fate::Aborted } else { Fate::Committed },
                micros,
            })
            .expect("a history that fits");
    }
    history
}

fn transactions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transactions");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    let (lists, registers) = (Kind::ListAppend, Kind::RwRegister);
    let (strict, snapshot) = (Database::Strict, Database::Snapshot);
    let case =
        |name, kind, database, has_time, is_hot| Case { name, kind, database, has_time, is_hot };
    let cases = [
        case("lists", lists, strict, true, false),
        case("registers", registers, strict, true, false),
        case("registers-without-time", registers, strict, false, false),
        case("hot-registers-without-time", registers, strict, false, true),
        case("lists-of-snapshots", lists, snapshot, true, false),
        case("registers-of-snapshots", registers, snapshot, false, false),
    ];
    for case in cases {
        let Case { name, database, .. } = case;
        for count in [1_000, 10_000, 40_000] {
            let history = history(count, &case);
            let options = Options { sessions: true, ..Options::default() };
            let judge = || check(black_box(&history), Level::StrictSerializable, &options);
            let verdict = judge();
            let isolated = verdict.status_of(Level::SnapshotIsolation);
            assert_eq!(isolated, &Status::Holds, "{name} of {count}: {verdict}");
            if database == Database::Strict {
                assert_eq!(verdict.status(), &Status::Holds, "{name} of {count}: {verdict}");
            }
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new(name, count), |bencher| bencher.iter(judge));
        }
    }
    group.finish();
}

criterion_group!(benches, transactions);
criterion_main!(benches);
