//! Disks that hold other than what was written: so many places are wrong as were struck, each only
//! in the way of its fault.

use super::{Blind, name, witness};
use squall::plan::Kind;
use squall::{Conditions, Fault, Most, Scenario, Tolerance, conditions};
use squall_env::disk::DiskError;
use squall_env::{Env, NodeId, View};
use std::collections::BTreeMap;
use std::time::Duration;

const CONTRACT: &str = "only what a fault has struck is wrong";
const ROTTEN: &str = "a bit had rotted";
const ASTRAY: &str = "a record was in the place of another";

/// How long a record is: a sector.
const RECORD: usize = 512;

/// What a boot shows: how many records there should be, and what it last read.
struct Log {
    records: u64,
    reads: u64,
    /// How many there should have been in what it read.
    wanted: u64,
    content: Vec<u8>,
}

/// Nodes that append records and read all of them again and again.
pub fn rot(blind: Blind) -> Scenario {
    blind
        .scenario("rot", CONTRACT)
        .nodes("node", 1..=3, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(
            Tolerance::nothing().impaired("node", Most::Any).fault(Fault::Crash).corrupt_disks(),
        )
        .sometimes(ROTTEN)
        .sometimes(ASTRAY)
        .always(CONTRACT, move || {
            let mut read: BTreeMap<(NodeId, u64), u64> = BTreeMap::new();
            let mut known: BTreeMap<NodeId, u64> = BTreeMap::new();
            move |view: &View<'_>| {
                for log in view.changed::<Log>() {
                    let records = known.entry(log.node).or_default();
                    let first = read.get(&(log.node, log.number)).is_none_or(|reads| *reads == 0);
                    let reads = read.entry((log.node, log.number)).or_default();
                    if log.reads == *reads {
                        *records = log.records.max(*records);
                        continue;
                    }
                    *reads = log.reads;
                    let now = conditions().ok_or("no run is under way")?;
                    // What was about to be written at a crash may not be there.
                    let wanted = if first { records.saturating_sub(1) } else { log.wanted };
                    let judged = judge(blind, &log, log.node, wanted, &now);
                    judged.map_err(|story| format!("{}: {story}", name(log.node)))?;
                    *records = log.records;
                }
                Ok(())
            }
        })
}

/// What a node's record of this number holds.
fn record(node: NodeId, number: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    let mut word = number << 16 | u64::from(node.ordinal());
    for part in bytes.chunks_exact_mut(8) {
        word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_add(number + 1);
        part.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

async fn serve(env: Env) -> Result<(), DiskError> {
    let me = env.me();
    let shown = env.show("log", Log { records: 0, reads: 0, wanted: 0, content: Vec::new() });
    let mut file = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    let mut records = file.length() / RECORD as u64;
    env.ready();
    loop {
        let length = usize::try_from(records).unwrap_or(usize::MAX) * RECORD;
        let content = file.read_at(0, length).await?;
        for (at, sector) in content.chunks(RECORD).enumerate() {
            match kind_of(me, at as u64, sector, records) {
                Wrong::Rotten(_) => env.sometimes(ROTTEN),
                Wrong::Another => env.sometimes(ASTRAY),
                Wrong::Not | Wrong::Missing | Wrong::Strange => {}
            }
        }
        shown.update(&env, |shown| {
            (shown.records, shown.wanted) = (records, records);
            shown.content = content;
            shown.reads += 1;
        });
        for _ in 0..=env.random_below(4) {
            env.sleep(Duration::from_micros(env.random_below(40_000))).await;
            shown.update(&env, |shown| shown.records = records + 1);
            // Let it be seen before anything can happen.
            env.sleep(Duration::from_micros(10)).await;
            file.write_at(records * RECORD as u64, record(me, records).to_vec()).await?;
            records += 1;
            if env.random_below(3) == 0 {
                file.sync().await?;
            }
        }
    }
}

/// What is wrong with a record.
enum Wrong {
    Not,
    /// So many bits.
    Rotten(u32),
    Missing,
    Another,
    Strange,
}

/// The most bits that are taken for rotten: those of 32 strikes on one record, far from the about
/// 2048 by which two records differ.
const BITS_MAX: u32 = 256;

fn kind_of(node: NodeId, number: u64, sector: &[u8], records: u64) -> Wrong {
    if sector == record(node, number) {
        return Wrong::Not;
    }
    let bits =
        |other: &[u8]| -> u32 { sector.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum() };
    let own = bits(&record(node, number));
    if own <= BITS_MAX {
        return Wrong::Rotten(own);
    }
    if bits(&[0; RECORD]) <= BITS_MAX {
        return Wrong::Missing;
    }
    let another = (0..=records).any(|other| bits(&record(node, other)) <= BITS_MAX);
    if another { Wrong::Another } else { Wrong::Strange }
}

fn judge(
    blind: Blind,
    log: &Log,
    node: NodeId,
    wanted: u64,
    now: &Conditions,
) -> Result<(), String> {
    let strikes = |fault: Fault| {
        let own = now.struck.iter().filter(|struck| match &struck.episode.kind {
            Kind::BitRot { node: who } | Kind::MisdirectedWrite { node: who } => {
                *who == name(node) && struck.episode.kind.fault() == fault
            }
            _ => false,
        });
        if blind.knows(fault) { own.count() as u64 } else { 0 }
    };
    let (rotten, astray) = (strikes(Fault::BitRot), strikes(Fault::MisdirectedWrite));
    let (mut spots, mut bits, mut missing, mut others) = (0, 0, 0, 0);
    for (at, sector) in log.content.chunks(RECORD).enumerate() {
        match kind_of(node, at as u64, sector, log.records + astray) {
            Wrong::Not => {}
            Wrong::Rotten(of) => (spots, bits) = (spots + 1, bits + u64::from(of)),
            Wrong::Missing => missing += 1,
            Wrong::Another => others += 1,
            Wrong::Strange => return Err(format!("record {at} is none that was written")),
        }
    }
    // One that went astray at the end makes the log shorter.
    missing += wanted.saturating_sub((log.content.len() / RECORD) as u64);
    if spots > rotten || bits > 8 * rotten || missing > astray || others > astray {
        return Err(format!(
            "of {} records of {wanted}, {bits} bits are wrong in {spots} after {rotten} strikes; \
             {missing} are missing and {others} in the place of others after {astray}",
            log.content.len() / RECORD
        ));
    }
    Ok(())
}
