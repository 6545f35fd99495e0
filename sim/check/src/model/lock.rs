//! Locks: a mutex without owners, and a lock whose grants carry fencing tokens.

use serde::{Deserialize, Serialize};

use super::{Data, Effect, Model};

/// A lock that knows no owner: it is held or free, and anyone may release it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutex {
    /// Whether somebody holds it before the first operation.
    pub is_held: bool,
}

/// What a client asks of a mutex. The answer, [`MutexReturn`], says no more than that it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutexCall {
    /// Take the lock, which must be free.
    Acquire,
    /// Give the lock back, which must be held.
    Release,
}

/// What a mutex answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutexReturn {
    /// The lock is taken or given back.
    Done,
}

impl MutexCall {
    /// Whether the lock is held after the operation.
    fn makes_held(self) -> bool {
        self == Self::Acquire
    }
}

impl Model for Mutex {
    type State = bool;
    type Input = MutexCall;
    type Output = MutexReturn;

    fn initial(&self) -> bool {
        self.is_held
    }

    fn step(
        &self,
        is_held: &bool,
        input: &MutexCall,
        _output: Option<&MutexReturn>,
    ) -> Option<bool> {
        (*is_held != input.makes_held()).then_some(input.makes_held())
    }

    fn describe(&self, input: &MutexCall, output: Option<&MutexReturn>) -> String {
        let asked = match input {
            MutexCall::Acquire => "acquires the lock",
            MutexCall::Release => "releases the lock",
        };
        let unknown = if output.is_none() { ", outcome unknown" } else { "" };
        format!("{asked}{unknown}")
    }

    fn describe_state(&self, is_held: &bool) -> String {
        if *is_held { "is held" } else { "is free" }.to_owned()
    }

    fn effect(&self, input: &MutexCall, _output: Option<&MutexReturn>) -> Option<Effect<bool>> {
        let is_held = input.makes_held();
        Some(Effect { needs: Some(!is_held), sets: Some(is_held) })
    }
}

/// A lock that grants itself to named owners, each time with a higher token.
///
/// A token is higher than every one granted before, so whoever checks tokens can turn away an
/// owner that lost the lock without knowing it. Only the owner may release. How an owner that died
/// loses the lock is another operation of the system, [`FencedLockCall::Expire`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FencedLock<O> {
    of: std::marker::PhantomData<fn() -> O>,
}

/// What is asked of a lock with fencing tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FencedLockCall<O> {
    /// Take the lock for an owner.
    Acquire(O),
    /// Give the lock back, in the name of an owner.
    Release(O),
    /// The system takes the lock from an owner.
    Expire(O),
}

/// What a lock with fencing tokens answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FencedLockReturn {
    /// The lock is granted with this token.
    Granted(u64),
    /// Somebody holds the lock, so it is not granted; or the owner does not hold it, so it is not
    /// released.
    Refused,
    /// The lock is released, or was taken away.
    Done,
}

/// What a lock with fencing tokens remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FencedLockState<O> {
    /// Who holds the lock.
    pub owner: Option<O>,
    /// The lowest token that may still be granted.
    pub next_token: u64,
}

impl<O> FencedLock<O> {
    /// A lock that is free, before the first token.
    pub fn new() -> Self {
        Self { of: std::marker::PhantomData }
    }
}

impl<O: Data> Model for FencedLock<O> {
    type State = FencedLockState<O>;
    type Input = FencedLockCall<O>;
    type Output = FencedLockReturn;

    fn initial(&self) -> FencedLockState<O> {
        FencedLockState { owner: None, next_token: 0 }
    }

    fn step(
        &self,
        state: &FencedLockState<O>,
        input: &FencedLockCall<O>,
        output: Option<&FencedLockReturn>,
    ) -> Option<FencedLockState<O>> {
        let next_token = state.next_token;
        let is_owner = |owner| state.owner.as_ref() == Some(owner);
        match (input, output) {
            (FencedLockCall::Acquire(owner), None) => Some(match &state.owner {
                // Whatever token was granted, it was higher than this one, and all that is allowed
                // after a high token is allowed after this one.
                None => FencedLockState {
                    owner: Some(owner.clone()),
                    next_token: next_token.saturating_add(1),
                },
                Some(_) => state.clone(),
            }),
            (FencedLockCall::Acquire(owner), Some(FencedLockReturn::Granted(token))) => {
                (state.owner.is_none() && *token >= next_token).then(|| FencedLockState {
                    owner: Some(owner.clone()),
                    next_token: token.saturating_add(1),
                })
            }
            (FencedLockCall::Acquire(_), Some(FencedLockReturn::Refused)) => {
                state.owner.is_some().then(|| state.clone())
            }
            (FencedLockCall::Release(owner), Some(FencedLockReturn::Refused)) => {
                (!is_owner(owner)).then(|| state.clone())
            }
            (
                FencedLockCall::Release(owner) | FencedLockCall::Expire(owner),
                None | Some(FencedLockReturn::Done),
            ) => is_owner(owner).then_some(FencedLockState { owner: None, next_token }),
            _ => None,
        }
    }

    fn describe(&self, input: &FencedLockCall<O>, output: Option<&FencedLockReturn>) -> String {
        match (input, output) {
            (FencedLockCall::Acquire(owner), None) => {
                format!("acquires the lock for {owner:?}, outcome unknown")
            }
            (FencedLockCall::Acquire(owner), Some(FencedLockReturn::Granted(token))) => {
                format!("acquires the lock for {owner:?} with token {token}")
            }
            (FencedLockCall::Acquire(owner), Some(FencedLockReturn::Refused)) => {
                format!("is refused the lock for {owner:?}")
            }
            (FencedLockCall::Release(owner), None) => {
                format!("releases the lock of {owner:?}, outcome unknown")
            }
            (FencedLockCall::Release(owner), Some(FencedLockReturn::Done)) => {
                format!("releases the lock of {owner:?}")
            }
            (FencedLockCall::Release(owner), Some(FencedLockReturn::Refused)) => {
                format!("is refused to release the lock of {owner:?}")
            }
            (FencedLockCall::Expire(owner), None) => {
                format!("takes the lock from {owner:?}, outcome unknown")
            }
            (FencedLockCall::Expire(owner), Some(FencedLockReturn::Done)) => {
                format!("takes the lock from {owner:?}")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &FencedLockState<O>) -> String {
        match &state.owner {
            Some(owner) => format!("is held by {owner:?}, next token {}", state.next_token),
            None => format!("is free, next token {}", state.next_token),
        }
    }
}
