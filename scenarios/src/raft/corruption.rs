//! Raft on disks of which a minority damages what it holds.

use super::{COMPLETE, DURABLE, Value, impaired, loaded, members, mutant_of, properties};
use squall::{Most, Scenario};
use squall_env::machine::OpenError;
use squall_env::{Env, mutant};
use squall_protocols::raft::{Config, ServeError, serve, witness};
use std::ops::RangeInclusive;

/// The cluster of `raft/register`, on disks that also flip bits and write to the wrong place.
pub fn corruption() -> Scenario {
    of(3..=5)
}

fn of(count: RangeInclusive<u16>) -> Scenario {
    let scenario = Scenario::new("raft/corruption").nodes("member", count, member);
    loaded(properties::<Value>(scenario), Most::Minority)
        .tolerates(impaired(Most::Minority).corrupt_disks().repairs_disks("member"))
        .sometimes("a member could not read the end of its log")
        .sometimes("all voters said how far their logs reach")
        .sometimes("a follower had forgotten what it had acknowledged")
}

async fn member(env: Env) -> Result<(), ServeError> {
    let mut config = Config::of(members(&env));
    config.snapshot_entries = 16;
    config.tail_entries = 4;
    config.doubts_torn_tails = !mutant!(env, "raft/trusts-torn-tails");
    match serve::<Value>(env.clone(), config).await {
        Err(ServeError::Open(OpenError::Damaged(_))) => match witness(&env).await? {},
        ended => ended,
    }
}

/// One line gone wrong, each in its own way.
pub(super) fn mutants() -> Vec<Scenario> {
    // The fewer members, the likelier that one of them decides alone.
    let mutant = |switch, breaks| mutant_of(of(3..=3), switch, breaks);
    vec![
        mutant("raft/trusts-torn-tails", DURABLE),
        mutant("raft/votes-for-less-than-it-claimed", COMPLETE),
    ]
}
