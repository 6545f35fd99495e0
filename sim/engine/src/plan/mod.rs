//! The plan of a run as data: its weather, its episodes, and what an editor changed.
//!
//! A seed and a plan say everything about a run of a scenario. The plan is drawn from the seed
//! before the run begins; written down, it can be read, edited and replayed.

mod draw;
mod forecast;
mod kind;
mod matched;
mod pct;
mod reroll;
mod streams;
mod valid;
mod words;

pub use draw::{Frame, draw};
pub(crate) use draw::{More, more_episodes};
pub use forecast::{Forecast, WEATHER_VARIABLE};
pub use kind::Kind;
pub use matched::Matched;
pub(crate) use matched::Name;
pub use pct::Pct;
pub use reroll::Reroll;
pub use streams::StreamWeather;
pub use valid::{EPISODES_MAX, Invalid, NODES_MAX, OVERRIDES_MAX, TIME_MAX_NS};
pub(crate) use words::tell_kind;

use crate::script::{Action, Step};
use crate::table::{Fault, Group};
use serde::{Deserialize, Serialize};

/// The version of the plan format that this build writes; it reads no later one.
pub const FORMAT: u32 = 1;

/// Everything about a run that is neither the scenario nor the seed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How many nodes each role has.
    pub nodes: Vec<RoleNodes>,
    /// When the faults end and the world heals, in nanoseconds from the start.
    pub heal_at_ns: u64,
    /// Rates and distributions that hold throughout.
    pub weather: Weather,
    /// Faults with a beginning and an end.
    pub episodes: Vec<Episode>,
    /// Single decisions that are not left to the seed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// What happens step by step, if that is told ([`script`](crate::script)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<Step>,
    /// Other choices of how long things take and in which order they happen, under the same seed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub salt: u64,
    /// Priorities in place of random orders and latencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pct: Option<Pct>,
    /// From when on everything is drawn anew, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rerolls: Vec<Reroll>,
    /// The deliberate bug that is switched on, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
}

/// The size of a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleNodes {
    /// The role.
    pub role: String,
    /// How many nodes.
    pub nodes: u16,
}

/// How long messages or disk operations take.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Latency {
    /// Anything between the two, equally likely.
    Uniform {
        /// The least, in nanoseconds.
        low_ns: u64,
        /// The most, in nanoseconds.
        high_ns: u64,
    },
    /// The least, and an exponentially distributed rest.
    Exponential {
        /// The least, in nanoseconds.
        low_ns: u64,
        /// The mean of the rest, in nanoseconds.
        mean_ns: u64,
    },
    /// Mostly between the first two; now and then up to the third.
    Tail {
        /// The least, in nanoseconds.
        low_ns: u64,
        /// The most of the common case, in nanoseconds.
        high_ns: u64,
        /// The most of the rare case, in nanoseconds.
        tail_ns: u64,
        /// How rare, in parts per million.
        tail_ppm: u32,
    },
}

/// Rates and distributions of a whole run. A rate of zero switches its fault off, and then nothing
/// is drawn for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weather {
    /// Between nodes.
    pub latency: Latency,
    /// From and to clients; mostly next to nothing, since a slow client hides anomalies.
    pub client_latency: Latency,
    /// One link in four takes longer by a fixed time of at most so many nanoseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slow_link_ns: u64,
    /// Lost messages, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loss_ppm: u32,
    /// Messages that arrive twice, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub duplication_ppm: u32,
    /// Messages that are held back, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reordering_ppm: u32,
    /// How long they are held back at most, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reordering_ns: u64,
    /// Damaged messages, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub corruption_ppm: u32,
    /// Reads, writes and the like.
    pub disk_latency: Latency,
    /// Syncs.
    pub sync_latency: Latency,
    /// Whether a power loss takes unsynced data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost_writes: bool,
    /// Whether a power loss tears sectors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub torn_writes: bool,
    /// Whether a power loss takes unsynced names.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost_entries: bool,
    /// Failing operations, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub eio_ppm: u32,
    /// Failing syncs, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sync_failure_ppm: u32,
    /// How many messages wait in a socket at most; zero is 16384.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mailbox_max: u32,
    /// What a link carries in one direction, in bytes per second; zero is any amount.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bandwidth: u64,
    /// Whether a power loss leaves garbage in sectors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub garbage: bool,
    /// Whether a power loss leaves files that grew without what they grew by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub length_without_data: bool,
    /// Reads that give less than there is, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub short_io_ppm: u32,
    /// Timers that are late, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late_timers_ppm: u32,
    /// How late they are at most, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late_timers_ns: u64,
    /// How far wall clocks are off at first, at most, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wall_offset_ns: u64,
    /// How far a monotonic clock's rate is off at most, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clock_rate_ppm: u32,
    /// How far a wall clock's rate is off at most, in parts per million.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wall_drift_ppm: u32,
    /// What happens to connections.
    #[serde(default, skip_serializing_if = "StreamWeather::is_calm")]
    pub streams: StreamWeather,
    /// Whether `buggify!` sites may fire.
    #[serde(default, skip_serializing_if = "is_default")]
    pub buggify: bool,
    /// Whether knobs are turned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub knobs: bool,
}

/// A fault with its own end: to take the episode out of a plan takes out both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// Names the episode within its plan, and the boots that follow a crash.
    pub id: u32,
    /// What happens.
    #[serde(rename = "what")]
    pub kind: Kind,
    /// When it begins.
    pub from: When,
    /// How long it lasts, in nanoseconds; without it, for ever. A step of a clock lasts for ever
    /// in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ns: Option<u64>,
}

/// When an episode begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum When {
    /// At this time of the run, in nanoseconds.
    AtNs(u64),
    /// At the target's so-manieth I/O step (from 1): a disk operation or a datagram that it starts
    /// at this time or later. The step itself is still taken.
    Step {
        /// The time, in nanoseconds.
        after_ns: u64,
        /// Which step.
        number: u32,
    },
}

impl When {
    /// The same at another time, in nanoseconds.
    pub(crate) fn at(self, time: u64) -> When {
        match self {
            When::AtNs(_) => When::AtNs(time),
            When::Step { number, .. } => When::Step { after_ns: time, number },
        }
    }

    /// The earliest time at which it may be, in nanoseconds.
    pub(crate) fn earliest_ns(self) -> u64 {
        match self {
            When::AtNs(time) | When::Step { after_ns: time, .. } => time,
        }
    }
}

/// One decision that is not left to the seed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Override {
    /// What becomes of one message. It is named by its lane and, on that lane, by what is in it,
    /// by its count, or by its time. With several names the next one counts if the one before
    /// matches no message of the run; one is needed.
    Message {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
        /// The port's number.
        port: u32,
        /// The kind of message.
        message_kind: u8,
        /// Its first name: the hash of its bytes ([`hash_bytes`](crate::digest::hash_bytes)).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<u64>,
        /// Which one with that hash on the lane, from 0.
        #[serde(default)]
        nth: u64,
        /// Its second name: which one on the lane since the start of the run, from 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// Its third name: it is the first on the lane that is sent at this time of the run or
        /// later, in nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_ns: Option<u64>,
        /// What becomes of it.
        fate: Fate,
    },
    /// A client leaves out an operation.
    SkipOperation {
        /// Which client.
        client: String,
        /// Which operation, from 0.
        number: u64,
    },
    /// A client does these operations and no others.
    OnlyOperations {
        /// Which client.
        client: String,
        /// Which operations, from 0.
        numbers: Vec<u64>,
    },
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fate {
    /// It is lost.
    Lost,
    /// It arrives once and undamaged after so many nanoseconds.
    DeliveredAfterNs(u64),
    /// It arrives, and a copy of it too, or it is damaged.
    Delivered {
        /// After how many nanoseconds.
        after_ns: u64,
        /// After how many nanoseconds a copy arrives, if one does. It is not damaged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy_after_ns: Option<u64>,
        /// From which number the bits are drawn that flip, if it is damaged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        damage: Option<u64>,
    },
}

/// Whether a value says nothing. What a file leaves out has its default.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Weather {
    /// Weather without faults; messages take one to ten milliseconds.
    pub fn calm() -> Weather {
        let ms = 1_000_000;
        Weather {
            latency: Latency::Uniform { low_ns: ms, high_ns: 10 * ms },
            client_latency: Latency::Uniform { low_ns: ms / 10, high_ns: ms },
            slow_link_ns: 0,
            loss_ppm: 0,
            duplication_ppm: 0,
            reordering_ppm: 0,
            reordering_ns: 0,
            corruption_ppm: 0,
            disk_latency: Latency::Uniform { low_ns: ms / 50, high_ns: ms / 5 },
            sync_latency: Latency::Uniform { low_ns: ms / 5, high_ns: 3 * ms },
            lost_writes: false,
            torn_writes: false,
            lost_entries: false,
            eio_ppm: 0,
            sync_failure_ppm: 0,
            mailbox_max: 0,
            bandwidth: 0,
            garbage: false,
            length_without_data: false,
            short_io_ppm: 0,
            late_timers_ppm: 0,
            late_timers_ns: 0,
            wall_offset_ns: 0,
            clock_rate_ppm: 0,
            wall_drift_ppm: 0,
            streams: StreamWeather::default(),
            buggify: false,
            knobs: false,
        }
    }
}

impl Plan {
    /// A plan without faults for these roles.
    pub fn calm(nodes: Vec<RoleNodes>, heal_at_ns: u64) -> Plan {
        Plan {
            nodes,
            heal_at_ns,
            weather: Weather::calm(),
            episodes: Vec::new(),
            overrides: Vec::new(),
            script: Vec::new(),
            salt: 0,
            pct: None,
            rerolls: Vec::new(),
            mutant: None,
        }
    }

    /// Adds an episode, under another number if its own is taken.
    pub(crate) fn add(&mut self, mut episode: Episode) {
        let ids = || self.episodes.iter().map(|other| other.id);
        if ids().any(|id| id == episode.id) {
            episode.id = ids().max().unwrap_or_default().saturating_add(1);
        }
        self.episodes.push(episode);
    }

    /// The nodes that the plan has.
    ///
    /// # Panics
    /// If two roles have the same name.
    pub fn roster(&self) -> squall_env::Roster {
        let empty = squall_env::Roster::new("squall");
        self.nodes.iter().fold(empty, |roster, role| roster.with(role.role.clone(), role.nodes))
    }

    /// Whether the plan has this fault at all.
    pub fn configures(&self, fault: Fault) -> bool {
        let weather = &self.weather;
        match fault {
            Fault::Latency => true,
            Fault::Loss => weather.loss_ppm > 0,
            Fault::Duplication => weather.duplication_ppm > 0,
            Fault::Reordering => weather.reordering_ppm > 0,
            Fault::Corruption => weather.corruption_ppm > 0,
            Fault::LostWrites => weather.lost_writes,
            Fault::TornWrites => weather.torn_writes,
            Fault::LostEntries => weather.lost_entries,
            Fault::Eio => weather.eio_ppm > 0,
            Fault::SyncFailure => weather.sync_failure_ppm > 0,
            Fault::QueueOverflow => weather.mailbox_max > 0,
            Fault::Bandwidth => weather.bandwidth > 0,
            Fault::Garbage => weather.garbage,
            Fault::LengthWithoutData => weather.length_without_data,
            Fault::ShortIo => weather.short_io_ppm > 0,
            Fault::LateTimers => weather.late_timers_ppm > 0,
            Fault::WallOffset => weather.wall_offset_ns > 0,
            Fault::ClockRate => weather.clock_rate_ppm > 0,
            Fault::WallDrift => weather.wall_drift_ppm > 0,
            Fault::Buggify => weather.buggify,
            Fault::Knobs => weather.knobs,
            _ if fault.row().group == Group::Stream => weather.streams.has(fault),
            _ => {
                let scripted = self.script.iter().any(|step| match &step.then {
                    Action::Fault { what, .. } => what.fault() == fault,
                    _ => false,
                });
                scripted || self.episodes.iter().any(|episode| episode.kind.fault() == fault)
            }
        }
    }
}
