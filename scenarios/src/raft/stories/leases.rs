//! How a leader with a lease may answer with an older value: another one is elected all the same.

use super::{APPEND, Value, ms, read_from_the_first, survived, told, write};
use squall::plan::{Forecast, Kind};
use squall::script::{
    Strike, crash, cue, end, fault, hold, pause, ready, release, returned, sent, synced,
};
use squall::{Client, Fault, Scenario, Script};
use squall_env::platform::BindError;
use squall_env::{Env, NodeId};
use squall_protocols::raft::{Config, RaftClient, ServeError, serve};

/// The numbers of `Message::RequestVote` and `Message::TimeoutNow` among the messages.
const REQUEST_VOTE: u8 = 0;
const TIMEOUT_NOW: u8 = 7;

/// A member with a lease and an election timeout of its own: no lease is longer than what the
/// others promise.
async fn member(env: Env, timeouts: [u64; 3], drift_max_ppm: u32) -> Result<(), ServeError> {
    let mut config = Config::of(env.peers("member"));
    config.election_timeout = ms(timeouts[usize::from(env.me().ordinal()) - 1]);
    config.heartbeat = ms(20).max(config.election_timeout / 600);
    config.lease_drift_max_ppm = Some(drift_max_ppm);
    serve::<Value>(env, config).await
}

/// The first member leads, with a lease of seconds.
async fn quick_first(env: Env) -> Result<(), ServeError> {
    member(env, [4_000, 20_000, 20_000], 1_000).await
}

/// The second member runs for nothing as long as the story goes on.
async fn slow_second(env: Env) -> Result<(), ServeError> {
    member(env, [3_000, 20_000, 3_000], 1_000).await
}

async fn write_by(client: Client, value: u64, by: Vec<NodeId>) -> Result<(), BindError> {
    let mut raft = RaftClient::<Value>::open(client.env(), by)?;
    write(&client, &mut raft, value).await;
    Ok(())
}

async fn write_first(client: Client) -> Result<(), BindError> {
    let members = client.env().peers("member");
    write_by(client, 1, members).await
}

async fn write_by_the_second(client: Client) -> Result<(), BindError> {
    let second = client.env().peers("member")[1];
    write_by(client, 2, vec![second]).await
}

async fn write_by_the_third(client: Client) -> Result<(), BindError> {
    let third = client.env().peers("member")[2];
    write_by(client, 2, vec![third]).await
}

/// Asks the first member at its cue to have the second lead.
async fn hand_over(client: Client) -> Result<(), BindError> {
    let members = client.env().peers("member");
    let mut raft = RaftClient::<Value>::open(client.env(), vec![members[0]])?;
    client.cue("hand over").await;
    // Nobody needs the answer.
    let _ = raft.transfer(members[1], ms(1_000)).await;
    Ok(())
}

/// The first member has the second campaign, hears nothing of it, and is asked for what it has.
fn a_leader_that_has_handed_over() -> Script {
    Script::new()
        .nodes("member", 3)
        .when(sent("member-1", "member-2").of_kind(APPEND), cue("write 1"))
        .when(returned("writer-1"), cue("hand over"))
        .when(sent("member-1", "member-2").of_kind(TIMEOUT_NOW), hold("member-2", "member-1"))
        .then(hold("member-3", "member-1"))
        .when(sent("member-2", "member-3").of_kind(APPEND), cue("write 2"))
        .when(returned("successor-1"), cue("read"))
        .when(returned("reader-1"), release("member-2", "member-1"))
        .then(release("member-3", "member-1"))
}

/// A leader that has asked another member to campaign, and is asked for what it has.
pub fn handed_over() -> Scenario {
    told("story/raft-lease-transfer")
        .nodes("member", 3..=3, quick_first)
        .clients("writer", 1..=1, write_first)
        .clients("operator", 1..=1, hand_over)
        .clients("successor", 1..=1, write_by_the_second)
        .clients("reader", 1..=1, read_from_the_first)
        .script(a_leader_that_has_handed_over())
        .expect("the story names its own nodes")
}

/// The second member has just answered the first, restarts, and is asked for its vote by the
/// third, which does not hear the first any more.
fn a_voter_that_restarts() -> Script {
    Script::new()
        .nodes("member", 3)
        .then(crash("member-3").named("third is down"))
        .when(sent("member-1", "member-2").of_kind(APPEND), cue("write 1"))
        .when(returned("writer-1"), end("third is down"))
        .step_to(synced("member-3"))
        // Until the third has what is committed.
        .after(ms(500), hold("member-1", "member-3"))
        .then(hold("member-3", "member-2"))
        .when(sent("member-3", "member-2").of_kind(REQUEST_VOTE), hold("member-1", "member-2"))
        .then(hold("member-3", "member-1"))
        .then(crash("member-2").lasting(ms(10)))
        .when(ready("member-2"), release("member-3", "member-2"))
        .then(cue("write 2"))
        .when(returned("successor-1"), cue("read"))
        .when(returned("reader-1"), release("member-3", "member-1"))
        .then(release("member-1", "member-2"))
        .then(release("member-1", "member-3"))
}

/// A voter that restarts with a lease that it has granted.
pub fn restarted() -> Scenario {
    told("story/raft-lease-restart")
        .nodes("member", 3..=3, slow_second)
        .clients("writer", 1..=1, write_first)
        .clients("successor", 1..=1, write_by_the_third)
        .clients("reader", 1..=1, read_from_the_first)
        .script(a_voter_that_restarts())
        .expect("the story names its own nodes")
}

/// The first member leads, whatever the timeouts: the second starts when it is asked for its vote.
fn led_by_the_first() -> Script {
    Script::new()
        .nodes("member", 3)
        .then(crash("member-3").named("third is down"))
        .then(crash("member-2").named("second is down"))
        .then(hold("member-1", "member-2"))
        .when(sent("member-1", "member-2").of_kind(REQUEST_VOTE), end("second is down"))
        .when(ready("member-2"), release("member-1", "member-2"))
        .when(sent("member-1", "member-2").of_kind(APPEND), cue("write 1"))
        .when(returned("writer-1"), end("third is down"))
        .step_to(synced("member-3"))
}

/// The third member hears nothing of the first and asks for votes all the time; then the second
/// hears nothing of it either, and votes as soon as its promise is over by its own clock.
fn a_promise_that_ends() -> Script {
    led_by_the_first()
        // Until the third has what is committed.
        .after(ms(500), hold("member-1", "member-3"))
        .then(hold("member-3", "member-1"))
        .after(ms(500), hold("member-1", "member-2"))
        .then(hold("member-2", "member-1"))
        .when(sent("member-3", "member-2").of_kind(APPEND), cue("write 2"))
        .when(returned("successor-1"), cue("read"))
        .when(returned("reader-1"), release("member-1", "member-2"))
        .then(release("member-2", "member-1"))
        .then(release("member-1", "member-3"))
        .then(release("member-3", "member-1"))
}

/// The first and the second have the same election timeout, so long that it matters by how much
/// their clocks differ, and the third hardly any.
async fn impatient_third(env: Env) -> Result<(), ServeError> {
    member(env, [60_000, 60_000, 20], 41_000).await
}

/// Leases on clocks of which each is off by up to 2 %, as was declared.
pub fn drifting() -> Scenario {
    let off = Forecast::read("clock-rate").expect("a fault of the table");
    told("story/raft-lease-drift")
        .nodes("member", 3..=3, impatient_third)
        .clients("writer", 1..=1, write_first)
        .clients("successor", 1..=1, write_by_the_third)
        .clients("reader", 1..=1, read_from_the_first)
        .tolerates(survived().fault(Fault::ClockRate))
        .heals_after(ms(300_000))
        .script(a_promise_that_ends())
        .expect("the story names its own nodes")
        .under(off)
}

/// The first member stands still until another one leads, and hears nothing of it when it goes on.
fn a_leader_that_stands_still(strike: Strike) -> Script {
    led_by_the_first()
        // Until the third has what is committed.
        .after(ms(500), strike.named("first stands still"))
        .then(hold("member-2", "member-1"))
        .then(hold("member-3", "member-1"))
        .when(sent("member-3", "member-2").of_kind(APPEND), cue("write 2"))
        .when(returned("successor-1"), end("first stands still"))
        .then(cue("read"))
        .when(returned("reader-1"), release("member-2", "member-1"))
        .then(release("member-3", "member-1"))
}

fn stands_still(name: &str, strike: Strike) -> Scenario {
    told(name)
        .nodes("member", 3..=3, impatient_third)
        .clients("writer", 1..=1, write_first)
        .clients("successor", 1..=1, write_by_the_third)
        .clients("reader", 1..=1, read_from_the_first)
        .heals_after(ms(300_000))
        .script(a_leader_that_stands_still(strike))
        .expect("the story names its own nodes")
}

/// A leader with a lease that stands still. With `clock`, its clock does as well: then it takes
/// its lease for longer than it is, and no lease is safe.
pub fn standing_still(clock: bool) -> Scenario {
    if clock {
        let suspend = Kind::Suspend { node: "member-1".to_owned() };
        let name = "specimen/raft-lease-on-a-clock-that-stands-still";
        return stands_still(name, fault(suspend)).breaks(super::LINEARIZABLE);
    }
    stands_still("story/raft-lease-pause", pause("member-1"))
}
