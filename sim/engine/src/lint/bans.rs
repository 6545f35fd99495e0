//! What is banned, why, and what to use instead.

/// Something that makes a run depend on more than its build, scenario, seed and plan.
pub(super) struct Ban {
    pub(super) path: &'static str,
    pub(super) what: What,
    pub(super) instead: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// Everything in the module or crate.
    Module,
    /// A type or function, and what belongs to it.
    Item,
    /// A map or set that takes its hasher as the parameter of this number, from 0: banned without
    /// one.
    Hashed(usize),
    Macro,
    /// A macro that is fine if it begins with `biased`.
    Unbiased,
}

use What::{Hashed, Item, Macro, Module, Unbiased};

const CLOCK: &str = "use Env::now, Env::sleep and Env::timeout";
const WALL: &str = "use Env::wall";
const THREADS: &str = "use Env::spawn for tasks and Env::blocking for work that takes long";
const NETWORK: &str = "use Env::bind and Env::messages; addresses alone are fine";
const FILES: &str = "use Env::open_file, Env::read_file and Env::replace_file";
const SETTINGS: &str = "pass settings in; they are part of the scenario";
const PROCESS: &str = "return an error from serve";
const MAPS: &str = "its order differs between processes: use BTreeMap, BTreeSet or a fixed hasher";
const ENTROPY: &str = "use Env::random and Env::rng";
const OUTPUT: &str = "use Env::trace or tracing";
const STATE: &str = "state outlives the run: keep it in the service";
const SYNC: &str = "it hides a random generator: use squall_env::sync";
const RACES: &str = "its order is drawn by the library: use squall_env::race, or `biased`";
const RUNTIME: &str = "it needs a runtime of its own: use Env";

const fn ban(path: &'static str, what: What, instead: &'static str) -> Ban {
    Ban { path, what, instead }
}

/// What is fine in spite of a ban of the module around it.
pub(super) const FINE: &[&str] = &[
    "std::env::consts",
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::SocketAddrV4",
    "std::net::SocketAddrV6",
    "std::process::ExitCode",
    "std::process::Termination",
    "std::thread::panicking",
];

/// Everything that is banned.
pub(super) const BANS: &[Ban] = &[
    ban("std::time::Instant", Item, CLOCK),
    ban("std::time::SystemTime", Item, WALL),
    ban("std::time::UNIX_EPOCH", Item, WALL),
    ban("chrono::Utc", Item, WALL),
    ban("chrono::Local", Item, WALL),
    ban("time::OffsetDateTime::now_utc", Item, WALL),
    ban("std::thread", Module, THREADS),
    ban("rayon", Module, THREADS),
    ban("std::net", Module, NETWORK),
    ban("std::os::unix::net", Module, NETWORK),
    ban("std::fs", Module, FILES),
    ban("std::io::stdin", Item, SETTINGS),
    ban("std::io::stdout", Item, OUTPUT),
    ban("std::io::stderr", Item, OUTPUT),
    ban("std::env", Module, SETTINGS),
    ban("std::process", Module, PROCESS),
    ban("std::collections::HashMap", Hashed(2), MAPS),
    ban("std::collections::HashSet", Hashed(1), MAPS),
    ban("std::collections::hash_map::HashMap", Hashed(2), MAPS),
    ban("std::collections::hash_set::HashSet", Hashed(1), MAPS),
    ban("std::collections::hash_map::RandomState", Item, MAPS),
    ban("std::hash::RandomState", Item, MAPS),
    ban("hashbrown::HashMap", Hashed(2), MAPS),
    ban("hashbrown::HashSet", Hashed(1), MAPS),
    ban("ahash::RandomState", Item, MAPS),
    ban("ahash::AHashMap", Item, MAPS),
    ban("ahash::AHashSet", Item, MAPS),
    ban("getrandom", Module, ENTROPY),
    ban("fastrand", Module, ENTROPY),
    ban("rand::rng", Item, ENTROPY),
    ban("rand::thread_rng", Item, ENTROPY),
    ban("rand::random", Item, ENTROPY),
    ban("rand::random_bool", Item, ENTROPY),
    ban("rand::random_range", Item, ENTROPY),
    ban("rand::rngs::OsRng", Item, ENTROPY),
    ban("rand::rngs::SysRng", Item, ENTROPY),
    ban("rand::rngs::ThreadRng", Item, ENTROPY),
    ban("rand_core::OsRng", Item, ENTROPY),
    ban("uuid::Uuid::new_v4", Item, ENTROPY),
    ban("uuid::Uuid::now_v7", Item, ENTROPY),
    ban("tokio::spawn", Item, THREADS),
    ban("tokio::task", Module, THREADS),
    ban("tokio::time", Module, CLOCK),
    ban("tokio::net", Module, NETWORK),
    ban("tokio::fs", Module, FILES),
    ban("tokio::process", Module, PROCESS),
    ban("tokio::signal", Module, PROCESS),
    ban("tokio::runtime", Module, RUNTIME),
    ban("tokio::main", Item, RUNTIME),
    ban("tokio::test", Item, RUNTIME),
    ban("tokio::sync::watch", Module, SYNC),
    ban("tokio::sync::Barrier", Item, SYNC),
    ban("tokio::select", Unbiased, RACES),
    ban("futures::select", Macro, RACES),
    ban("futures_util::select", Macro, RACES),
    ban("async_std", Module, RUNTIME),
    ban("smol", Module, RUNTIME),
    ban("std::print", Macro, OUTPUT),
    ban("std::println", Macro, OUTPUT),
    ban("std::eprint", Macro, OUTPUT),
    ban("std::eprintln", Macro, OUTPUT),
    ban("std::dbg", Macro, OUTPUT),
    ban("std::thread_local", Macro, STATE),
    ban("lazy_static::lazy_static", Macro, STATE),
];

/// Constructors that ask the operating system for entropy, whatever they belong to.
pub(super) const SEEDED_BY_THE_SYSTEM: &[&str] =
    &["from_entropy", "from_os_rng", "try_from_os_rng"];

pub(super) const ENTROPY_INSTEAD: &str = ENTROPY;

/// Types within a static that can change; whatever begins with `Atomic` can, too.
pub(super) const CHANGEABLE: &[&str] = &[
    "Cell",
    "RefCell",
    "UnsafeCell",
    "OnceCell",
    "LazyCell",
    "Mutex",
    "RwLock",
    "OnceLock",
    "LazyLock",
    "Lazy",
    "DashMap",
];

pub(super) const STATE_INSTEAD: &str = STATE;
