//! What the server keeps: a value that is told the time of day.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// `SET key value NX PX px_ms`: [`Reply::Ok`], or [`Reply::Nil`] if the key is there.
    SetNxPx {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// How long it is there, in milliseconds.
        px_ms: u64,
    },
    /// `GET key`: [`Reply::Value`] or [`Reply::Nil`].
    Get(String),
    /// `DEL key`: [`Reply::Integer`], how many keys it was.
    Del(String),
    /// `INCR key`: [`Reply::Integer`], what the key's number is now.
    Incr(String),
    /// A script: `DEL key` if its value is this one. How many keys it was.
    CompareAndDelete {
        /// The key.
        key: String,
        /// What its value has to be.
        value: String,
    },
    /// A script: `PEXPIRE key px_ms` if its value is this one. How many keys it was.
    CompareAndPexpire {
        /// The key.
        key: String,
        /// What its value has to be.
        value: String,
        /// How long it is there from now on, in milliseconds.
        px_ms: u64,
    },
    /// A script: `SET key value NX PX px_ms`, and if it was set `INCR counter`. If the key has this
    /// value already, `PEXPIRE key px_ms` and `GET counter`. The counter, or [`Reply::Nil`].
    AcquireFenced {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// How long it is there, in milliseconds.
        px_ms: u64,
        /// The key of the counter.
        counter: String,
    },
    /// A script: `GET counter` if the key has this value. The counter, or [`Reply::Nil`].
    CompareAndGet {
        /// The key.
        key: String,
        /// What its value has to be.
        value: String,
        /// The key of the counter.
        counter: String,
    },
}

/// What the server answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Ok,
    /// There is nothing.
    Nil,
    /// A number.
    Integer(i64),
    /// A value.
    Value(String),
    /// A replica takes no writes.
    ReadOnly,
    /// The key holds no number.
    NoInteger,
}

/// What a command does, as it is logged and replicated: it hangs on no clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// A key has this value, until this time if there is one.
    Set(String, Entry),
    /// A key is gone.
    Delete(String),
}

/// A value, and when it goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    value: String,
    /// In milliseconds since the Unix epoch.
    until_ms: Option<i64>,
}

/// The keys of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Keyspace(BTreeMap<String, Entry>);

impl Keyspace {
    /// Takes over what was done elsewhere or before.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Set(key, entry) => drop(self.0.insert(key.clone(), entry.clone())),
            Effect::Delete(key) => drop(self.0.remove(key)),
        }
    }

    /// Does a command at this time of day, in milliseconds since the Unix epoch, and says what it
    /// did.
    pub fn execute(&mut self, now_ms: i64, command: &Command) -> (Reply, Vec<Effect>) {
        let mut step = Step { keys: self, now_ms, effects: Vec::new() };
        let reply = step.execute(command);
        (reply, step.effects)
    }

    /// What makes an empty keyspace this one.
    pub fn effects(&self) -> Vec<Effect> {
        self.0.iter().map(|(key, entry)| Effect::Set(key.clone(), entry.clone())).collect()
    }

    fn get(&self, now_ms: i64, key: &str) -> Option<&str> {
        let entry = self.0.get(key)?;
        let is_there = entry.until_ms.is_none_or(|until| now_ms < until);
        is_there.then_some(entry.value.as_str())
    }
}

struct Step<'a> {
    keys: &'a mut Keyspace,
    now_ms: i64,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn execute(&mut self, command: &Command) -> Reply {
        match command {
            Command::Get(key) => match self.get(key) {
                Some(value) => Reply::Value(value.to_owned()),
                None => Reply::Nil,
            },
            Command::SetNxPx { key, value, px_ms } => match self.get(key) {
                Some(_) => Reply::Nil,
                None => {
                    self.set(key, value, *px_ms);
                    Reply::Ok
                }
            },
            Command::Del(key) => Reply::Integer(self.delete_if(self.get(key).is_some(), key)),
            Command::CompareAndDelete { key, value } => {
                Reply::Integer(self.delete_if(self.has(key, value), key))
            }
            Command::Incr(key) => self.increase(key),
            Command::CompareAndPexpire { key, value, px_ms } => {
                let has = self.has(key, value);
                if has {
                    self.set(key, value, *px_ms);
                }
                Reply::Integer(i64::from(has))
            }
            Command::AcquireFenced { key, value, px_ms, counter } => match self.get(key) {
                None => {
                    self.set(key, value, *px_ms);
                    self.increase(counter)
                }
                Some(there) if there == value => {
                    self.set(key, value, *px_ms);
                    self.number(counter)
                }
                Some(_) => Reply::Nil,
            },
            Command::CompareAndGet { key, value, counter } => match self.has(key, value) {
                true => self.number(counter),
                false => Reply::Nil,
            },
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(self.now_ms, key)
    }

    fn has(&self, key: &str, value: &str) -> bool {
        self.get(key) == Some(value)
    }

    fn number(&self, key: &str) -> Reply {
        match self.get(key).unwrap_or("0").parse() {
            Ok(number) => Reply::Integer(number),
            Err(_) => Reply::NoInteger,
        }
    }

    fn increase(&mut self, key: &str) -> Reply {
        let Reply::Integer(number) = self.number(key) else { return Reply::NoInteger };
        let Some(next) = number.checked_add(1) else { return Reply::NoInteger };
        // It goes when the number before it would have gone.
        let there = self.keys.0.get(key).filter(|_| self.get(key).is_some());
        let until_ms = there.and_then(|entry| entry.until_ms);
        self.change(Effect::Set(key.to_owned(), Entry { value: next.to_string(), until_ms }));
        Reply::Integer(next)
    }

    fn set(&mut self, key: &str, value: &str, px_ms: u64) {
        let until_ms = Some(self.now_ms.saturating_add_unsigned(px_ms));
        self.change(Effect::Set(key.to_owned(), Entry { value: value.to_owned(), until_ms }));
    }

    fn delete_if(&mut self, wanted: bool, key: &str) -> i64 {
        if wanted {
            self.change(Effect::Delete(key.to_owned()));
        }
        i64::from(wanted)
    }

    fn change(&mut self, effect: Effect) {
        self.keys.apply(&effect);
        self.effects.push(effect);
    }
}
