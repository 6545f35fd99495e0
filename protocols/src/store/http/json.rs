//! The bodies of requests and answers.

use super::super::leases::Lease;
use super::super::types::{Change, Compare, Done, Event, KeyValue, Keys, Op, Order, Test, Txn};
use super::answer::{ErrorBody, Failure, malformed};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The body of a request.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    // Else a list would do as well, of an object's values in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("the body is no object of JSON"));
    }
    serde_json::from_slice(body).map_err(|error| malformed(format!("the body: {error}")))
}

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyValueJson {
    /// The key.
    pub key: String,
    /// Its value, if that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value, if not, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
    /// The revision at which it was created.
    pub create_revision: u64,
    /// The revision at which it was put last.
    pub mod_revision: u64,
    /// How often it was put since it was created.
    pub version: u64,
    /// The lease that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
}

impl From<&KeyValue> for KeyValueJson {
    fn from(there: &KeyValue) -> KeyValueJson {
        let text = std::str::from_utf8(&there.value).ok();
        KeyValueJson {
            key: there.key.clone(),
            value: text.map(str::to_owned),
            value_base64: text.is_none().then(|| BASE64_STANDARD.encode(&there.value)),
            create_revision: there.create_revision,
            mod_revision: there.mod_revision,
            version: there.version,
            lease: there.lease,
        }
    }
}

impl TryFrom<KeyValueJson> for KeyValue {
    type Error = &'static str;

    fn try_from(there: KeyValueJson) -> Result<KeyValue, &'static str> {
        Ok(KeyValue {
            value: bytes(there.value, there.value_base64)?,
            key: there.key,
            create_revision: there.create_revision,
            mod_revision: there.mod_revision,
            version: there.version,
            lease: there.lease,
        })
    }
}

fn bytes(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, &'static str> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(text)) => {
            BASE64_STANDARD.decode(text).map_err(|_| "value_base64 is not base64 with padding")
        }
        _ => Err("either value or value_base64 has to be given"),
    }
}

/// What happened to a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventJson {
    /// It was put.
    Put(KeyValueJson),
    /// It was removed.
    Delete {
        /// Which key.
        key: String,
    },
}

impl EventJson {
    /// What happened at this revision, unless the value is none.
    pub fn event(self, revision: u64) -> Option<Event> {
        let change = match self {
            EventJson::Put(put) => Change::Put(put.try_into().ok()?),
            EventJson::Delete { key } => Change::Delete(key),
        };
        Some(Event { revision, change })
    }
}

impl From<&Change> for EventJson {
    fn from(change: &Change) -> EventJson {
        match change {
            Change::Put(put) => EventJson::Put(put.into()),
            Change::Delete(key) => EventJson::Delete { key: key.clone() },
        }
    }
}

/// A line of a watch: either events or an error, behind which no other line comes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Everything up to this revision and with it has been told.
    #[serde(default)]
    pub revision: u64,
    /// What happened at this revision.
    #[serde(default)]
    pub events: Vec<EventJson>,
    /// Why nothing more comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<ErrorBody>>,
}

/// Keys with their values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Page {
    /// The revision of the store at which they are there. Pages of one state have the same.
    pub revision: u64,
    /// In the order of keys.
    pub kvs: Vec<KeyValueJson>,
    /// Whether there are more behind the last of them.
    pub more: bool,
}

/// One key with its value.
#[derive(Serialize, Deserialize)]
pub(super) struct Single {
    pub(super) revision: u64,
    pub(super) kv: KeyValueJson,
}

/// What was changed.
#[derive(Serialize, Deserialize)]
pub(super) struct Changed {
    pub(super) revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<u64>,
}

/// A lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeaseJson {
    /// Its number.
    pub id: u64,
    /// How long it lasts since it was renewed last, in milliseconds.
    pub ttl_ms: u64,
    /// The keys that it holds, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
}

impl From<Lease> for LeaseJson {
    fn from(lease: Lease) -> LeaseJson {
        LeaseJson { id: lease.id, ttl_ms: lease.ttl_ms, keys: None }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct LeaseList {
    pub(super) leases: Vec<LeaseJson>,
    pub(super) more: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u64>,
    pub(super) ttl_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compact {
    pub(super) revision: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    pub(super) to: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberChanges {
    pub(super) changes: Vec<MemberChange>,
}

/// What becomes of a node, by its name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberChange {
    /// It votes. It has to have the log, as a learner.
    Voter(String),
    /// It gets the log and has no say.
    Learner(String),
    /// It is no member any more.
    Remove(String),
}

/// Who is a member, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Members {
    /// Who votes.
    pub voters: Vec<String>,
    /// Who gets the log and has no say.
    pub learners: Vec<String>,
    /// While a change of several voters is under way, who voted before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outgoing: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) session: u64,
}

/// What a member knows of itself and of its cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The name of the cluster.
    pub cluster: String,
    /// The member that was asked.
    pub member: String,
    /// Who leads, if it knows.
    pub leader: Option<String>,
    /// The members.
    pub members: Vec<String>,
    /// Raft's term.
    pub term: u64,
    /// How far the log is committed, as far as it knows.
    pub commit: u64,
    /// How far it has applied the log.
    pub applied: u64,
    /// The revision of its copy of the store.
    pub revision: u64,
    /// The last revision whose events are gone.
    pub compacted: u64,
    /// How many leases there are.
    pub leases: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TxnJson {
    #[serde(default)]
    compare: Vec<CompareJson>,
    #[serde(default)]
    success: Vec<OpJson>,
    #[serde(default)]
    failure: Vec<OpJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareJson {
    key: String,
    result: Option<OrderJson>,
    create_revision: Option<u64>,
    mod_revision: Option<u64>,
    version: Option<u64>,
    value: Option<String>,
    value_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderJson {
    Equal,
    NotEqual,
    Less,
    Greater,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OpJson {
    Put(PutJson),
    Delete(KeysJson),
    Get(KeysJson),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutJson {
    key: String,
    value: Option<String>,
    value_base64: Option<String>,
    lease: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysJson {
    key: Option<String>,
    prefix: Option<String>,
}

/// These keys: one, or all that begin so.
pub(super) fn keys(key: Option<String>, prefix: Option<String>) -> Result<Keys, Failure> {
    match (key, prefix) {
        (Some(key), None) => Ok(Keys::One(key)),
        (None, Some(prefix)) => Ok(Keys::Prefix(prefix)),
        _ => Err(malformed("either key or prefix has to be given")),
    }
}

impl TryFrom<TxnJson> for Txn {
    type Error = Failure;

    fn try_from(txn: TxnJson) -> Result<Txn, Failure> {
        let ops = |ops: Vec<OpJson>| ops.into_iter().map(op).collect::<Result<_, _>>();
        let compare = txn.compare.into_iter().map(compare).collect::<Result<_, _>>()?;
        Ok(Txn { compare, success: ops(txn.success)?, failure: ops(txn.failure)? })
    }
}

fn compare(compare: CompareJson) -> Result<Compare, Failure> {
    let value = (compare.value.is_some() || compare.value_base64.is_some())
        .then(|| bytes(compare.value, compare.value_base64).map_err(malformed))
        .transpose()?;
    let given = [
        compare.create_revision.map(Test::CreateRevision),
        compare.mod_revision.map(Test::ModRevision),
        compare.version.map(Test::Version),
        value.map(Test::Value),
    ];
    let mut given = given.into_iter().flatten();
    let (Some(test), None) = (given.next(), given.next()) else {
        return Err(malformed(
            "a comparison has one of create_revision, mod_revision, version, value, value_base64",
        ));
    };
    let order = match compare.result {
        None | Some(OrderJson::Equal) => Order::Equal,
        Some(OrderJson::NotEqual) => Order::NotEqual,
        Some(OrderJson::Less) => Order::Less,
        Some(OrderJson::Greater) => Order::Greater,
    };
    Ok(Compare { key: compare.key, order, test })
}

fn op(op: OpJson) -> Result<Op, Failure> {
    Ok(match op {
        OpJson::Put(put) => {
            let value = bytes(put.value, put.value_base64).map_err(malformed)?;
            Op::Put { key: put.key, value, lease: put.lease }
        }
        OpJson::Delete(these) => Op::Delete(keys(these.key, these.prefix)?),
        OpJson::Get(these) => Op::Get(keys(these.key, these.prefix)?),
    })
}

#[derive(Serialize)]
pub(super) struct TxnAnswer {
    pub(super) succeeded: bool,
    pub(super) revision: u64,
    pub(super) results: Vec<ResultJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ResultJson {
    Put { previous: Option<KeyValueJson> },
    Deleted(u64),
    Found(Vec<KeyValueJson>),
}

impl From<&Done> for ResultJson {
    fn from(done: &Done) -> ResultJson {
        match done {
            Done::Put(previous) => ResultJson::Put { previous: previous.as_ref().map(Into::into) },
            Done::Deleted(keys) => ResultJson::Deleted(*keys),
            Done::Found(found) => ResultJson::Found(found.iter().map(Into::into).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(value: &[u8]) -> KeyValue {
        let (key, value) = ("a".to_owned(), value.to_vec());
        KeyValue { key, value, create_revision: 1, mod_revision: 2, version: 2, lease: Some(7) }
    }

    #[test]
    fn values_are_text_if_they_are_and_base64_if_not_and_come_back_the_same() {
        let text = serde_json::to_string(&KeyValueJson::from(&there("é".as_bytes()))).unwrap();
        assert!(text.contains(r#""value":"é""#) && !text.contains("base64"), "{text}");
        let bytes = serde_json::to_string(&KeyValueJson::from(&there(&[0xff, 0]))).unwrap();
        assert!(bytes.contains(r#""value_base64":"/wA=""#), "{bytes}");
        for value in [&b""[..], b"x", &[0xff, 0], "é\"\n".as_bytes()] {
            let json = serde_json::to_string(&KeyValueJson::from(&there(value))).unwrap();
            let back: KeyValueJson = serde_json::from_str(&json).unwrap();
            assert_eq!(KeyValue::try_from(back), Ok(there(value)));
        }
    }

    fn txn(json: &str) -> Result<Txn, String> {
        let txn = read_json::<TxnJson>(json.as_bytes()).and_then(Txn::try_from);
        txn.map_err(|failure| failure.error.message)
    }

    #[test]
    fn a_transaction_says_what_it_says_in_json() {
        let read = txn(r#"{"compare": [{"key": "a", "mod_revision": 3},
                            {"key": "b", "result": "less", "value_base64": "/wA="}],
                "success": [{"put": {"key": "a", "value": "x", "lease": 7}}],
                "failure": [{"get": {"key": "a"}}, {"delete": {"prefix": "p/"}}]}"#);
        let compare = |key: &str, order, test| Compare { key: key.to_owned(), order, test };
        let value = Test::Value(vec![0xff, 0]);
        let wanted = Txn {
            compare: vec![
                compare("a", Order::Equal, Test::ModRevision(3)),
                compare("b", Order::Less, value),
            ],
            success: Txn::put("a", "x").with_lease(7).success,
            failure: vec![
                Op::Get(Keys::One("a".to_owned())),
                Op::Delete(Keys::Prefix("p/".to_owned())),
            ],
        };
        assert_eq!(read, Ok(wanted));
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        for json in [
            "",
            "[]",
            r#"{"sucess": []}"#,
            r#"{"success": [{"put": {"key": "a"}}]}"#,
            r#"{"success": [{"put": {"key": "a", "value": "x", "value_base64": "eA=="}}]}"#,
            r#"{"success": [{"put": {"key": "a", "value_base64": "e"}}]}"#,
            r#"{"success": [{"delete": {}}]}"#,
            r#"{"success": [{"get": {"key": "a", "prefix": "a"}}]}"#,
            r#"{"compare": [{"key": "a"}]}"#,
            r#"{"compare": [{"key": "a", "version": 1, "mod_revision": 1}]}"#,
            r#"{"compare": [{"key": "a", "version": -1}]}"#,
        ] {
            assert!(txn(json).is_err(), "{json}");
        }
    }
}
