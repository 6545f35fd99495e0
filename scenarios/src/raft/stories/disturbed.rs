//! A member that hears nobody, and is heard.

use super::logs::member;
use super::{APPEND, Value, look, ms, told};
use squall::script::{hold, release, sent};
use squall::{Scenario, Script};
use squall_env::{Env, View};
use squall_protocols::raft::{Raft, ServeError, Term};

/// What `PreVote` and members that stay with a leader whom they hear are for (Ongaro, 2014,
/// sections 4.2.3 and 9.6).
pub(super) const LEADS_ON: &str = "a leader that a quorum hears leads on";

/// The third member runs out of patience soon, but not before the first.
async fn quick_third(env: Env) -> Result<(), ServeError> {
    member(env, [1_000, 20_000, 2_500]).await
}

/// Once the first leads, the third does not hear the others for ten seconds.
fn a_member_that_hears_nobody() -> Script {
    Script::new()
        .nodes("member", 3)
        .step_to(sent("member-1", "member-3").of_kind(APPEND))
        .after(ms(100), hold("member-1", "member-3"))
        .then(hold("member-2", "member-3"))
        .after(ms(10_000), release("member-1", "member-3"))
        .then(release("member-2", "member-3"))
}

/// Two of three members hear each other all the time, and the third asks for votes.
pub fn disturbed() -> Scenario {
    told("story/raft-disturbed")
        .nodes("member", 3..=3, quick_third)
        .clients("client", 1..=1, look)
        .always(LEADS_ON, || {
            let mut led: Option<Term> = None;
            move |view: &View<'_>| {
                for member in view.changed::<Raft<Value>>() {
                    let leads = member.is_leader() && member.commit() > 0;
                    let first = *led.get_or_insert(if leads { member.term() } else { Term::MAX });
                    if first == Term::MAX {
                        led = None;
                    } else if member.term() > first {
                        let (node, term) = (member.node, member.term());
                        return Err(format!("{node:?} is in term {term} behind {first}"));
                    }
                }
                Ok(())
            }
        })
        .script(a_member_that_hears_nobody())
        .expect("the story names its own nodes")
}
