//! What the commands do.

use super::arguments::{self, Arguments, Command, Lease};
use super::endpoints::Endpoints;
use super::said::Said;
use super::{REFUSED, UNREACHABLE};
use serde_json::json;
use squall_env::Env;
use squall_protocols::store::http::{
    Compared, EventJson, HttpError, HttpStore, KeyValueJson, LeaseJson, Line, MemberChange,
    Members, Status,
};
use squall_protocols::store::{KeyValue, Keys};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// So many times a lease is kept alive while it would last.
const KEPT: u64 = 3;

/// How often it is asked whether a new member has caught up.
const LEARNS: Duration = Duration::from_millis(100);

struct Shell<'a> {
    env: &'a Env,
    store: HttpStore,
    limit: Duration,
    said: &'a Said,
}

/// Does what the arguments say, and gives the exit code.
pub(super) async fn run(
    env: &Env,
    arguments: Arguments,
    endpoints: Arc<Endpoints>,
    said: &Said,
) -> u8 {
    let limit = arguments.timeout();
    let store = HttpStore::new(env, endpoints.clone());
    let mut shell = Shell { env, store, limit, said };
    match arguments.command {
        Command::Get { name, prefix: false } => shell.get(&name).await,
        Command::Get { name, prefix: true } => shell.range(&name).await,
        Command::Put { name, value, lease } => shell.put(&name, value, lease, None).await,
        Command::Cas { name, value, revision, lease } => {
            shell.put(&name, value, lease, Some(revision)).await
        }
        Command::Delete { name, prefix, revision } => shell.delete(&name, prefix, revision).await,
        Command::Watch { name, prefix, from, count } => {
            let keys = if prefix { Keys::Prefix(name) } else { Keys::One(name) };
            shell.watch(keys, from, count.unwrap_or(u64::MAX)).await
        }
        Command::Lease { lease } => shell.lease(lease).await,
        Command::Compact { revision } => match shell.store.compact(revision, limit).await {
            Ok(()) => {
                let compacted = json!({ "compacted": revision });
                said.tell(&compacted, || format!("compacted to {revision}").into());
                0
            }
            Err(error) => said.fail(&error),
        },
        Command::Status => status(env, &endpoints, limit, said).await,
        Command::Members { members } => match shell.members(members).await {
            Ok(members) => {
                said.tell(&members, || members_lines(&members));
                0
            }
            Err(error) => said.fail(&error),
        },
        Command::Transfer { to } => {
            let to = full_name(to);
            match shell.store.transfer(&to, limit).await {
                Ok(()) => {
                    said.tell(&json!({ "to": to }), || format!("{to} is to lead").into());
                    0
                }
                Err(error) => said.fail(&error),
            }
        }
    }
}

/// The name of a member that may be given by its number.
fn full_name(name: String) -> String {
    if name.parse::<u16>().is_ok() { format!("member-{name}") } else { name }
}

/// A value on a line beside others.
fn shown(kv: &KeyValueJson) -> String {
    match (&kv.value, &kv.value_base64) {
        (Some(text), _) => text.clone(),
        (None, base64) => format!("base64:{}", base64.as_deref().unwrap_or_default()),
    }
}

fn read_value(value: String) -> Result<Vec<u8>, std::io::Error> {
    if value != "-" {
        return Ok(value.into_bytes());
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Shell<'_> {
    async fn get(&mut self, key: &str) -> u8 {
        match self.store.get(key, self.limit).await {
            Ok((revision, Some(there))) => {
                let kv = KeyValueJson::from(&there);
                self.said.tell(&json!({ "revision": revision, "kv": kv }), || there.value);
                0
            }
            Ok((revision, None)) => {
                self.said.tell_lines(&json!({ "revision": revision, "kv": null }), Vec::new());
                eprintln!("there is no key {key:?}");
                REFUSED
            }
            Err(error) => self.said.fail_to_read(&error),
        }
    }

    /// All keys of one state: if it changes between two pages, it is asked again.
    async fn range(&mut self, prefix: &str) -> u8 {
        let mut all = Vec::<KeyValueJson>::new();
        let mut at = None;
        loop {
            let after = all.last().map(|last| last.key.clone());
            let page = self.store.range(prefix, after.as_deref(), None, self.limit).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return self.said.fail_to_read(&error),
            };
            if at.is_some_and(|at| at != page.revision) {
                (at, all) = (None, Vec::new());
                continue;
            }
            at = Some(page.revision);
            all.extend(page.kvs);
            if !page.more {
                break;
            }
        }
        let lines = all.iter().map(|kv| format!("{}\t{}", kv.key, shown(kv)).into_bytes());
        self.said.tell_lines(&json!({ "revision": at, "kvs": all }), lines.collect());
        0
    }

    async fn put(
        &mut self,
        key: &str,
        value: String,
        lease: Option<u64>,
        revision: Option<u64>,
    ) -> u8 {
        let value = match read_value(value) {
            Ok(value) => value,
            Err(error) => {
                eprintln!("error: standard input: {error}");
                return UNREACHABLE;
            }
        };
        let done = self.store.put(key, value, lease, revision, self.limit).await;
        self.compared(key, done, |revision, _| format!("revision {revision}"))
    }

    async fn delete(&mut self, key: &str, prefix: bool, revision: Option<u64>) -> u8 {
        let done = if prefix {
            self.store.delete_range(key, self.limit).await
        } else {
            self.store.delete(key, revision, self.limit).await
        };
        self.compared(key, done, |revision, deleted| {
            format!("{deleted} removed, revision {revision}")
        })
    }

    fn compared(
        &self,
        key: &str,
        done: Result<Compared, HttpError>,
        text: impl FnOnce(u64, u64) -> String,
    ) -> u8 {
        match done {
            Ok(Compared::Done { revision, deleted }) => {
                let told = json!({ "revision": revision, "deleted": deleted });
                self.said.tell(&told, || text(revision, deleted).into());
                0
            }
            Ok(Compared::Differs { revision, there }) => {
                let kv = there.as_ref().map(KeyValueJson::from);
                let told = json!({ "revision": revision, "kv": kv });
                self.said.tell_lines(&told, Vec::new());
                eprintln!("{}", differs(key, there.as_ref()));
                REFUSED
            }
            Err(error) => self.said.fail(&error),
        }
    }

    async fn watch(&mut self, keys: Keys, from: Option<u64>, mut left: u64) -> u8 {
        let mut watch = self.store.watch(keys, from);
        while left > 0 {
            match watch.line().await {
                Ok(Line { events, revision, .. }) => {
                    for event in events {
                        let told = json!({ "revision": revision, "event": event });
                        self.said.tell(&told, || event_line(revision, &event).into());
                        left = left.saturating_sub(1);
                    }
                }
                Err(error) => return self.said.fail_to_read(&error),
            }
        }
        0
    }

    async fn lease(&mut self, lease: Lease) -> u8 {
        let (limit, said) = (self.limit, self.said);
        match lease {
            Lease::Grant { ttl, id } => {
                let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                let granted = self.store.grant(id, ttl_ms, limit).await;
                self.leased(granted, |lease| lease.id.to_string())
            }
            Lease::KeepAlive { id, once } => self.keep_alive(id, once).await,
            Lease::Revoke { id } => match self.store.revoke(id, limit).await {
                Ok(revision) => {
                    let told = json!({ "revision": revision });
                    said.tell(&told, || format!("revision {revision}").into());
                    0
                }
                Err(error) => said.fail(&error),
            },
            Lease::Show { id } => {
                let lease = self.store.lease(id, limit).await;
                self.leased(lease, |lease| {
                    let keys = lease.keys.iter().flatten().map(|key| format!("\n{key}"));
                    format!("{} lasts {} ms{}", lease.id, lease.ttl_ms, keys.collect::<String>())
                })
            }
            Lease::List => match self.store.leases(limit).await {
                Ok(leases) => {
                    let line = |lease: &LeaseJson| format!("{}\t{} ms", lease.id, lease.ttl_ms);
                    let lines = leases.iter().map(|lease| line(lease).into_bytes());
                    said.tell_lines(&json!({ "leases": leases }), lines.collect());
                    0
                }
                Err(error) => said.fail_to_read(&error),
            },
        }
    }

    fn leased(
        &self,
        lease: Result<LeaseJson, HttpError>,
        text: impl FnOnce(&LeaseJson) -> String,
    ) -> u8 {
        match lease {
            Ok(lease) => {
                self.said.tell(&lease, || text(&lease).into());
                0
            }
            Err(error) => self.said.fail(&error),
        }
    }

    async fn members(&mut self, what: arguments::Members) -> Result<Members, HttpError> {
        let (name, change): (String, fn(String) -> MemberChange) = match what {
            arguments::Members::List => return self.store.members(self.limit).await,
            arguments::Members::Remove { name } => (name, MemberChange::Remove),
            arguments::Members::Add { name, learner: true } => (name, MemberChange::Learner),
            arguments::Members::Add { name, learner: false } => (name, MemberChange::Voter),
        };
        let name = full_name(name);
        let until = self.env.now() + self.limit;
        let mut change = change(name.clone());
        loop {
            let done = self.store.change_members(vec![change], until - self.env.now()).await;
            match done {
                Err(HttpError::Answer { error, .. })
                    if error.code == "not_caught_up" && self.env.now() < until =>
                {
                    let learns = self.store.members(until - self.env.now()).await?.learners;
                    if !learns.contains(&name) {
                        let learner = vec![MemberChange::Learner(name.clone())];
                        self.store.change_members(learner, until - self.env.now()).await?;
                    }
                    self.env.sleep(LEARNS).await;
                    change = MemberChange::Voter(name.clone());
                }
                done => return done,
            }
        }
    }

    async fn keep_alive(&mut self, id: u64, once: bool) -> u8 {
        loop {
            let lease = match self.store.keep_alive(id, self.limit).await {
                Ok(lease) => lease,
                Err(error) => return self.said.fail(&error),
            };
            let text = || format!("{id} lasts {} ms from now on", lease.ttl_ms).into();
            self.said.tell(&lease, text);
            if once {
                return 0;
            }
            self.env.sleep(Duration::from_millis(lease.ttl_ms / KEPT)).await;
        }
    }
}

fn members_lines(members: &Members) -> Vec<u8> {
    let Members { voters, learners, outgoing } = members;
    let lines = [(voters, "votes"), (learners, "learns"), (outgoing, "voted before")];
    let each = lines.iter().flat_map(|(names, what)| names.iter().map(move |name| (name, what)));
    each.map(|(name, what)| format!("{name}\t{what}")).collect::<Vec<_>>().join("\n").into_bytes()
}

fn differs(key: &str, there: Option<&KeyValue>) -> String {
    match there {
        Some(there) => format!("{key:?} was last put at revision {}", there.mod_revision),
        None => format!("there is no key {key:?}"),
    }
}

fn event_line(revision: u64, event: &EventJson) -> String {
    match event {
        EventJson::Put(kv) => format!("{revision}\tput\t{}\t{}", kv.key, shown(kv)),
        EventJson::Delete { key } => format!("{revision}\tdelete\t{key}"),
    }
}

/// Asks every endpoint by itself.
async fn status(env: &Env, endpoints: &Endpoints, limit: Duration, said: &Said) -> u8 {
    let (mut up, mut down) = (0, 0);
    for (endpoint, alone) in endpoints.each() {
        let url = endpoint.url();
        match HttpStore::new(env, Arc::new(alone)).status(limit).await {
            Ok(status) => {
                up += 1;
                let told = json!({ "endpoint": url, "status": status });
                said.tell(&told, || status_line(&url, &status).into());
            }
            Err(error) => {
                down += 1;
                let told = json!({ "endpoint": url, "error": error.to_string() });
                said.tell(&told, || format!("{url}\t{error}").into());
            }
        }
    }
    match (up, down) {
        (_, 0) => 0,
        (0, _) => UNREACHABLE,
        _ => REFUSED,
    }
}

fn status_line(url: &str, status: &Status) -> String {
    let Status { member, term, commit, applied, revision, .. } = status;
    let leader = status.leader.as_deref().unwrap_or("nobody");
    format!(
        "{url}\t{member}\tleader {leader}\tterm {term}\tcommit {commit}\tapplied {applied}\t\
         revision {revision}"
    )
}
