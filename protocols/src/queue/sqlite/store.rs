//! What a request does to the tables.

use super::super::types::{
    ANSWER_BYTES_MAX, Ask, BODY_MAX, DELAY_MAX, Delivery, Depth, Message, MessageId, PREFETCH_MAX,
    QUEUES_MAX, QueueConfig, Receipt, Refused, TEXT_MAX, Tell, Verdict,
};
use super::dead::{LIMIT, MALFORMED, REJECTED};
use rusqlite::{
    Connection, OptionalExtension, Result, Row, Transaction, TransactionBehavior, params,
};
use squall_env::{Instant, WallTime};
use std::time::Duration;

/// The states of a message that are set by name; one in flight has 1.
pub(super) const READY: i64 = 0;
pub(super) const RESTING: i64 = 2;
pub(super) const DEAD: i64 = 3;

/// What may be delivered: nothing of its key stands before it.
const NEXT: &str = "SELECT place, length(body) FROM messages AS m \
    WHERE queue = ?1 AND state = 0 AND (key IS NULL OR NOT EXISTS \
    (SELECT 1 FROM messages AS e WHERE e.queue = ?1 AND e.key = m.key AND e.place < m.place \
    AND e.state < 3)) ORDER BY place LIMIT ?2";

/// The steps to the format of this build.
const FORMATS: [&str; 2] = [include_str!("first.sql"), include_str!("second.sql")];

/// The tables.
pub(super) struct Store {
    connection: Connection,
}

/// One request under way: its transaction, its queue and its time.
pub(super) struct Work<'a> {
    pub(super) tables: Transaction<'a>,
    pub(super) queue: &'a str,
    pub(super) config: QueueConfig,
    now: i64,
    pub(super) wall: i64,
}

/// What is known of a message.
pub(super) struct Found {
    pub(super) place: i64,
    pub(super) attempts: u32,
    pub(super) forgiven: u32,
    pub(super) settled: bool,
    pub(super) state: i64,
}

pub(super) type Answer = Result<std::result::Result<Tell, Refused>>;

pub(super) fn bytes(id: MessageId) -> [u8; 16] {
    id.0.to_be_bytes()
}

pub(super) fn id_of(bytes: [u8; 16]) -> MessageId {
    MessageId(u128::from_be_bytes(bytes))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn moment(at: Instant) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

impl Store {
    /// Makes the tables if they are not there, and begins: what was in flight may be delivered
    /// again, but for last attempts, which stay with whoever has them for one more lease; and what
    /// was to rest begins anew.
    pub(super) fn start(mut connection: Connection, now: Instant, wall: WallTime) -> Result<Store> {
        let tables = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        crate::sqlite::upgrade(&tables, &FORMATS)?;
        tables.execute_batch(include_str!("sizes.sql"))?;
        tables.execute(
            "UPDATE messages SET until = NULL, consumer = NULL, call = NULL, state = 0 \
             WHERE state = 1",
            [],
        )?;
        tables.execute("UPDATE messages SET until = ?1 + rest WHERE state = 2", [moment(now)])?;
        tables.execute(
            "UPDATE messages SET state = 1, until = ?1 + q.visibility FROM queues AS q \
             WHERE q.name = queue AND state = 0 AND attempts - forgiven >= q.delivery_limit",
            [moment(now)],
        )?;
        tables.execute(
            "UPDATE messages SET failed = coalesce(failed, ?1) \
             WHERE state = 0 AND attempts = 1 AND settled = 0",
            [wall.as_unix_nanos()],
        )?;
        tables.commit()?;
        Ok(Store { connection })
    }

    /// Answers a request. What it answers is durable.
    pub(super) fn ask(
        &mut self,
        queue: &str,
        ask: Ask,
        now: Instant,
        wall: WallTime,
    ) -> Result<Tell> {
        let behavior = TransactionBehavior::Immediate;
        let tables = self.connection.transaction_with_behavior(behavior)?;
        let there = config(&tables, queue)?;
        if let Ask::Declare(wanted) = ask {
            let told = declare(&tables, queue, there, wanted)?;
            tables.commit()?;
            return Ok(told.unwrap_or_else(Tell::Refused));
        }
        let Some(config) = there else { return Ok(Tell::Refused(Refused::NoQueue)) };
        let work = Work { tables, queue, config, now: moment(now), wall: wall.as_unix_nanos() };
        work.expire()?;
        let told = work.ask(ask)?;
        work.tables.commit()?;
        Ok(told.unwrap_or_else(Tell::Refused))
    }
}

fn config(tables: &Transaction<'_>, queue: &str) -> Result<Option<QueueConfig>> {
    let read = "SELECT delivery_limit, visibility, messages_max, remembers FROM queues \
                WHERE name = ?1";
    let config = |row: &Row<'_>| {
        Ok(QueueConfig {
            delivery_limit: row.get(0)?,
            visibility: Duration::from_nanos(row.get::<_, i64>(1)?.cast_unsigned()),
            messages_max: row.get(2)?,
            remembers: row.get(3)?,
        })
    };
    tables.prepare(read)?.query_row([queue], config).optional()
}

fn declare(
    tables: &Transaction<'_>,
    queue: &str,
    there: Option<QueueConfig>,
    wanted: QueueConfig,
) -> Answer {
    if let Some(there) = there {
        return Ok(if there == wanted { Ok(Tell::Done) } else { Err(Refused::Differs(there)) });
    }
    if queue.is_empty() || queue.len() > TEXT_MAX || !wanted.is_valid() {
        return Ok(Err(Refused::BadConfig));
    }
    let queues: u32 = tables.query_row("SELECT count(*) FROM queues", [], |row| row.get(0))?;
    if queues as usize >= QUEUES_MAX {
        return Ok(Err(Refused::TooManyQueues));
    }
    let QueueConfig { delivery_limit, visibility, messages_max, remembers } = wanted;
    tables.execute(
        "INSERT INTO queues VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        params![queue, delivery_limit, nanos(visibility), messages_max, remembers],
    )?;
    Ok(Ok(Tell::Done))
}

impl Work<'_> {
    fn ask(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Declare(_) => Ok(Err(Refused::BadConfig)),
            Ask::Publish(message) => self.publish(&message),
            Ask::Receive { consumer, call, prefetch } => self.receive(consumer, call, prefetch),
            Ask::Heartbeat(receipts) => self.heartbeat(receipts),
            Ask::Settle(receipt, verdict) => self.settle(receipt, &verdict),
            Ask::DeadLetters { behind } => self.dead_letters(behind),
            Ask::Redrive(receipt) => self.redrive(receipt),
            Ask::Discard(receipt) => self.discard(receipt),
            Ask::Depth => self.depth(),
        }
    }

    /// Ends the leases and rests that are over.
    fn expire(&self) -> Result<()> {
        self.tables.execute(
            "UPDATE messages SET state = CASE WHEN attempts - forgiven >= ?3 THEN 3 ELSE 0 END, \
             until = NULL, consumer = NULL, call = NULL, rejected = 0, died = ?4, \
             failed = CASE WHEN attempts = 1 THEN coalesce(failed, ?4) ELSE failed END, \
             why = CASE WHEN why = '' THEN 'the consumer was not heard of' ELSE why END \
             WHERE queue = ?1 AND until <= ?2 AND attempts - forgiven >= ?3",
            params![self.queue, self.now, self.config.delivery_limit, self.wall],
        )?;
        self.tables.execute(
            "UPDATE messages SET state = 0, until = NULL, consumer = NULL, call = NULL, \
             failed = CASE WHEN state = 1 AND attempts = 1 THEN coalesce(failed, ?3) \
             ELSE failed END WHERE queue = ?1 AND until <= ?2",
            params![self.queue, self.now, self.wall],
        )?;
        Ok(())
    }

    pub(super) fn find(&self, id: MessageId) -> Result<Option<Found>> {
        let read = "SELECT place, attempts, forgiven, settled, state FROM messages \
                    WHERE queue = ?1 AND id = ?2";
        let found = |row: &Row<'_>| {
            Ok(Found {
                place: row.get(0)?,
                attempts: row.get(1)?,
                forgiven: row.get(2)?,
                settled: row.get(3)?,
                state: row.get(4)?,
            })
        };
        self.tables.prepare(read)?.query_row(params![self.queue, bytes(id)], found).optional()
    }

    /// The attempt that took the message out, or 0, if its id is in the window.
    pub(super) fn taken_out(&self, id: MessageId) -> Result<Option<u32>> {
        let read = "SELECT taken_out FROM recent WHERE queue = ?1 AND id = ?2";
        let mut read = self.tables.prepare(read)?;
        read.query_row(params![self.queue, bytes(id)], |row| row.get(0)).optional()
    }

    fn count(&self, condition: &str) -> Result<u32> {
        let count = format!("SELECT count(*) FROM messages WHERE queue = ?1 AND {condition}");
        self.tables.prepare(&count)?.query_row([self.queue], |row| row.get(0))
    }

    /// How many messages or ids of its queue there are.
    fn size(&self, of: &str) -> Result<u32> {
        let read = format!("SELECT {of} FROM sizes WHERE queue = ?1");
        self.tables.prepare(&read)?.query_row([self.queue], |row| row.get(0))
    }

    fn publish(&self, message: &Message) -> Answer {
        if self.find(message.id)?.is_some() || self.taken_out(message.id)?.is_some() {
            return Ok(Ok(Tell::Published { known: true }));
        }
        let key_bytes = message.key.as_ref().map_or(0, String::len);
        let is_large = message.body.len() > BODY_MAX || key_bytes > TEXT_MAX;
        if is_large || message.delay > DELAY_MAX {
            return Ok(Err(Refused::TooLarge));
        }
        if self.size("messages")? >= self.config.messages_max {
            return Ok(Err(Refused::Full));
        }
        let rest = nanos(message.delay);
        let (state, until) =
            if rest > 0 { (RESTING, Some(self.now.saturating_add(rest))) } else { (READY, None) };
        self.tables.execute(
            "INSERT INTO messages (queue, place, id, key, body, published, rest, state, until) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                self.queue,
                self.next_place()?,
                bytes(message.id),
                message.key,
                message.body,
                self.wall,
                rest,
                state,
                until
            ],
        )?;
        self.remember(message.id)?;
        Ok(Ok(Tell::Published { known: false }))
    }

    /// The place behind all others.
    pub(super) fn next_place(&self) -> Result<i64> {
        let next = "UPDATE queues SET next = next + 1 WHERE name = ?1 RETURNING next";
        self.tables.prepare(next)?.query_row([self.queue], |row| row.get(0))
    }

    fn remember(&self, id: MessageId) -> Result<()> {
        self.tables.execute(
            "INSERT INTO recent (queue, id) VALUES (?1, ?2)",
            params![self.queue, bytes(id)],
        )?;
        let forgotten = self.size("recent")?.saturating_sub(self.config.remembers);
        self.tables.execute(
            "DELETE FROM recent WHERE number IN (SELECT number FROM recent WHERE queue = ?1 \
             ORDER BY number LIMIT ?2)",
            params![self.queue, forgotten],
        )?;
        Ok(())
    }

    fn receive(&self, consumer: u64, call: u64, prefetch: u16) -> Answer {
        if prefetch == 0 || prefetch > PREFETCH_MAX {
            return Ok(Err(Refused::BadConfig));
        }
        let (consumer, call) = (consumer.cast_signed(), call.cast_signed());
        let given = self.given(consumer, call)?;
        if !given.is_empty() {
            // The answer to the same call was lost.
            return Ok(Ok(Tell::Delivered(given)));
        }
        let held = "SELECT count(*) FROM messages WHERE queue = ?1 AND consumer = ?2 AND state = 1";
        let mut held = self.tables.prepare(held)?;
        let held: u32 = held.query_row(params![self.queue, consumer], |row| row.get(0))?;
        let room = u32::from(prefetch).saturating_sub(held);
        let mut next = self.tables.prepare(NEXT)?;
        let places =
            next.query_map(params![self.queue, room], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let places: Vec<(i64, u32)> = places.collect::<Result<_>>()?;
        let (until, mut size) = (self.now.saturating_add(nanos(self.config.visibility)), 0usize);
        for (place, length) in places {
            let length = length as usize + 64;
            size += length;
            if size > ANSWER_BYTES_MAX && size > length {
                break;
            }
            self.tables.execute(
                "UPDATE messages SET state = 1, attempts = attempts + 1, settled = 0, rest = 0, \
                 until = ?3, consumer = ?4, call = ?5 WHERE queue = ?1 AND place = ?2",
                params![self.queue, place, until, consumer, call],
            )?;
        }
        Ok(Ok(Tell::Delivered(self.given(consumer, call)?)))
    }

    fn given(&self, consumer: i64, call: i64) -> Result<Vec<Delivery>> {
        let read = "SELECT id, attempts, forgiven, key, body FROM messages WHERE queue = ?1 \
                    AND consumer = ?2 AND state = 1 AND call = ?3 ORDER BY place";
        let delivery = |row: &Row<'_>| {
            let (attempt, forgiven): (u32, u32) = (row.get(1)?, row.get(2)?);
            Ok(Delivery {
                receipt: Receipt { id: id_of(row.get(0)?), attempt },
                attempt: attempt.saturating_sub(forgiven),
                key: row.get(3)?,
                body: row.get(4)?,
            })
        };
        let mut read = self.tables.prepare(read)?;
        read.query_map(params![self.queue, consumer, call], delivery)?.collect()
    }

    fn heartbeat(&self, receipts: Vec<Receipt>) -> Answer {
        if receipts.len() > usize::from(PREFETCH_MAX) {
            return Ok(Err(Refused::TooLarge));
        }
        let until = self.now.saturating_add(nanos(self.config.visibility));
        let mut lost = Vec::new();
        for receipt in receipts {
            let kept = self.tables.execute(
                "UPDATE messages SET until = ?4 WHERE queue = ?1 AND id = ?2 AND attempts = ?3 \
                 AND state = 1",
                params![self.queue, bytes(receipt.id), receipt.attempt, until],
            )?;
            if kept == 0 {
                lost.push(receipt);
            }
        }
        Ok(Ok(Tell::Lost(lost)))
    }

    fn settle(&self, receipt: Receipt, verdict: &Verdict) -> Answer {
        let Some(found) = self.find(receipt.id)? else {
            let by = self.taken_out(receipt.id)?;
            let is_done = *verdict == Verdict::Ack && by == Some(receipt.attempt);
            return Ok(if is_done { Ok(Tell::Done) } else { Err(Refused::Stale) });
        };
        let has_ended = found.settled && *verdict != Verdict::Ack;
        if found.attempts != receipt.attempt || receipt.attempt == 0 {
            return Ok(Err(Refused::Stale));
        }
        if found.settled || found.state == DEAD {
            return Ok(if has_ended { Ok(Tell::Done) } else { Err(Refused::Stale) });
        }
        match verdict {
            Verdict::Ack => self.take_out(&found, receipt.id)?,
            Verdict::Dead { why } | Verdict::Malformed { why } | Verdict::Retry { why, .. }
                if why.len() > TEXT_MAX =>
            {
                return Ok(Err(Refused::TooLarge));
            }
            Verdict::Retry { after, .. } if *after > DELAY_MAX => {
                return Ok(Err(Refused::TooLarge));
            }
            Verdict::Dead { why } => self.bury(found.place, REJECTED, why)?,
            Verdict::Malformed { why } => self.bury(found.place, MALFORMED, why)?,
            Verdict::Retry { why, .. }
                if found.attempts - found.forgiven >= self.config.delivery_limit =>
            {
                self.bury(found.place, LIMIT, why)?;
            }
            Verdict::Retry { after, why } => self.rest(found.place, *after, why)?,
        }
        Ok(Ok(Tell::Done))
    }

    fn rest(&self, place: i64, after: Duration, why: &str) -> Result<()> {
        let rest = nanos(after);
        let (state, until) =
            if rest > 0 { (RESTING, Some(self.now.saturating_add(rest))) } else { (READY, None) };
        self.tables.execute(
            "UPDATE messages SET state = ?3, until = ?4, rest = ?5, why = ?6, settled = 1, \
             failed = CASE WHEN attempts = 1 THEN coalesce(failed, ?7) ELSE failed END, \
             consumer = NULL, call = NULL WHERE queue = ?1 AND place = ?2",
            params![self.queue, place, state, until, rest, why, self.wall],
        )?;
        Ok(())
    }

    fn depth(&self) -> Answer {
        Ok(Ok(Tell::Depth(Depth {
            queued: self.count("state < 3")?,
            in_flight: self.count("state = 1")?,
            dead: self.count("state = 3")?,
        })))
    }
}
