//! Messages that go: done, or to the dead letters, and from there.

use super::super::types::{
    ANSWER_BYTES_MAX, DeadLetter, DeadReason, MessageId, Receipt, Refused, TEXT_MAX, Tell,
};
use super::store::{Answer, DEAD, Found, Work, bytes, id_of};
use rusqlite::{Result, Row, params};
use squall_env::WallTime;

/// Why a message is dead, as `rejected` has it: its attempts are used up, a consumer said so, or
/// none could read it.
pub(super) const LIMIT: i64 = 0;
pub(super) const REJECTED: i64 = 1;
pub(super) const MALFORMED: i64 = 2;

impl Work<'_> {
    /// Takes a message out, and notes which attempt did.
    pub(super) fn take_out(&self, found: &Found, id: MessageId) -> Result<()> {
        self.tables.execute(
            "DELETE FROM messages WHERE queue = ?1 AND place = ?2",
            params![self.queue, found.place],
        )?;
        self.tables.execute(
            "UPDATE recent SET taken_out = ?3 WHERE queue = ?1 AND id = ?2",
            params![self.queue, bytes(id), found.attempts],
        )?;
        Ok(())
    }

    /// Puts a message to the dead letters: a consumer has settled it so.
    pub(super) fn bury(&self, place: i64, rejected: i64, why: &str) -> Result<()> {
        self.tables.execute(
            "UPDATE messages SET state = 3, until = NULL, consumer = NULL, call = NULL, \
             settled = 1, rejected = ?3, why = ?4, died = ?5, \
             failed = CASE WHEN attempts = 1 THEN coalesce(failed, ?5) ELSE failed END \
             WHERE queue = ?1 AND place = ?2",
            params![self.queue, place, rejected, why, self.wall],
        )?;
        Ok(())
    }

    pub(super) fn dead_letters(&self, behind: Option<u64>) -> Answer {
        let read = "SELECT place, id, attempts, key, body, rejected, why, published, died, failed \
                    FROM messages WHERE queue = ?1 AND state = 3 AND place > ?2 ORDER BY place";
        let letter = |row: &Row<'_>| {
            let (rejected, why): (i64, String) = (row.get(5)?, row.get(6)?);
            Ok(DeadLetter {
                place: row.get::<_, i64>(0)?.cast_unsigned(),
                receipt: Receipt { id: id_of(row.get(1)?), attempt: row.get(2)? },
                key: row.get(3)?,
                body: row.get(4)?,
                reason: match rejected {
                    LIMIT => DeadReason::DeliveryLimit(why),
                    MALFORMED => DeadReason::Malformed(why),
                    _ => DeadReason::Rejected(why),
                },
                published: WallTime::from_unix_nanos(row.get(7)?),
                first_failed: row.get::<_, Option<i64>>(9)?.map(WallTime::from_unix_nanos),
                died: WallTime::from_unix_nanos(row.get(8)?),
            })
        };
        let behind = behind.map_or(-1, |place| i64::try_from(place).unwrap_or(i64::MAX));
        let mut read = self.tables.prepare(read)?;
        let (mut letters, mut size) = (Vec::new(), 0);
        for letter in read.query_map(params![self.queue, behind], letter)? {
            let letter = letter?;
            size += letter.body.len() + 3 * TEXT_MAX;
            if size > ANSWER_BYTES_MAX && !letters.is_empty() {
                break;
            }
            letters.push(letter);
        }
        Ok(Ok(Tell::DeadLetters(letters)))
    }

    pub(super) fn redrive(&self, receipt: Receipt) -> Answer {
        let Some(found) = self.find(receipt.id)? else { return Ok(Err(Refused::NotDead)) };
        if found.state != DEAD || found.attempts != receipt.attempt {
            let is_done = found.state != DEAD && found.forgiven == receipt.attempt;
            return Ok(if is_done { Ok(Tell::Done) } else { Err(Refused::NotDead) });
        }
        self.tables.execute(
            "UPDATE messages SET place = ?3, state = 0, forgiven = attempts, rest = 0, \
             settled = 1, rejected = NULL, died = NULL WHERE queue = ?1 AND place = ?2",
            params![self.queue, found.place, self.next_place()?],
        )?;
        Ok(Ok(Tell::Done))
    }

    pub(super) fn discard(&self, receipt: Receipt) -> Answer {
        match self.find(receipt.id)? {
            Some(found) if found.state == DEAD && found.attempts == receipt.attempt => {
                self.take_out(&found, receipt.id)?;
                Ok(Ok(Tell::Done))
            }
            None if self.taken_out(receipt.id)? == Some(receipt.attempt) => Ok(Ok(Tell::Done)),
            _ => Ok(Err(Refused::NotDead)),
        }
    }
}
