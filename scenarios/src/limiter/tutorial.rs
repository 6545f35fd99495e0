//! Limiters as tutorials have them.

use super::{BURST, Decides, INTERVAL, Key, WINDOW};
use squall_env::{Env, Instant};
use squall_protocols::limiter::{FixedWindow, Limited};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// What is counted, and when it is forgotten.
#[derive(Clone, Copy)]
pub(super) enum Window {
    /// A window that begins with the first hit and then with the first after its end, as many
    /// gateways come with.
    Fixed,
    /// A list of those that came through, from which whoever comes takes what is too old for it.
    Arrivals,
    /// The same of all that came: each is added first, and then counted.
    Attempts,
}

/// What a key has of it.
enum Kept {
    Fixed(FixedWindow),
    List(VecDeque<Instant>),
}

/// A limiter for each key.
#[derive(Clone)]
pub(super) struct Tutorial {
    env: Env,
    window: Window,
    kept: Arc<Mutex<BTreeMap<Key, Kept>>>,
}

impl Tutorial {
    pub(super) fn new(env: &Env, window: Window) -> Tutorial {
        Tutorial { env: env.clone(), window, kept: Arc::default() }
    }

    fn anew(&self) -> Kept {
        match self.window {
            Window::Fixed => Kept::Fixed(FixedWindow::new(BURST, WINDOW)),
            Window::Arrivals | Window::Attempts => Kept::List(VecDeque::new()),
        }
    }

    fn admits(&self, list: &mut VecDeque<Instant>, came: Instant) -> bool {
        while list.pop_front_if(|hit| *hit + WINDOW <= came).is_some() {}
        let is_admitted = list.len() < BURST as usize;
        if is_admitted || matches!(self.window, Window::Attempts) {
            list.push_back(came);
        }
        is_admitted
    }
}

impl Decides for Tutorial {
    fn check(&self, key: Key, came: Instant) -> Result<(), Limited> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| match kept {
            Kept::Fixed(window) => window.hits(came) > 0,
            Kept::List(list) => list.back().is_some_and(|last| *last + WINDOW > came),
        });
        let is_admitted = match kept.entry(key).or_insert_with(|| self.anew()) {
            Kept::Fixed(window) => window.check(came).is_allowed(),
            Kept::List(list) => self.admits(list, came),
        };
        if is_admitted { Ok(()) } else { Err(Limited { retry_after: INTERVAL }) }
    }

    /// It forgets keys by itself.
    fn keys(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        self.env.now()
    }
}
