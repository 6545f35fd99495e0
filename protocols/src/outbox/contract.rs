//! What every outbox has to do for relays, whoever keeps it.

use super::letters::Letter;
use super::relay::Source;
use squall_env::Env;
use std::future::Future;
use std::time::Duration;

/// The key of all letters.
const KEY: &str = "orders";

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Checks an outbox that is empty, and into which `put` puts a letter with this key and body. Its
/// letters are a relay's for `claim` after it was heard of last.
///
/// # Errors
/// What does not hold, in words.
pub async fn contract<S, F>(
    env: &Env,
    source: &S,
    claim: Duration,
    put: impl Fn(Letter) -> F,
) -> Result<(), String>
where
    S: Source,
    F: Future<Output = Result<(), String>>,
{
    let (one, other) = (env.random(), env.random());
    ensure(source.take(one).await?.is_empty(), || "letters wait that nobody wrote".to_owned())?;
    for body in 1..=3 {
        put(Letter { key: Some(KEY.to_owned()), body: vec![body] }).await?;
    }
    let all = source.take(one).await?;
    let said: Vec<&[u8]> = all.iter().map(|numbered| &numbered.letter.body[..]).collect();
    ensure(said == [[1], [2], [3]], || format!("letters come as {said:?}"))?;
    let keyed = all.iter().all(|numbered| numbered.letter.key.as_deref() == Some(KEY));
    ensure(keyed, || "letters have lost their key".to_owned())?;
    let rises = all.windows(2).all(|two| two[0].number < two[1].number);
    ensure(rises, || "the numbers of letters do not rise".to_owned())?;
    let again = source.take(one).await?;
    ensure(again == all, || "what is not marked comes another way again".to_owned())?;
    let taken = source.take(other).await?;
    ensure(taken.is_empty(), || "a living relay's letters are another's".to_owned())?;
    source.sent(one, all[0].number).await?;
    let rest = source.take(one).await?;
    ensure(rest == all[1..], || "what was marked is there, or more is gone".to_owned())?;
    // A mark that comes again, or late, takes nothing with it.
    source.sent(one, all[0].number).await?;
    env.sleep(claim * 2).await;
    let inherited = source.take(other).await?;
    ensure(inherited == rest, || "the letters of a dead relay are not the next one's".to_owned())?;
    source.sent(other, all[2].number).await?;
    ensure(source.take(other).await?.is_empty(), || "what is published comes again".to_owned())?;
    put(Letter { key: Some(KEY.to_owned()), body: vec![4] }).await?;
    let last = source.take(other).await?;
    ensure(last.len() == 1 && last[0].number > all[2].number, || {
        "a letter has the number of an earlier one".to_owned()
    })
}
