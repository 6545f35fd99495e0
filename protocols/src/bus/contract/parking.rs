//! Attempts, what is parked, and what becomes of that.

use super::{Backend, Begin, Checked, Reader, Suite, ensure, numbers, refusal, same, text};
use crate::bus::types::{Ask, Refused};
use crate::queue::Failure;
use crate::retry::Backoff;
use squall_env::sync::stop;
use squall_env::{Either, race};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long is waited for what has to come.
const PATIENCE: Duration = Duration::from_secs(10);

impl<B: Backend> Suite<B> {
    pub(super) async fn parks(&self) -> Checked {
        let mut reader = self.subscribe("contract/fails", Begin::Next).await?;
        let (first, second) = (self.post(1).await?, self.post(2).await?);
        for attempt in 1..=self.config.attempts_max {
            same(self.parked(&reader).await?, vec![], "what is parked")?;
            self.gets(&mut reader, &[1, 2]).await?;
            self.failed(&reader, first, &format!("failure {attempt}")).await?;
        }
        let parked = self.bus.parked(reader.name, None).await.map_err(text)?;
        let [one] = &parked[..] else { return Err(format!("{parked:?} is parked")) };
        let why = format!("failure {}", self.config.attempts_max);
        same((one.position, &one.why), (first, &why), "the post that is parked")?;
        same(&one.post.body[..], &[1], "what it says")?;
        let standing = self.bus.standing(reader.name).await.map_err(text)?;
        same(standing, (second, 1), "where the subscription stands")?;
        self.park(&mut reader, second).await?;
        same(self.parked(&reader).await?, vec![first, second], "what is parked")?;
        let behind = self.bus.parked(reader.name, Some(first)).await.map_err(text)?;
        let behind: Vec<u64> = behind.iter().map(|parked| parked.position).collect();
        same(behind, vec![second], "what is parked behind the first")?;
        self.gets(&mut reader, &[]).await?;
        self.end(reader).await
    }

    pub(super) async fn counts_lost_readers(&self) -> Checked {
        let mut reader = self.subscribe("contract/lost", Begin::Next).await?;
        let first = self.post(1).await?;
        self.post(2).await?;
        for _ in 0..self.config.attempts_max {
            // It could have crashed each time.
            self.gets(&mut reader, &[1, 2]).await?;
        }
        self.gets(&mut reader, &[2]).await?;
        same(self.parked(&reader).await?, vec![first], "what is parked")?;
        self.end(reader).await
    }

    pub(super) async fn counts_the_first(&self) -> Checked {
        let mut reader = self.subscribe("contract/first", Begin::Next).await?;
        let (first, second) = (self.post(1).await?, self.post(2).await?);
        for _ in 1..self.config.attempts_max {
            self.gets(&mut reader, &[1, 2]).await?;
        }
        self.done(&reader, first).await?;
        for _ in 0..self.config.attempts_max {
            self.gets(&mut reader, &[2]).await?;
        }
        self.gets(&mut reader, &[]).await?;
        same(self.parked(&reader).await?, vec![second], "what is parked")?;
        self.end(reader).await
    }

    pub(super) async fn parks_at_once(&self) -> Checked {
        let mut reader = self.subscribe("contract/malformed", Begin::Next).await?;
        let (first, second) = (self.post(1).await?, self.post(2).await?);
        self.gets(&mut reader, &[1, 2]).await?;
        let ask = Ask::Park(reader.name.to_owned(), first, "it cannot be read".to_owned());
        for _ in 0..2 {
            self.tell(ask.clone()).await?;
        }
        // It may come again, and be no better.
        self.bus.replay(reader.name, first).await.map_err(text)?;
        self.replaying(&mut reader, first).await?;
        self.tell(ask).await?;
        self.gets(&mut reader, &[2]).await?;
        let parked = self.bus.parked(reader.name, None).await.map_err(text)?;
        let parked: Vec<(u64, &str)> =
            parked.iter().map(|one| (one.position, one.why.as_str())).collect();
        same(parked, vec![(first, "it cannot be read")], "what is parked")?;
        let standing = self.bus.standing(reader.name).await.map_err(text)?;
        same(standing, (second, 1), "where the subscription stands")?;
        self.end(reader).await
    }

    /// A post is tried again, and nothing else.
    async fn replaying(&self, reader: &mut Reader, position: u64) -> Checked {
        let given = self.fetch(reader).await?;
        let given: Vec<_> = given.iter().map(|one| (one.position, one.is_replay)).collect();
        same(given, vec![(position, true)], "what is tried again")
    }

    pub(super) async fn replays(&self) -> Checked {
        let mut reader = self.subscribe("contract/replay", Begin::Next).await?;
        let first = self.post(1).await?;
        let early = self.bus.replay(reader.name, first).await;
        same(refusal(early)?, Refused::NotParked, "what is not parked")?;
        self.park(&mut reader, first).await?;
        let second = self.post(2).await?;
        for _ in 0..2 {
            self.bus.replay(reader.name, first).await.map_err(text)?;
        }
        same(self.parked(&reader).await?, vec![], "what is parked")?;
        let standing = self.bus.standing(reader.name).await.map_err(text)?;
        same(standing, (second, 1), "where the subscription stands")?;
        for _ in 0..self.config.attempts_max {
            // It has all its attempts again, and its turn before what is next.
            self.replaying(&mut reader, first).await?;
            self.failed(&reader, first, "declined again").await?;
        }
        let parked = self.bus.parked(reader.name, None).await.map_err(text)?;
        let parked: Vec<_> = parked.iter().map(|one| (one.position, &one.why[..])).collect();
        same(parked, vec![(first, "declined again")], "what is parked again")?;
        self.gets(&mut reader, &[2]).await?;
        self.bus.replay(reader.name, first).await.map_err(text)?;
        self.replaying(&mut reader, first).await?;
        self.done(&reader, first).await?;
        let given = self.fetch(&mut reader).await?;
        same(given.iter().map(|one| one.is_replay).collect(), vec![false], "whether it is again")?;
        same(numbers(&given), vec![2], "what comes after it")?;
        let standing = self.bus.standing(reader.name).await.map_err(text)?;
        same(standing, (second, 0), "where the subscription stands")?;
        let late = self.bus.replay(reader.name, first).await;
        same(refusal(late)?, Refused::NotParked, "what is done")?;
        self.end(reader).await
    }

    pub(super) async fn discards(&self) -> Checked {
        let mut reader = self.subscribe("contract/drop", Begin::Next).await?;
        let first = self.post(1).await?;
        self.park(&mut reader, first).await?;
        self.bus.discard(reader.name, first).await.map_err(text)?;
        same(self.parked(&reader).await?, vec![], "what is parked")?;
        let again = self.bus.discard(reader.name, first).await;
        same(refusal(again)?, Refused::NotParked, "what is dropped")?;
        let again = self.bus.replay(reader.name, first).await;
        same(refusal(again)?, Refused::NotParked, "what is dropped")?;
        self.post(2).await?;
        self.gets(&mut reader, &[2]).await?;
        self.end(reader).await
    }

    pub(super) async fn says_when(&self) -> Checked {
        let mut reader = self.subscribe("contract/when", Begin::Next).await?;
        let position = self.post(1).await?;
        let mut said = Vec::new();
        for _ in 0..self.config.attempts_max {
            said.extend(self.fetch(&mut reader).await?.into_iter().map(|one| one.posted));
            self.failed(&reader, position, "declined").await?;
        }
        let parked = self.bus.parked(reader.name, None).await.map_err(text)?;
        said.extend(parked.into_iter().map(|one| one.posted));
        self.bus.replay(reader.name, position).await.map_err(text)?;
        said.extend(self.fetch(&mut reader).await?.into_iter().map(|one| one.posted));
        same(said.len() as u32, self.config.attempts_max + 2, "how often it was seen")?;
        ensure(said[0].is_some(), || "it is not said".to_owned())?;
        ensure(said.iter().all(|one| *one == said[0]), || format!("it is said to be {said:?}"))?;
        self.end(reader).await
    }

    pub(super) async fn stands_still(&self) -> Checked {
        let mut reader = self.subscribe("contract/still", Begin::Next).await?;
        let mut parked = Vec::new();
        for number in 0..self.config.parked_max {
            parked.push(self.post(number as u8).await?);
            self.park(&mut reader, parked[number as usize]).await?;
        }
        let last = self.post(1).await?;
        self.park(&mut reader, last).await?;
        same(self.parked(&reader).await?, parked.clone(), "what is parked")?;
        self.post(2).await?;
        self.gets(&mut reader, &[]).await?;
        let (next, _) = self.bus.standing(reader.name).await.map_err(text)?;
        same(next, last, "where the subscription stands")?;
        self.bus.discard(reader.name, parked.remove(0)).await.map_err(text)?;
        parked.push(last);
        self.gets(&mut reader, &[2]).await?;
        same(self.parked(&reader).await?, parked, "what is parked")?;
        self.end(reader).await
    }

    pub(super) async fn reads(&self) -> Checked {
        let reader = self.subscribe("contract/read", Begin::Next).await?;
        let mut positions = Vec::new();
        for number in 1..=4 {
            positions.push(self.post(number).await?);
        }
        let heard = Mutex::new(Vec::new());
        let handler = |given: super::Given| {
            let handled = match numbers(&[given])[..] {
                [2] => Err(Failure::Retry("declined".to_owned())),
                [3] => Err(Failure::Malformed("it is no number".to_owned())),
                ref good => {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(good);
                    Ok(())
                }
            };
            async move { handled }
        };
        let short = Duration::from_millis(5);
        let (stopper, stopped) = stop(&self.env, "reader");
        let backoff = Backoff::new(short, short);
        let reading = self.bus.read(&self.env, reader.name, backoff, stopped, handler);
        let until = async {
            let deadline = self.env.now() + PATIENCE;
            while self.env.now() < deadline {
                let standing = self.bus.standing(reader.name).await.map_err(text)?;
                if standing.0 > positions[3] {
                    return Checked::Ok(());
                }
                self.env.sleep(short).await;
            }
            Err("the reader does not come to the end".to_owned())
        };
        match race(reading, until).await {
            Either::Left(ended) => return Err(format!("the reader has ended: {ended:?}")),
            Either::Right(read) => read?,
        }
        stopper.stop();
        let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        same(heard, vec![1, 4], "what the reader has done")?;
        same(self.parked(&reader).await?, positions[1..3].to_vec(), "what is parked")?;
        let parked = self.bus.parked(reader.name, None).await.map_err(text)?;
        let whys: Vec<&str> = parked.iter().map(|one| one.why.as_str()).collect();
        same(whys, vec!["declined", "it cannot be read: it is no number"], "the reasons")?;
        self.end(reader).await
    }
}
