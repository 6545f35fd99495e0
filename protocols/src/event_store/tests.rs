//! Events of any age, as today's code reads them.

use super::{
    Event, EventId, Metadata, Payload, Payloads, Position, RecordedEvent, Schema, SchemaError,
    TOMBSTONE, Unknown,
};
use squall_env::WallTime;
use std::sync::Arc;

/// A price: in dollars at first, then in cents, and now in cents of a currency.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Priced {
    cents: u32,
    currency: String,
}

impl Event for Priced {
    const KINDS: &'static [(&'static str, u32)] = &[("priced", 3)];

    fn kind(&self) -> &'static str {
        "priced"
    }

    fn encode(&self) -> Vec<u8> {
        [&self.cents.to_le_bytes()[..], self.currency.as_bytes()].concat()
    }

    fn decode(kind: &str, data: &[u8]) -> Option<Priced> {
        assert_eq!(kind, "priced");
        let (cents, currency) = data.split_first_chunk::<4>()?;
        let currency = String::from_utf8(currency.to_vec()).ok()?;
        Some(Priced { cents: u32::from_le_bytes(*cents), currency })
    }

    fn forgotten(_: &str) -> Option<Priced> {
        Some(Priced { cents: 0, currency: "forgotten".to_owned() })
    }
}

fn dollars_to_cents(data: &[u8]) -> Option<Vec<u8>> {
    let [dollars] = data else { return None };
    Some((u32::from(*dollars) * 100).to_le_bytes().to_vec())
}

fn cents_to_currency(data: &[u8]) -> Option<Vec<u8>> {
    Some([data, b"USD"].concat())
}

fn schema() -> Schema<Priced> {
    Schema::new().lift("priced", 1, dollars_to_cents).lift("priced", 2, cents_to_currency)
}

fn recorded(kind: &str, schema: u32, data: &[u8]) -> RecordedEvent {
    RecordedEvent {
        id: EventId(1),
        stream: "s".to_owned(),
        version: 0,
        position: Position(7),
        kind: kind.to_owned(),
        schema,
        data: data.to_vec(),
        metadata: Metadata { causation: None, correlation: None, wall: WallTime::default() },
    }
}

fn priced(cents: u32) -> Priced {
    Priced { cents, currency: "USD".to_owned() }
}

#[test]
fn an_event_is_lifted_from_any_version_to_the_newest() {
    let schema = schema();
    assert_eq!(schema.read(&recorded("priced", 1, &[3])), Ok(Some(priced(300))));
    assert_eq!(schema.read(&recorded("priced", 2, &[5, 0, 0, 0])), Ok(Some(priced(5))));
    let (kind, version, data) = schema.write("s", &priced(9));
    assert_eq!((kind, version), ("priced", 3));
    assert_eq!(schema.read(&recorded(kind, version, &data)), Ok(Some(priced(9))));
}

#[test]
fn an_event_that_nothing_lifts_is_refused() {
    let schema = Schema::<Priced>::new().lift("priced", 1, dollars_to_cents);
    let read = schema.read(&recorded("priced", 1, &[3]));
    let not_lifted = SchemaError::NotLifted { position: 7, kind: "priced".to_owned(), found: 2 };
    assert_eq!(read, Err(not_lifted));
}

#[test]
fn an_event_of_a_later_release_is_refused() {
    let read = schema().read(&recorded("priced", 4, &[]));
    let newer = SchemaError::Newer { position: 7, kind: "priced".to_owned(), found: 4, known: 3 };
    assert_eq!(read, Err(newer));
}

#[test]
fn data_that_are_none_of_their_type_are_refused() {
    for event in [recorded("priced", 1, &[3, 4]), recorded("priced", 3, &[0])] {
        let malformed = SchemaError::Malformed { position: 7, kind: "priced".to_owned() };
        assert_eq!(schema().read(&event), Err(malformed));
    }
}

#[test]
fn unknown_types_are_refused_unless_they_may_be_passed_over() {
    let event = recorded("sold", 1, &[]);
    let unknown = SchemaError::UnknownKind { position: 7, kind: "sold".to_owned() };
    assert_eq!(schema().read(&event), Err(unknown));
    assert_eq!(schema().unknown(Unknown::Pass).read(&event), Ok(None));
    assert_eq!(schema().read(&recorded(TOMBSTONE, 1, &[])), Ok(None));
}

/// Flips every bit, and has lost the key of one stream.
struct Sealed;

impl Payloads for Sealed {
    fn seal(&self, _: &str, _: &str, data: Vec<u8>) -> Vec<u8> {
        data.into_iter().map(|byte| !byte).collect()
    }

    fn open<'a>(&self, event: &'a RecordedEvent) -> Payload<'a> {
        match event.stream.as_str() {
            "forgotten" => Payload::Gone,
            _ => Payload::Clear(event.data.iter().map(|byte| !byte).collect()),
        }
    }
}

#[test]
fn data_whose_key_is_gone_are_replaced() {
    let schema = schema().payloads(Arc::new(Sealed));
    let (kind, version, data) = schema.write("s", &priced(9));
    let mut event = recorded(kind, version, &data);
    assert_ne!(event.data, priced(9).encode());
    assert_eq!(schema.read(&event), Ok(Some(priced(9))));
    event.stream = "forgotten".to_owned();
    assert_eq!(schema.read(&event), Ok(Priced::forgotten("priced")));
}
