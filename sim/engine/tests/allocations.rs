//! How much is allocated does not grow with the length of a run. There is but one test, since the
//! counting allocator is the whole process's.

#[path = "../benches/world/baseline.rs"]
#[allow(dead_code, reason = "the floor itself is not measured here")]
mod baseline;
#[path = "../benches/world/cases.rs"]
#[allow(dead_code, reason = "not every case is measured here")]
mod cases;
#[path = "../benches/world/loads.rs"]
#[allow(dead_code, reason = "not every load is measured here")]
mod loads;
#[path = "../benches/world/streams.rs"]
#[allow(dead_code, reason = "not every load is measured here")]
mod streams;

use squall::Scenario;
use squall_env::disk::{DiskError, Done, FileToken, Operation, Slot};
use squall_env::journal::{Journal, SECTOR, SEGMENT_MAX};
use squall_env::{Env, Port};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PORT: Port = Port::named("store");

/// What a run did.
struct Run {
    /// How many blocks it allocated. A block that grows counts as another one.
    blocks: u64,
    events: u64,
    messages: u64,
}

/// Runs so many simulated milliseconds.
///
/// The watchdog's thread allocates a little of its own every second of real time, whatever the
/// run does, so the least of three runs counts.
fn run(scenario: &Scenario, nodes: u16, ms: u64) -> Run {
    let plan = cases::calm(nodes);
    let once = |_| {
        let before = dhat::HeapStats::get().total_blocks;
        let outcome = cases::run(scenario, 1, &plan, ms * baseline::MS);
        let blocks = dhat::HeapStats::get().total_blocks - before;
        Run { blocks, events: outcome.events, messages: outcome.messages }
    };
    (0..3).map(once).min_by_key(|run| run.blocks).expect("there are three of them")
}

/// The writer of the loads that store: it asks all others and waits for all of them, with a limit
/// that never runs out.
async fn write_for_ever(env: &Env) -> Result<(), DiskError> {
    let mut socket = env.bind(PORT).map_err(|_| DiskError::Stopped)?;
    let mut peers = env.addresses(loads::ROLE, PORT);
    peers.retain(|peer| peer.node != env.me());
    let (mut buffer, mut payload) = (Vec::new(), [0u8; 64]);
    loop {
        payload[0] = payload[0].wrapping_add(1);
        for peer in &peers {
            socket.send(*peer, &payload);
        }
        for _ in &peers {
            let received = env.timeout(Duration::from_secs(1), socket.receive(&mut buffer)).await;
            let Ok(Ok(_)) = received else { return Err(DiskError::Stopped) };
        }
    }
}

/// A file in which the newest record takes the place of the one before. It keeps its buffer.
struct Cell {
    file: FileToken,
    slot: Slot,
    buffer: Vec<u8>,
}

impl Cell {
    async fn open(env: &Env) -> Result<Cell, DiskError> {
        let (path, mut slot) = ("cell".to_owned(), Slot::default());
        match slot.run(env.platform(), Operation::Open { path, create: true }).await? {
            Done::Opened { file, .. } => Ok(Cell { file, slot, buffer: Vec::new() }),
            _ => Err(DiskError::Stopped),
        }
    }

    async fn store(&mut self, env: &Env, record: &[u8]) -> Result<(), DiskError> {
        let (file, mut data) = (self.file, std::mem::take(&mut self.buffer));
        data.clear();
        data.extend_from_slice(record);
        let write = Operation::Write { file, offset: 0, data };
        if let Done::Buffer(buffer) = self.slot.run(env.platform(), write).await? {
            self.buffer = buffer;
        }
        self.slot.run(env.platform(), Operation::Sync { file }).await.map(drop)
    }
}

/// The shape of a replicated register: what is asked for is written, synced and then acknowledged.
fn persist() -> Scenario {
    Scenario::new("allocations/persist").nodes(loads::ROLE, 3..=3, |env: Env| async move {
        if env.me().ordinal() == 1 {
            return write_for_ever(&env).await;
        }
        let mut socket = env.bind(PORT).map_err(|_| DiskError::Stopped)?;
        let (mut cell, mut buffer) = (Cell::open(&env).await?, Vec::new());
        while let Ok(from) = socket.receive(&mut buffer).await {
            cell.store(&env, &buffer).await?;
            socket.send(from, &buffer);
        }
        Ok(())
    })
}

/// The same with a journal, which keeps every record.
fn journal() -> Scenario {
    Scenario::new("allocations/journal").nodes(loads::ROLE, 3..=3, |env: Env| async move {
        if env.me().ordinal() == 1 {
            return write_for_ever(&env).await;
        }
        let mut socket = env.bind(PORT).map_err(|_| DiskError::Stopped)?;
        let opened = Journal::open(&env, "store").await;
        let (mut journal, _) = opened.map_err(|error| DiskError::Other(error.to_string()))?;
        let mut buffer = Vec::new();
        while let Ok(from) = socket.receive(&mut buffer).await {
            journal.append(&buffer);
            journal.commit().await?;
            socket.send(from, &buffer);
        }
        Ok(())
    })
}

/// How many blocks ten times the time may allocate on top: one or two if the end of a run finds
/// other disk operations under way, whose callers wait in a list that then needs more room.
const AT_THE_END: u64 = 2;

/// The same for streams, in which what is under way at once is the most only now and then: lists of
/// it grow for the last time late.
const RARELY: u64 = 4;

fn assert_flat(name: &str, scenario: &Scenario, nodes: u16, ms: u64, slack: u64) {
    let (short, long) = (run(scenario, nodes, ms), run(scenario, nodes, 10 * ms));
    assert!(long.events >= 9 * short.events, "{name}: the longer run does not do more");
    let (few, many) = (short.blocks, long.blocks);
    assert!(many.abs_diff(few) <= slack, "{name}: {few} blocks, and {many} in ten times the time");
}

/// What a journal holds is kept: for every megabyte there is a file, with names, a header and
/// bytes whose room doubles as they grow. Nothing else may be left of a record.
fn assert_grows_with_its_files(ms: u64) {
    /// Of a file: two copies, as programs see it and as it is on the disk, each in some twelve
    /// doublings from a sector to a megabyte; its names, its header, and the steps that make it.
    const FILE: u64 = 100;
    let scenario = journal();
    let (short, long) = (run(&scenario, 3, ms), run(&scenario, 3, 10 * ms));
    // Each record is asked for and acknowledged on either of two replicas.
    let (records, replicas) = ((long.messages - short.messages) / 4, 2);
    let files = replicas * (1 + records * SECTOR as u64 / SEGMENT_MAX);
    assert!(files > replicas, "{records} records do not fill a file");
    let (few, many) = (short.blocks, long.blocks);
    assert!(many <= few + files * FILE, "{few} blocks, and {many} after {records} more records");
}

#[test]
fn a_longer_run_allocates_no_more() {
    let _profiler = dhat::Profiler::builder().testing().build();
    assert_flat("ping-pong", &loads::ping_pong(), 2, 2_000, 0);
    assert_flat("ping-pong-timeout", &loads::ping_pong_timeout(), 2, 2_000, 0);
    assert_flat("all-to-all", &loads::all_to_all(5), 5, 2_000, 0);
    assert_flat("timers", &loads::timers(), 1_000, 1_000, 0);
    assert_flat("stream-ping-pong", &streams::ping_pong(), 2, 2_000, RARELY);
    assert_flat("stream-bulk", &streams::bulk(), 2, 2_000, RARELY);
    assert_flat("persist", &persist(), 3, 5_000, AT_THE_END);
    assert_grows_with_its_files(10_000);
}
