//! What holds of Raft at every moment (Ongaro, 2014, figure 3.2), each checked as members change.

mod changes;
mod leaders;
mod logs;
mod members;

pub use changes::{
    configurations_are_in_the_log, leaders_commit_by_quorums, members_change_in_steps,
};
pub use leaders::{
    latest_leader, leaders_have_what_is_committed, leaders_only_append, one_leader_in_a_term,
};
pub use logs::{committed_entries_agree, committed_is_durable, logs_match, states_agree};
pub use members::members_never_go_back;
