//! What commands pass on their way.

use super::command::{Call, CommandError, Dispatched, Middleware, Next};
use squall_env::mutant;
use squall_env::platform::BoxFuture;

/// Refuses commands that make no sense by themselves ([`Command::validate`]) before anybody has
/// work with them.
///
/// [`Command::validate`]: super::Command::validate
#[derive(Clone, Copy, Default, Debug)]
pub struct Validate;

impl Middleware for Validate {
    fn handle<'a>(
        &'a self,
        call: Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Dispatched, CommandError>> {
        Box::pin(async move {
            call.command.validate().map_err(CommandError::Invalid)?;
            next.run(call).await
        })
    }
}

/// Tells who dispatches a command again what came of it, without asking its handler. The store
/// keeps that for ever, so it does not matter where it was dispatched before.
#[derive(Clone, Copy, Default, Debug)]
pub struct Deduplicate;

impl Middleware for Deduplicate {
    fn handle<'a>(
        &'a self,
        call: Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Dispatched, CommandError>> {
        Box::pin(async move {
            if mutant!(next.env(), "cqrs/forgets-commands") {
                return next.run(call).await;
            }
            match next.concluded(call.id).await? {
                Some(concluded) => concluded,
                None => next.run(call).await,
            }
        })
    }
}

/// Does not begin with commands whose deadline has passed, and gives up those whose deadline passes
/// meanwhile.
#[derive(Clone, Copy, Default, Debug)]
pub struct Deadline;

impl Middleware for Deadline {
    fn handle<'a>(
        &'a self,
        call: Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Dispatched, CommandError>> {
        Box::pin(async move {
            let env = next.env();
            if env.now() >= call.deadline {
                return Err(CommandError::Late);
            }
            let done = env.deadline(call.deadline, next.run(call)).await;
            done.unwrap_or(Err(CommandError::Unanswered))
        })
    }
}
