//! Who is a member, and changes of that.

use super::answer::{Answered, Failure, json, malformed};
use super::ask::{Ask, Asked};
use super::connection::Shared;
use super::json::{MemberChange, MemberChanges, Members, read_json};
use crate::raft::{Change, ChangeError, Configuration};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use squall_env::NodeId;
use std::collections::BTreeSet;

impl Shared {
    /// Answers who is a member, after the changes that are asked for.
    pub(super) async fn members_of(
        &self,
        asked: Asked,
        body: Bytes,
    ) -> Result<Response<Answered>, Failure> {
        let Asked { ask, parameters, limit, .. } = asked;
        parameters.end()?;
        let until = self.env.now() + limit;
        let mut lent = self.lend(limit).await?;
        if ask == Ask::ChangeMembers {
            let MemberChanges { changes } = read_json(&body)?;
            let changes = changes.iter().map(|change| self.named(change));
            let changes = changes.collect::<Result<Vec<Change>, Failure>>()?;
            let limit = until - self.env.now();
            let done = lent.client().change_members(&changes, limit).await?;
            done.map_err(|error| self.not_changed(error))?;
        }
        let members = lent.client().members(until - self.env.now()).await;
        let members = members.map_err(Failure::of_a_read)?;
        Ok(json(StatusCode::OK, &self.names(&members)))
    }

    fn named(&self, change: &MemberChange) -> Result<Change, Failure> {
        let find = |name: &String| {
            let node = self.env.roster().find(name);
            node.ok_or_else(|| malformed(format!("nobody here knows an address of {name:?}")))
        };
        Ok(match change {
            MemberChange::Voter(name) => Change::Voter(find(name)?),
            MemberChange::Learner(name) => Change::Learner(find(name)?),
            MemberChange::Remove(name) => Change::Remove(find(name)?),
        })
    }

    fn not_changed(&self, error: ChangeError) -> Failure {
        let (code, message) = match error {
            ChangeError::NotCaughtUp(node) => {
                let name = self.env.roster().name(node);
                ("not_caught_up", format!("{name} has not caught up as a learner"))
            }
            error => ("not_changed", error.to_string()),
        };
        Failure::new(StatusCode::CONFLICT, code, message)
    }

    fn names(&self, configuration: &Configuration) -> Members {
        let names = |nodes: &BTreeSet<NodeId>| {
            nodes.iter().map(|node| self.env.roster().name(*node)).collect()
        };
        Members {
            voters: names(configuration.voters()),
            learners: names(configuration.learners()),
            outgoing: names(configuration.outgoing()),
        }
    }
}
