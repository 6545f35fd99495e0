//! Projections, and what is kept of each beside its view.

use crate::event_store::RecordedEvent;
use crate::specification::{Field, Row, Table, Value};
use crate::unit_of_work::{Entity, UnitError, UnitOfWork};
use squall_env::Position;
use squall_env::platform::BoxFuture;

/// The tables that projections need beside those of their views, for the schema of the store.
pub const TABLES: [Table; 3] = [Checkpoint::TABLE, Live::TABLE, Parked::TABLE];

/// Folds events into a view. Each version of it has tables of its own, so that a new one can be
/// built beside the old one.
pub trait Projection: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Its version. Whoever changes what [`apply`](Projection::apply) does or which tables it
    /// writes, gives it the next one.
    fn version(&self) -> u32;

    /// Changes the view as the event says. An event that it does not know is passed over. It gets
    /// each event once, but may be asked about one again if nothing came of it: all that it changes
    /// takes effect together with the checkpoint, or not at all.
    ///
    /// # Errors
    /// [`ApplyError::Poison`] if it cannot be applied.
    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        view: &'a mut ViewWriter<'_>,
    ) -> BoxFuture<'a, Result<(), ApplyError>>;
}

/// Why an event was not applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something is wrong with it, or with the projection.
    #[error("{0}")]
    Poison(String),
    /// The view could not be read or written.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

impl ApplyError {
    /// Why the event cannot be applied, unless it is the store that was not there.
    pub(super) fn poison(self) -> Result<String, UnitError> {
        match self {
            ApplyError::Poison(why) => Ok(why),
            ApplyError::Unit(
                error @ (UnitError::Store(_) | UnitError::Commit(_) | UnitError::InDoubt),
            ) => Err(error),
            // What is not there, or is there already, will be so the next time.
            ApplyError::Unit(error) => Ok(error.to_string()),
        }
    }
}

/// The view as a projection changes it.
pub struct ViewWriter<'a> {
    unit: &'a mut UnitOfWork,
    /// Whether what is applied has effects outside.
    has_effects: bool,
}

impl<'a> ViewWriter<'a> {
    pub(super) fn new(unit: &'a mut UnitOfWork, has_effects: bool) -> ViewWriter<'a> {
        ViewWriter { unit, has_effects }
    }

    /// The rows of the view.
    pub fn rows(&mut self) -> &mut UnitOfWork {
        self.unit
    }

    /// Has something done outside: a message in the outbox of the store, which is there if the
    /// event is applied. A version that is built anew says nothing about events of which an earlier
    /// version has spoken.
    ///
    /// # Errors
    /// [`UnitError`].
    pub fn effect(&mut self, topic: &str, body: Vec<u8>) -> Result<(), UnitError> {
        if self.has_effects { self.unit.send(topic, body) } else { Ok(()) }
    }
}

/// What a version of a projection is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It catches up with the one that is live.
    Building,
    /// Queries are answered from it.
    Live,
    /// A later one has taken its place.
    Retired,
}

/// How far a version of a projection has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The projection's name and version.
    pub id: String,
    /// Everything up to this position is in the view or parked, and nothing behind it.
    pub position: Position,
    /// What was applied behind this position had effects outside, unless it is being built.
    pub gate: Position,
    /// What it is there for.
    pub phase: Phase,
    /// Goes up when parked events are applied, which moves no position.
    pub revision: i64,
}

/// The version of a projection from which queries are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Live {
    /// The projection's name.
    pub name: String,
    /// The version.
    pub version: u32,
}

/// An event that a projection could not apply, or that comes after one in the same stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parked {
    /// The projection's name and version.
    pub projection: String,
    /// The event's stream: those of one stream are applied in their order or not at all.
    pub stream: String,
    /// The event's position.
    pub position: Position,
    /// Why it was parked.
    pub reason: String,
    /// How often it was tried; zero for one that waits behind another.
    pub attempts: i64,
}

/// The name of a version of a projection.
pub(super) fn id(name: &str, version: u32) -> String {
    format!("{name}@{version}")
}

fn number(position: Position) -> Option<Value> {
    Some(Value::Integer(position.0.cast_signed()))
}

fn position(value: &Option<Value>) -> Option<Position> {
    Some(Position(value.as_ref()?.integer()?.cast_unsigned()))
}

fn text(value: &Option<Value>) -> Option<String> {
    Some(value.as_ref()?.text()?.to_owned())
}

impl Entity for Checkpoint {
    const TABLE: Table = Table {
        name: "projection checkpoints",
        fields: &[
            Field::integer("position"),
            Field::integer("gate"),
            Field::text("phase"),
            Field::integer("revision"),
        ],
    };

    fn key(&self) -> String {
        self.id.clone()
    }

    fn to_row(&self) -> Row {
        let phase = match self.phase {
            Phase::Building => "building",
            Phase::Live => "live",
            Phase::Retired => "retired",
        };
        let revision = Some(self.revision.into());
        vec![number(self.position), number(self.gate), Some(phase.into()), revision]
    }

    fn from_row(key: &str, row: &Row) -> Option<Checkpoint> {
        let [at, gate, phase, revision] = row.as_slice() else { return None };
        let phase = match phase.as_ref()?.text()? {
            "building" => Phase::Building,
            "live" => Phase::Live,
            "retired" => Phase::Retired,
            _ => return None,
        };
        let (at, gate) = (position(at)?, position(gate)?);
        let revision = revision.as_ref()?.integer()?;
        Some(Checkpoint { id: key.to_owned(), position: at, gate, phase, revision })
    }
}

impl Entity for Live {
    const TABLE: Table = Table { name: "live projections", fields: &[Field::integer("version")] };

    fn key(&self) -> String {
        self.name.clone()
    }

    fn to_row(&self) -> Row {
        vec![Some(i64::from(self.version).into())]
    }

    fn from_row(key: &str, row: &Row) -> Option<Live> {
        let version = u32::try_from(row.first()?.as_ref()?.integer()?).ok()?;
        Some(Live { name: key.to_owned(), version })
    }
}

impl Entity for Parked {
    const TABLE: Table = Table {
        name: "parked events",
        fields: &[
            Field::text("projection"),
            Field::text("stream"),
            Field::integer("position"),
            Field::text("reason"),
            Field::integer("attempts"),
        ],
    };

    /// In the order of positions.
    fn key(&self) -> String {
        format!("{}/{:020}", self.projection, self.position.0)
    }

    fn to_row(&self) -> Row {
        vec![
            Some(self.projection.as_str().into()),
            Some(self.stream.as_str().into()),
            number(self.position),
            Some(self.reason.as_str().into()),
            Some(self.attempts.into()),
        ]
    }

    fn from_row(_: &str, row: &Row) -> Option<Parked> {
        let [projection, stream, at, reason, attempts] = row.as_slice() else { return None };
        Some(Parked {
            projection: text(projection)?,
            stream: text(stream)?,
            position: position(at)?,
            reason: text(reason)?,
            attempts: attempts.as_ref()?.integer()?,
        })
    }
}
