//! What the names of operations in a file mean to a model.
//!
//! | model | operations |
//! |---|---|
//! | register, cas-register | `:read`, `:write v`, `:cas [old new]` |
//! | append-kv | `:get`, `:put s` and `:append s`, each with a `:key` |
//! | multi-register | `:txn [[:read k v] [:write k v]]` |
//! | set | `:add v`, `:remove v`, `:contains v` (completed with true or false), `:read` |
//! | counter | `:add n`, `:read` |
//! | queue, priority-queue | `:enqueue v`, `:dequeue` (completed with nil: it was empty) |
//! | stack | `:push v`, `:pop` (completed with nil: it was empty) |
//! | mutex | `:acquire`, `:release` |
//! | fenced-lock | `:acquire owner` (completed with the token), `:release owner`, `:expire owner` |
//! | semaphore | `:acquire n`, `:release n`; without a number, one permit |
//! | log | `:append v` (completed with the offset, or anything else), `:read`, `:read-at i` |
//! | lease | `:acquire owner`, `:renew owner`, `:release owner`, completed with the server's time |
//!
//! Owners that are not given are the processes.

use std::collections::BTreeSet;

use crate::model::Model;
use crate::model::append_kv::{AppendKv, AppendKvCall, AppendKvReturn};
use crate::model::cas_register::{CasCall, CasRegister, CasReturn};
use crate::model::counter::{Counter, CounterCall, CounterReturn};
use crate::model::lease::{Lease, LeaseCall, LeaseReturn};
use crate::model::lock::{FencedLock, FencedLockCall, FencedLockReturn};
use crate::model::lock::{Mutex, MutexCall, MutexReturn};
use crate::model::log::{AppendLog, LogCall, LogReturn};
use crate::model::multi_register::{Access, MultiRegister, Observed};
use crate::model::queue::{FifoQueue, PriorityQueue, QueueCall, QueueReturn};
use crate::model::register::{Register, RegisterCall, RegisterReturn};
use crate::model::semaphore::{Semaphore, SemaphoreCall, SemaphoreReturn};
use crate::model::set::{Set, SetCall, SetReturn};
use crate::model::stack::{Stack, StackCall, StackReturn};
use crate::value::Value;

/// An operation as a file names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) process: u64,
    pub(crate) f: &'a str,
    pub(crate) key: Option<&'a Value>,
    /// The value of the invocation.
    pub(crate) asked: &'a Value,
    /// The value of the completion; `None` if the outcome is not known.
    pub(crate) answered: Option<&'a Value>,
    /// Whether a read completed with nil may have seen anything.
    pub(crate) is_nil_unknown: bool,
}

/// An input with its output, or nothing for an operation that says nothing.
pub(crate) type Meant<M> = Option<(<M as Model>::Input, Option<<M as Model>::Output>)>;

/// A model whose operations have names.
pub(crate) trait Vocabulary: Model {
    /// What the operation means, or what is wrong with it.
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String>;
}

impl Named<'_> {
    /// The argument: that of the completion, if there is one.
    fn argument(&self) -> &Value {
        self.answered.filter(|value| **value != Value::Nil).unwrap_or(self.asked)
    }

    /// The answer of a read; the read says nothing if that is not known.
    fn answer(&self) -> Option<&Value> {
        self.answered.filter(|value| !(self.is_nil_unknown && **value == Value::Nil))
    }

    /// The output of an operation that only says that it is done.
    fn done<O>(&self, output: O) -> Option<O> {
        self.answered.map(|_| output)
    }

    fn owner(&self) -> Value {
        match self.asked {
            Value::Nil => Value::Int(i64::try_from(self.process).unwrap_or(i64::MAX)),
            owner => owner.clone(),
        }
    }

    fn unknown<T>(&self, known: &str) -> Result<T, String> {
        Err(format!("the operation :{}, where the model has {known}", self.f))
    }
}

fn pair(value: &Value) -> Result<(Value, Value), String> {
    match value.list() {
        Some([old, new]) => Ok((old.clone(), new.clone())),
        _ => Err(format!("{value} where two values [old new] should be")),
    }
}

fn number<N: TryFrom<i64>>(value: &Value) -> Result<N, String> {
    let number = value.int().and_then(|int| N::try_from(int).ok());
    number.ok_or_else(|| format!("{value} where a whole number should be"))
}

fn text(value: Option<&Value>, what: &str) -> Result<String, String> {
    match value {
        Some(Value::Text(text)) => Ok(text.to_string()),
        Some(Value::Int(int)) => Ok(int.to_string()),
        Some(other) => Err(format!("{other} where {what} should be")),
        None => Err(format!("an operation without {what}")),
    }
}

impl Vocabulary for Register<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        Ok(match named.f {
            "read" => named
                .answer()
                .map(|value| (RegisterCall::Read, Some(RegisterReturn::Value(value.clone())))),
            "write" => {
                let call = RegisterCall::Write(named.argument().clone());
                Some((call, named.done(RegisterReturn::Written)))
            }
            _ => return named.unknown(":read and :write"),
        })
    }
}

impl Vocabulary for CasRegister<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        Ok(match named.f {
            "read" => {
                named.answer().map(|value| (CasCall::Read, Some(CasReturn::Value(value.clone()))))
            }
            "write" => {
                let call = CasCall::Write(named.argument().clone());
                Some((call, named.done(CasReturn::Written)))
            }
            "cas" => {
                let (old, new) = pair(named.argument())?;
                Some((CasCall::Cas(old, new), named.done(CasReturn::Swapped(true))))
            }
            _ => return named.unknown(":read, :write and :cas"),
        })
    }
}

impl Vocabulary for AppendKv {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        let key = text(named.key, "a :key")?;
        Ok(match named.f {
            "get" => match named.answered {
                Some(value) => {
                    let value = text(Some(value), "the string that was found")?;
                    Some((AppendKvCall::Get(key), Some(AppendKvReturn::Value(value))))
                }
                None => None,
            },
            "put" | "append" => {
                let value = text(Some(named.argument()), "a string")?;
                let call = match named.f {
                    "put" => AppendKvCall::Put(key, value),
                    _ => AppendKvCall::Append(key, value),
                };
                Some((call, named.done(AppendKvReturn::Done)))
            }
            _ => return named.unknown(":get, :put and :append"),
        })
    }
}

impl Vocabulary for MultiRegister<Value, Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        if named.f != "txn" {
            return named.unknown(":txn");
        }
        let asked = match named.argument() {
            Value::Nil => &[],
            value => value.list().ok_or_else(|| {
                format!("{value} where a vector of [:read key value] and the like should be")
            })?,
        };
        let mut accesses = Vec::with_capacity(asked.len());
        let mut observed: Observed<Value> = Vec::new();
        for access in asked {
            let parts = access.list().unwrap_or_default();
            match (parts.first().and_then(Value::text), parts) {
                (Some("read" | "r"), [_, key, value]) => {
                    accesses.push(Access::Read(key.clone()));
                    observed.push((*value != Value::Nil).then(|| value.clone()));
                }
                (Some("read" | "r"), [_, key]) => {
                    accesses.push(Access::Read(key.clone()));
                    observed.push(None);
                }
                (Some("write" | "w"), [_, key, value]) => {
                    accesses.push(Access::Write(key.clone(), value.clone()));
                }
                _ => return Err(format!("{access} where [:read key value] should be")),
            }
        }
        Ok(Some((accesses, named.done(observed))))
    }
}

impl Vocabulary for Set<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        let element = || named.asked.clone();
        let changed = || {
            named.answered.map(|answer| match answer {
                Value::Bool(bool) => SetReturn::Bool(*bool),
                _ => SetReturn::Done,
            })
        };
        Ok(match named.f {
            "add" => Some((SetCall::Add(element()), changed())),
            "remove" => Some((SetCall::Remove(element()), changed())),
            "contains" => match named.answer() {
                Some(Value::Bool(bool)) => {
                    Some((SetCall::Contains(element()), Some(SetReturn::Bool(*bool))))
                }
                Some(other) => return Err(format!("{other} where true or false should be")),
                None => None,
            },
            "read" => match named.answer() {
                Some(Value::List(elements)) => {
                    let elements: BTreeSet<Value> = elements.iter().cloned().collect();
                    Some((SetCall::Read, Some(SetReturn::Elements(elements))))
                }
                Some(other) => return Err(format!("{other} where the elements should be")),
                None => None,
            },
            _ => return named.unknown(":add, :remove, :contains and :read"),
        })
    }
}

impl Vocabulary for Counter {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        Ok(match named.f {
            "read" => match named.answer() {
                Some(value) => {
                    Some((CounterCall::Read, Some(CounterReturn::Value(number(value)?))))
                }
                None => None,
            },
            "add" => {
                let call = CounterCall::Add(number(named.asked)?);
                Some((call, named.done(CounterReturn::Done)))
            }
            _ => return named.unknown(":add and :read"),
        })
    }
}

fn queue(named: &Named<'_>) -> Result<(QueueCall<Value>, Option<QueueReturn<Value>>), String> {
    Ok(match named.f {
        "enqueue" => (QueueCall::Enqueue(named.argument().clone()), named.done(QueueReturn::Done)),
        "dequeue" => {
            let output = named.answered.map(|answer| match answer {
                Value::Nil => QueueReturn::Empty,
                item => QueueReturn::Item(item.clone()),
            });
            (QueueCall::Dequeue, output)
        }
        _ => return named.unknown(":enqueue and :dequeue"),
    })
}

impl Vocabulary for FifoQueue<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        queue(named).map(Some)
    }
}

impl Vocabulary for PriorityQueue<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        queue(named).map(Some)
    }
}

impl Vocabulary for Stack<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        Ok(Some(match named.f {
            "push" => (StackCall::Push(named.argument().clone()), named.done(StackReturn::Done)),
            "pop" => {
                let output = named.answered.map(|answer| match answer {
                    Value::Nil => StackReturn::Empty,
                    item => StackReturn::Item(item.clone()),
                });
                (StackCall::Pop, output)
            }
            _ => return named.unknown(":push and :pop"),
        }))
    }
}

impl Vocabulary for Mutex {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        let call = match named.f {
            "acquire" => MutexCall::Acquire,
            "release" => MutexCall::Release,
            _ => return named.unknown(":acquire and :release"),
        };
        Ok(Some((call, named.done(MutexReturn::Done))))
    }
}

impl Vocabulary for FencedLock<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        let owner = named.owner();
        Ok(Some(match named.f {
            "acquire" => {
                let token = named.answered.map(number).transpose()?;
                (FencedLockCall::Acquire(owner), token.map(FencedLockReturn::Granted))
            }
            "release" => (FencedLockCall::Release(owner), named.done(FencedLockReturn::Done)),
            "expire" => (FencedLockCall::Expire(owner), named.done(FencedLockReturn::Done)),
            _ => return named.unknown(":acquire, :release and :expire"),
        }))
    }
}

impl Vocabulary for Semaphore {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        let count = match named.asked {
            Value::Nil => 1,
            count => number(count)?,
        };
        let call = match named.f {
            "acquire" => SemaphoreCall::Acquire(count),
            "release" => SemaphoreCall::Release(count),
            _ => return named.unknown(":acquire and :release"),
        };
        Ok(Some((call, named.done(SemaphoreReturn::Done))))
    }
}

impl Vocabulary for AppendLog<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        Ok(match named.f {
            "append" => {
                let output = named.answered.map(|answer| match answer {
                    Value::Int(offset) if answer != named.asked => {
                        usize::try_from(*offset).map_or(LogReturn::Done, LogReturn::Offset)
                    }
                    _ => LogReturn::Done,
                });
                Some((LogCall::Append(named.asked.clone()), output))
            }
            "read" => match named.answer() {
                Some(Value::List(entries)) => {
                    Some((LogCall::Read, Some(LogReturn::Entries(entries.clone()))))
                }
                Some(other) => return Err(format!("{other} where the entries should be")),
                None => None,
            },
            "read-at" => {
                let offset = number(named.asked)?;
                named.answered.map(|answer| {
                    let entry = (*answer != Value::Nil).then(|| answer.clone());
                    (LogCall::ReadAt(offset), Some(LogReturn::Entry(entry)))
                })
            }
            _ => return named.unknown(":append, :read and :read-at"),
        })
    }
}

impl Vocabulary for Lease<Value> {
    fn meaning(named: &Named<'_>) -> Result<Meant<Self>, String> {
        let owner = named.owner();
        let call = match named.f {
            "acquire" => LeaseCall::Acquire(owner),
            "renew" => LeaseCall::Renew(owner),
            "release" => LeaseCall::Release(owner),
            _ => return named.unknown(":acquire, :renew and :release"),
        };
        let now_ns = named.answered.map(number).transpose()?;
        Ok(Some((call, now_ns.map(LeaseReturn::Done))))
    }
}
