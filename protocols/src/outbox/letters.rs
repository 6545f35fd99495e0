//! Messages that are still to be published, beside the state that they tell of.

use crate::queue::{Message, MessageId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is to be told to others.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Letter {
    /// Letters of one key arrive in order.
    pub key: Option<String>,
    /// What it says.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// A letter with its number in an outbox.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Numbered {
    /// Its number, from 1 without gaps.
    pub number: u64,
    /// The letter.
    pub letter: Letter,
}

/// Letters in the order in which they were written.
///
/// It belongs into the same state as what the letters tell of, and changes in the same record or
/// transaction: then there is a letter if and only if there is what it tells of.
///
/// ```
/// use squall_protocols::outbox::{Letter, Outbox};
///
/// let mut outbox = Outbox::new(8);
/// outbox.put([Letter { key: None, body: b"order 7 is paid".to_vec() }]);
/// let first = outbox.first(10);
/// // Published, confirmed, and only then marked. A crash in between publishes it again, under the
/// // same id.
/// outbox.sent(first[0].number);
/// assert!(outbox.first(10).is_empty());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Outbox {
    letters_max: u32,
    last: u64,
    waiting: BTreeMap<u64, Letter>,
}

impl Outbox {
    /// An outbox for so many letters at a time.
    pub fn new(letters_max: u32) -> Outbox {
        Outbox { letters_max, last: 0, waiting: BTreeMap::new() }
    }

    /// Whether so many letters more fit in. Who has no room refuses the change that they tell of.
    pub fn has_room(&self, letters: usize) -> bool {
        self.waiting.len() + letters <= self.letters_max as usize
    }

    /// Puts letters in, behind all others.
    pub fn put(&mut self, letters: impl IntoIterator<Item = Letter>) {
        for letter in letters {
            self.last += 1;
            self.waiting.insert(self.last, letter);
        }
    }

    /// The first letters that wait, at most so many.
    pub fn first(&self, most: usize) -> Vec<Numbered> {
        let numbered = |(number, letter): (&u64, &Letter)| Numbered {
            number: *number,
            letter: letter.clone(),
        };
        self.waiting.iter().take(most).map(numbered).collect()
    }

    /// How many letters wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The number of the last letter that was put in.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Notes that all letters up to this number are published, and drops them.
    pub fn sent(&mut self, upto: u64) {
        self.waiting = self.waiting.split_off(&upto.saturating_add(1));
    }
}

impl Numbered {
    /// The message that it becomes: always the same, however often it is published, and unlike any
    /// of another outbox, as long as no two have the same `source`.
    pub fn message(&self, source: u64) -> Message {
        let id = MessageId(u128::from(source) << 64 | u128::from(self.number));
        let message = Message::new(id, self.letter.body.clone());
        match &self.letter.key {
            Some(key) => message.key(key),
            None => message,
        }
    }
}
