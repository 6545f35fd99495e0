//! What a request does to the tables.

use super::super::types::{
    Ask, BATCH, BODY_MAX, Begin, BusConfig, Given, Parked, Post, Refused, SUBSCRIPTIONS_MAX,
    TEXT_MAX, Tell,
};
use crate::queue::MessageId;
use rusqlite::{
    Connection, OptionalExtension, Result, Row, Transaction, TransactionBehavior, params,
};
use squall_env::{Instant, WallTime};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a subscription `s` wants a post `p`.
macro_rules! wanted {
    () => {
        "(s.takes_all OR EXISTS (SELECT 1 FROM kinds AS k \
         WHERE k.subscription = s.name AND k.kind = p.kind))"
    };
}

/// The tables, and whose the subscriptions are.
pub(super) struct Store {
    connection: Connection,
    config: BusConfig,
    claims: BTreeMap<String, Claim>,
}

struct Claim {
    reader: u64,
    call: u64,
    until: Instant,
    /// What its last call gave.
    given: Vec<Given>,
}

/// One request under way: its transaction and its time.
struct Work<'a> {
    tables: Transaction<'a>,
    config: BusConfig,
    wall: WallTime,
}

/// What is next for a reader.
struct Next {
    given: Vec<Given>,
    /// How often the first was given already.
    tries: u32,
}

/// What a request is told, and the subscription whose reader has shown that it lives.
type Told = (Tell, Option<String>);
type Answer = Result<std::result::Result<Told, Refused>>;

fn bytes(id: MessageId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// A position as SQLite has it; there are none beyond.
fn place(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn position(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The id, the kind and the body, from the second column on, and when it was posted.
fn post(row: &Row<'_>) -> Result<(Post, Option<WallTime>)> {
    let id = MessageId(u128::from_be_bytes(row.get(1)?));
    let posted = WallTime::from_unix_nanos(row.get(4)?);
    Ok((Post { id, kind: row.get(2)?, body: row.get(3)? }, Some(posted)))
}

fn given(row: &Row<'_>, is_replay: bool) -> Result<Given> {
    let (post, posted) = post(row)?;
    Ok(Given { position: position(row, 0)?, is_replay, posted, post })
}

impl Store {
    /// Makes the tables if they are not there.
    pub(super) fn start(mut connection: Connection, config: BusConfig) -> Result<Store> {
        connection.pragma_update(None, "foreign_keys", true)?;
        let tables = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        crate::sqlite::upgrade(&tables, &[include_str!("schema.sql")])?;
        tables.commit()?;
        Ok(Store { connection, config, claims: BTreeMap::new() })
    }

    /// Answers a request. What it answers is durable.
    pub(super) fn ask(&mut self, ask: Ask, now: Instant, wall: WallTime) -> Result<Tell> {
        let Store { connection, config, claims } = self;
        let tables = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (work, until) = (Work { tables, config: *config, wall }, now + config.claim);
        if let Ask::Fetch { name, reader, call } = ask {
            let claim = claims.get_mut(&name);
            if !work.has(&name)? {
                return Ok(Tell::Refused(Refused::NoSubscription));
            }
            if let Some(claim) = claim.filter(|claim| claim.excludes(reader, call, now)) {
                return Ok(Tell::Given(claim.again(reader, call, until)));
            }
            let given = work.give(&name)?;
            work.tables.commit()?;
            claims.insert(name, Claim { reader, call, until, given: given.clone() });
            return Ok(Tell::Given(given));
        }
        let told = match work.ask(&ask)? {
            Err(refused) => return Ok(Tell::Refused(refused)),
            Ok(told) => told,
        };
        work.tables.commit()?;
        if let Ask::Unsubscribe(name) = &ask {
            claims.remove(name);
        }
        if let Some(claim) = told.1.and_then(|name| claims.get_mut(&name)) {
            claim.until = until;
        }
        Ok(told.0)
    }
}

impl Claim {
    /// Whether a call is not to be given what is next: another reader has the subscription, or the
    /// call was answered already.
    fn excludes(&self, reader: u64, call: u64, now: Instant) -> bool {
        if self.reader == reader { self.call >= call } else { now < self.until }
    }

    fn again(&mut self, reader: u64, call: u64, until: Instant) -> Vec<Given> {
        if self.reader == reader {
            self.until = until;
        }
        let is_same = (self.reader, self.call) == (reader, call);
        if is_same { self.given.clone() } else { Vec::new() }
    }
}

impl Work<'_> {
    fn ask(&self, ask: &Ask) -> Answer {
        let name = match ask {
            Ask::Post(post) => return self.post(post),
            Ask::Subscribe(name, kinds, begin) => return self.subscribe(name, kinds, *begin),
            Ask::Unsubscribe(name) => {
                self.tables.execute("DELETE FROM subscriptions WHERE name = ?1", [name])?;
                self.settle()?;
                return Ok(Ok((Tell::Ok, None)));
            }
            Ask::Failed(_, _, why) | Ask::Park(_, _, why) if why.len() > TEXT_MAX => {
                return Ok(Err(Refused::TooLarge));
            }
            Ask::Fetch { name, .. }
            | Ask::Done(name, _)
            | Ask::Failed(name, ..)
            | Ask::Park(name, ..)
            | Ask::Parked(name, _)
            | Ask::Replay(name, _)
            | Ask::Drop(name, _)
            | Ask::Standing(name) => name,
        };
        if !self.has(name)? {
            return Ok(Err(Refused::NoSubscription));
        }
        match ask {
            Ask::Done(_, position) => self.done(name, *position),
            Ask::Failed(_, position, why) => self.failed(name, (*position, false), why),
            Ask::Park(_, position, why) => self.failed(name, (*position, true), why),
            Ask::Replay(_, position) => self.replay(name, *position),
            Ask::Drop(_, position) => {
                let dropped = self.tables.execute(
                    "DELETE FROM aside WHERE subscription = ?1 AND position = ?2 \
                     AND tries IS NULL",
                    params![name, place(*position)],
                )?;
                Ok(if dropped > 0 { Ok((Tell::Ok, None)) } else { Err(Refused::NotParked) })
            }
            Ask::Parked(_, behind) => self.parked(name, *behind),
            _ => self.standing(name),
        }
    }

    fn has(&self, name: &str) -> Result<bool> {
        let read = "SELECT 1 FROM subscriptions WHERE name = ?1";
        self.tables.prepare(read)?.exists([name])
    }

    fn end(&self) -> Result<i64> {
        self.tables.query_row("SELECT next FROM bus", [], |row| row.get(0))
    }

    /// The position of the oldest post that is there, or of the next one.
    fn oldest(&self) -> Result<i64> {
        let read = "SELECT coalesce((SELECT min(position) FROM posts), next) FROM bus";
        self.tables.query_row(read, [], |row| row.get(0))
    }

    fn post(&self, post: &Post) -> Answer {
        let read = "SELECT position FROM recent WHERE id = ?1";
        let known = self.tables.query_row(read, [bytes(post.id)], |row| position(row, 0));
        if let Some(known) = known.optional()? {
            return Ok(Ok((Tell::Posted(known), None)));
        }
        if post.body.len() > BODY_MAX || post.kind.len() > TEXT_MAX {
            return Ok(Err(Refused::TooLarge));
        }
        let end = self.end()?;
        // Between the oldest and the next one there are no gaps.
        if end - self.oldest()? >= i64::from(self.config.posts_max) {
            return Ok(Err(Refused::Full));
        }
        self.tables.execute("UPDATE bus SET next = next + 1", [])?;
        self.tables.execute(
            "INSERT INTO posts VALUES (?1, ?2, ?3, ?4, ?5)",
            params![end, bytes(post.id), post.kind, post.body, self.wall.as_unix_nanos()],
        )?;
        self.tables.execute(
            "INSERT INTO recent (id, position) VALUES (?1, ?2)",
            params![bytes(post.id), end],
        )?;
        let forgotten = self.tables.last_insert_rowid() - i64::from(self.config.remembers);
        self.tables.execute("DELETE FROM recent WHERE number <= ?1", [forgotten])?;
        self.settle()?;
        Ok(Ok((Tell::Posted(end.cast_unsigned()), None)))
    }

    /// Has subscriptions wait for nothing that they do not want, and drops the posts that nobody
    /// waits for.
    fn settle(&self) -> Result<()> {
        self.tables.execute(
            concat!(
                "UPDATE subscriptions AS s SET next = coalesce((SELECT p.position FROM posts AS p ",
                "WHERE p.position >= s.next AND ",
                wanted!(),
                " ORDER BY p.position LIMIT 1), (SELECT next FROM bus)) ",
                "WHERE s.next < (SELECT next FROM bus) AND NOT EXISTS (SELECT 1 FROM posts AS p ",
                "WHERE p.position = s.next AND ",
                wanted!(),
                ")"
            ),
            [],
        )?;
        self.tables.execute(
            "DELETE FROM posts WHERE position < coalesce((SELECT min(next) FROM subscriptions), \
             (SELECT next FROM bus))",
            [],
        )?;
        Ok(())
    }

    fn subscribe(&self, name: &str, kinds: &BTreeSet<String>, begin: Begin) -> Answer {
        if self.has(name)? {
            let read = "SELECT kind FROM kinds WHERE subscription = ?1";
            let mut read = self.tables.prepare(read)?;
            let there: BTreeSet<String> =
                read.query_map([name], |row| row.get(0))?.collect::<Result<_>>()?;
            return Ok(if there == *kinds { Ok((Tell::Ok, None)) } else { Err(Refused::Differs) });
        }
        let bytes: usize = kinds.iter().map(String::len).sum();
        if name.is_empty() || name.len() > TEXT_MAX || bytes > TEXT_MAX {
            return Ok(Err(Refused::TooLarge));
        }
        let count = "SELECT count(*) FROM subscriptions";
        let count: u32 = self.tables.query_row(count, [], |row| row.get(0))?;
        if count as usize >= SUBSCRIPTIONS_MAX {
            return Ok(Err(Refused::TooMany));
        }
        let next = if begin == Begin::Oldest { self.oldest()? } else { self.end()? };
        self.tables.execute(
            "INSERT INTO subscriptions (name, takes_all, next) VALUES (?1, ?2, ?3)",
            params![name, kinds.is_empty(), next],
        )?;
        for kind in kinds {
            self.tables.execute("INSERT INTO kinds VALUES (?1, ?2)", [name, kind])?;
        }
        self.settle()?;
        Ok(Ok((Tell::Ok, None)))
    }

    /// What is tried again, one by one; and if there is nothing, what is next in order.
    fn next(&self, name: &str) -> Result<Next> {
        let read = "SELECT position, id, kind, body, posted, tries FROM aside \
                    WHERE subscription = ?1 AND tries IS NOT NULL ORDER BY position LIMIT 1";
        let mut read = self.tables.prepare(read)?;
        let again = read.query_row([name], |row| {
            Ok(Next { given: vec![given(row, true)?], tries: row.get(5)? })
        });
        if let Some(next) = again.optional()? {
            return Ok(next);
        }
        let read = concat!(
            "SELECT p.position, p.id, p.kind, p.body, p.posted FROM subscriptions AS s ",
            "JOIN posts AS p ON p.position >= s.next WHERE s.name = ?1 AND ",
            wanted!(),
            " ORDER BY p.position LIMIT ?2"
        );
        let mut read = self.tables.prepare(read)?;
        let given = read.query_map(params![name, BATCH as i64], |row| given(row, false))?;
        let given = given.collect::<Result<_>>()?;
        let tries = "SELECT tries FROM subscriptions WHERE name = ?1";
        Ok(Next { given, tries: self.tables.query_row(tries, [name], |row| row.get(0))? })
    }

    /// The next posts, the first of which counts as tried. What was tried often enough is parked.
    fn give(&self, name: &str) -> Result<Vec<Given>> {
        loop {
            let Next { given, tries } = self.next(name)?;
            let Some(first) = given.first() else { return Ok(given) };
            if tries < self.config.attempts_max {
                self.change_first(name, first, ("tries = tries + 1", None))?;
                return Ok(given);
            }
            if !self.park(name, first)? {
                return Ok(Vec::new());
            }
        }
    }

    /// Changes what is known of the post that is next.
    fn change_first(
        &self,
        name: &str,
        first: &Given,
        (change, why): (&str, Option<&str>),
    ) -> Result<()> {
        let table = if first.is_replay {
            "aside SET {} WHERE subscription = ?1 AND position = ?2"
        } else {
            "subscriptions SET {} WHERE name = ?1 AND next <= ?2"
        };
        let change = format!("UPDATE {}", table.replace("{}", change));
        let at = place(first.position);
        match why {
            Some(why) => self.tables.execute(&change, params![name, at, why])?,
            None => self.tables.execute(&change, params![name, at])?,
        };
        Ok(())
    }

    /// Parks the post that is next, unless there is no room for it: then its subscription stands
    /// still.
    fn park(&self, name: &str, first: &Given) -> Result<bool> {
        let count = "SELECT count(*) FROM aside WHERE subscription = ?1 AND tries IS NULL";
        let parked: u32 = self.tables.query_row(count, [name], |row| row.get(0))?;
        if parked >= self.config.parked_max {
            return Ok(false);
        }
        let (at, wall) = (place(first.position), self.wall.as_unix_nanos());
        if first.is_replay {
            self.tables.execute(
                "UPDATE aside SET tries = NULL, since = ?3 \
                 WHERE subscription = ?1 AND position = ?2",
                params![name, at, wall],
            )?;
            return Ok(true);
        }
        self.tables.execute(
            "INSERT INTO aside \
             SELECT s.name, p.position, p.id, p.kind, p.body, p.posted, s.why, ?3, NULL \
             FROM subscriptions AS s, posts AS p WHERE s.name = ?1 AND p.position = ?2",
            params![name, at, wall],
        )?;
        self.go_behind(name, at)?;
        Ok(true)
    }

    fn go_behind(&self, name: &str, at: i64) -> Result<()> {
        self.tables.execute(
            "UPDATE subscriptions SET next = ?2 + 1, tries = 0, why = '' WHERE name = ?1",
            params![name, at],
        )?;
        self.settle()
    }

    fn done(&self, name: &str, position: u64) -> Answer {
        let at = place(position);
        if at >= self.end()? {
            return Ok(Err(Refused::NoPost));
        }
        let again = self.tables.execute(
            "DELETE FROM aside WHERE subscription = ?1 AND position = ?2 AND tries IS NOT NULL",
            params![name, at],
        )?;
        let read = "SELECT next <= ?2 FROM subscriptions WHERE name = ?1";
        let is_ahead = self.tables.query_row(read, params![name, at], |row| row.get(0))?;
        if again == 0 && is_ahead {
            self.go_behind(name, at)?;
        }
        let lives = again > 0 || is_ahead;
        Ok(Ok((Tell::Ok, lives.then(|| name.to_owned()))))
    }

    /// The post at a position has failed, perhaps for good.
    fn failed(&self, name: &str, (position, for_good): (u64, bool), why: &str) -> Answer {
        let Next { given, tries } = self.next(name)?;
        let Some(first) = given.first().filter(|first| first.position == position) else {
            return Ok(Ok((Tell::Ok, None)));
        };
        self.change_first(name, first, ("why = ?3", Some(why)))?;
        if for_good || tries >= self.config.attempts_max {
            self.park(name, first)?;
        }
        Ok(Ok((Tell::Ok, Some(name.to_owned()))))
    }

    fn replay(&self, name: &str, position: u64) -> Answer {
        let is_there = self.tables.execute(
            "UPDATE aside SET tries = coalesce(tries, 0) WHERE subscription = ?1 AND position = ?2",
            params![name, place(position)],
        )?;
        Ok(if is_there > 0 { Ok((Tell::Ok, None)) } else { Err(Refused::NotParked) })
    }

    fn parked(&self, name: &str, behind: Option<u64>) -> Answer {
        let read = "SELECT position, id, kind, body, posted, why, since FROM aside \
                    WHERE subscription = ?1 AND tries IS NULL AND position > ?2 \
                    ORDER BY position LIMIT ?3";
        let mut read = self.tables.prepare(read)?;
        let behind = behind.map_or(-1, place);
        let parked = read.query_map(params![name, behind, (BATCH / 2) as i64], |row| {
            let (post, posted) = post(row)?;
            let since = WallTime::from_unix_nanos(row.get(6)?);
            Ok(Parked { position: position(row, 0)?, post, posted, why: row.get(5)?, since })
        })?;
        Ok(Ok((Tell::Parked(parked.collect::<Result<_>>()?), None)))
    }

    fn standing(&self, name: &str) -> Answer {
        let read = "SELECT next, (SELECT count(*) FROM aside WHERE subscription = name) \
                    FROM subscriptions WHERE name = ?1";
        let standing = self
            .tables
            .query_row(read, [name], |row| Ok(Tell::Standing(position(row, 0)?, row.get(1)?)));
        Ok(Ok((standing?, None)))
    }
}
