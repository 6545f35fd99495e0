//! What the members of a cluster tell each other.

use super::log::{Entry, Index, Term};
use serde::{Deserialize, Serialize};

/// The remote procedure calls of Raft (Ongaro, 2014, figure 3.1), each way a message of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A candidate asks for a vote.
    RequestVote {
        /// The term in which it wants to lead.
        term: Term,
        /// The index of the last entry of its log.
        last_index: Index,
        /// The term of that entry.
        last_term: Term,
        /// Why it asks.
        campaign: Campaign,
    },
    /// The answer to `RequestVote`.
    Vote {
        /// The term that was asked for if granted, else the voter's own.
        term: Term,
        /// Whether the candidate has the vote.
        granted: bool,
        /// Whether it was only asked whether it would vote so.
        pre_vote: bool,
    },
    /// The leader's entries, or none of them: then a heartbeat.
    AppendEntries {
        /// The leader's term.
        term: Term,
        /// The index of the entry before these.
        previous_index: Index,
        /// The term of that entry.
        previous_term: Term,
        /// To be stored behind it.
        entries: Vec<Entry>,
        /// How far the leader knows the log to be committed.
        commit: Index,
        /// Counts the leader's heartbeats.
        round: u64,
    },
    /// The follower's log agrees with the leader's up to an index, and is durable to there.
    Appended {
        /// The follower's term.
        term: Term,
        /// How far the logs are known to agree.
        matched: Index,
        /// The round of the question.
        round: u64,
    },
    /// The entry before those that were sent is missing or another one; or the leader's term is
    /// over.
    Refused {
        /// The follower's term.
        term: Term,
        /// The index of the entry that was missing.
        previous_index: Index,
        /// Where the logs may agree at the latest.
        hint_index: Index,
        /// The follower's term there.
        hint_term: Term,
        /// The round of the question.
        round: u64,
    },
    /// Part of the leader's snapshot (section 5.2), for a follower that lacks entries which the
    /// leader has no more.
    InstallSnapshot {
        /// The leader's term.
        term: Term,
        /// The part.
        part: Part,
        /// Counts the leader's heartbeats.
        round: u64,
    },
    /// The follower has the snapshot up to here, and no more of it.
    Received {
        /// The follower's term.
        term: Term,
        /// The last entry that the snapshot stands for.
        last_index: Index,
        /// How many bytes it has, from the start without a gap.
        received: u64,
        /// The round of the part.
        round: u64,
    },
    /// The leader asks a follower to campaign at once (section 3.10).
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// A member that may have forgotten entries asks how far another log reaches.
    AskEnd {
        /// Comes back with the answer.
        round: u64,
    },
    /// The answer to `AskEnd`.
    End {
        /// The term of the member that answers.
        term: Term,
        /// The index of the last entry of its log.
        last_index: Index,
        /// The term of that entry.
        last_term: Term,
        /// That of the question.
        round: u64,
    },
    /// The follower's log ends here, whatever it has acknowledged.
    Forgot {
        /// The follower's term.
        term: Term,
        /// The index of the last entry of its log.
        last_index: Index,
    },
}

/// Why a member asks for votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Campaign {
    /// To lead.
    Election,
    /// To know whether it could win (section 9.6): nobody changes its term for that.
    PreVote,
    /// To lead in the place of a leader that wants it so, and that may therefore be deposed though
    /// it is heard (section 4.2.3).
    Transfer,
}

/// Some bytes of a snapshot, and which one it is: parts of the same snapshot fit together, whoever
/// sends them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The last entry that the snapshot stands for.
    pub last_index: Index,
    /// The term of that entry.
    pub last_term: Term,
    /// How many bytes it has.
    pub size: u64,
    /// Its CRC-32C.
    pub checksum: u32,
    /// Where in it these bytes stand.
    pub offset: u64,
    /// The bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}
