//! A player of a game: points, levels, and what was achieved.

use super::Aggregate;
use crate::event_store;
use serde::{Deserialize, Serialize};

/// How many points make a level.
pub const LEVEL_POINTS: u64 = 100;

/// The most points at once.
pub const POINTS_MAX: u64 = 1_000_000;

/// Where a player stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Status {
    /// The game has not begun.
    #[default]
    New,
    /// It is under way.
    Playing,
}

/// A player.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Player {
    status: Status,
    score: u64,
    level: u64,
    power_ups: Vec<String>,
    achievements: Vec<String>,
}

/// What a player can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Begin.
    Start,
    /// Earn points.
    Earn {
        /// How many.
        points: u64,
    },
    /// Pick something up.
    Collect {
        /// What it is called.
        power_up: String,
    },
}

/// What can have happened to a player.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The game has begun.
    GameStarted,
    /// Points were earned.
    PointsEarned {
        /// How many.
        points: u64,
    },
    /// Something was picked up.
    PowerUpCollected {
        /// What it is called.
        power_up: String,
    },
}

/// Why something cannot be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GameError {
    /// The game has begun already.
    #[error("Game already started")]
    AlreadyStarted,
    /// The game has not begun.
    #[error("Game not started")]
    NotStarted,
    /// None at all, or more than [`POINTS_MAX`].
    #[error("Points must be between 1 and {POINTS_MAX}")]
    Points,
    /// It has no name.
    #[error("A power-up needs a name")]
    NoName,
}

impl Player {
    /// Where the player stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// All points together.
    pub fn score(&self) -> u64 {
        self.score
    }

    /// One more than the whole hundreds of points.
    pub fn level(&self) -> u64 {
        self.level
    }

    /// What was picked up, in order.
    pub fn power_ups(&self) -> &[String] {
        &self.power_ups
    }

    /// What was achieved, in order: each level that was reached, also if several were at once.
    pub fn achievements(&self) -> &[String] {
        &self.achievements
    }
}

impl Aggregate for Player {
    type Command = Command;
    type Event = Event;
    type Error = GameError;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, GameError> {
        match (self.status, command) {
            (Status::New, Command::Start) => Ok(vec![Event::GameStarted]),
            (Status::Playing, Command::Start) => Err(GameError::AlreadyStarted),
            (Status::New, _) => Err(GameError::NotStarted),
            (_, Command::Earn { points }) if !(1..=POINTS_MAX).contains(points) => {
                Err(GameError::Points)
            }
            (_, Command::Earn { points }) => Ok(vec![Event::PointsEarned { points: *points }]),
            (_, Command::Collect { power_up }) if power_up.is_empty() => Err(GameError::NoName),
            (_, Command::Collect { power_up }) => {
                Ok(vec![Event::PowerUpCollected { power_up: power_up.clone() }])
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::GameStarted => {
                let achievements = vec!["First Steps".to_owned()];
                let (status, level) = (Status::Playing, 1);
                *self = Player { status, level, achievements, ..Player::default() };
            }
            Event::PointsEarned { points } => {
                self.score = self.score.saturating_add(*points);
                let level = self.score / LEVEL_POINTS + 1;
                for reached in self.level + 1..=level {
                    self.achievements.push(format!("Level {reached} Master"));
                }
                self.level = level;
            }
            Event::PowerUpCollected { power_up } => self.power_ups.push(power_up.clone()),
        }
    }
}

impl event_store::Event for Event {
    const KINDS: &'static [(&'static str, u32)] =
        &[("GameStarted", 1), ("PointsEarned", 1), ("PowerUpCollected", 1)];

    fn kind(&self) -> &'static str {
        match self {
            Event::GameStarted => "GameStarted",
            Event::PointsEarned { .. } => "PointsEarned",
            Event::PowerUpCollected { .. } => "PowerUpCollected",
        }
    }

    fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Event::GameStarted => Ok(Vec::new()),
            Event::PointsEarned { points } => postcard::to_allocvec(points),
            Event::PowerUpCollected { power_up } => postcard::to_allocvec(power_up),
        };
        encoded.expect("strings and numbers can be encoded")
    }

    fn decode(kind: &str, data: &[u8]) -> Option<Event> {
        match kind {
            "GameStarted" => Some(Event::GameStarted),
            "PointsEarned" => {
                Some(Event::PointsEarned { points: postcard::from_bytes(data).ok()? })
            }
            "PowerUpCollected" => {
                Some(Event::PowerUpCollected { power_up: postcard::from_bytes(data).ok()? })
            }
            _ => None,
        }
    }
}
