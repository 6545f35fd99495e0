//! Posts, their positions, and who is given them.

use super::{Backend, Begin, Checked, KIND, Suite, ensure, numbers, refusal, same, text};
use crate::bus::types::{Ask, BODY_MAX, Refused, TEXT_MAX};
use std::collections::BTreeSet;

impl<B: Backend> Suite<B> {
    pub(super) async fn unsubscribes(&self) -> Checked {
        let mut slow = self.subscribe("contract/gone", Begin::Next).await?;
        self.post(1).await?;
        for _ in 0..2 {
            self.bus.unsubscribe(slow.name).await.map_err(text)?;
        }
        for _ in 0..=self.config.posts_max {
            self.post(2).await?;
        }
        let gone = refusal(self.bus.standing(slow.name).await)?;
        same(gone, Refused::NoSubscription, "what is said of who has gone")?;
        // One of that name is another one.
        slow = self.subscribe(slow.name, Begin::Oldest).await?;
        self.gets(&mut slow, &[]).await?;
        self.end(slow).await
    }

    pub(super) async fn posts_once(&self) -> Checked {
        let mut reader = self.subscribe("contract/once", Begin::Next).await?;
        let post = self.saying(KIND, 1);
        let first = self.bus.post_again(post.clone()).await.map_err(text)?;
        let second = self.post(2).await?;
        let again = self.bus.post_again(post).await.map_err(text)?;
        same(again, first, "the position of what is posted again")?;
        ensure(first < second, || format!("{second} comes after {first}"))?;
        let mut given = numbers(&self.fetch(&mut reader).await?);
        given.sort_unstable();
        same(given, vec![1, 2], "what is given, in any order")?;
        self.end(reader).await
    }

    pub(super) async fn knows_ids(&self) -> Checked {
        let posts: Vec<_> = (0..=self.config.remembers).map(|_| self.saying(KIND, 1)).collect();
        let mut positions = Vec::new();
        for post in &posts {
            positions.push(self.bus.post_again(post.clone()).await.map_err(text)?);
        }
        for place in (1..posts.len()).rev() {
            let again = self.bus.post_again(posts[place].clone()).await.map_err(text)?;
            same(again, positions[place], "the position of a known id")?;
        }
        let forgotten = self.bus.post_again(posts[0].clone()).await.map_err(text)?;
        ensure(Some(&forgotten) > positions.last(), || "an id is known for ever".to_owned())
    }

    pub(super) async fn is_in_order(&self) -> Checked {
        let mut one = self.subscribe("contract/one", Begin::Next).await?;
        let mut other = self.subscribe("contract/other", Begin::Next).await?;
        let mut posted = Vec::new();
        for number in 1..=3 {
            posted.push((self.post(number).await?, number));
        }
        for reader in [&mut one, &mut other] {
            let given = self.fetch(reader).await?;
            let positions = given.iter().map(|given| given.position);
            let given: Vec<_> = positions.zip(numbers(&given)).collect();
            same(&given, &posted, "posts and their positions")?;
        }
        self.end(one).await?;
        self.end(other).await
    }

    pub(super) async fn begins(&self) -> Checked {
        let holding = self.subscribe("contract/holding", Begin::Next).await?;
        self.post(1).await?;
        let mut oldest = self.subscribe("contract/oldest", Begin::Oldest).await?;
        let mut next = self.subscribe("contract/next", Begin::Next).await?;
        self.gets(&mut next, &[]).await?;
        self.post(2).await?;
        self.gets(&mut oldest, &[1, 2]).await?;
        self.gets(&mut next, &[2]).await?;
        for reader in [holding, oldest, next] {
            self.end(reader).await?;
        }
        Ok(())
    }

    pub(super) async fn comes_again(&self) -> Checked {
        let mut reader = self.subscribe("contract/again", Begin::Next).await?;
        self.post(1).await?;
        self.post(2).await?;
        self.gets(&mut reader, &[1, 2]).await?;
        self.gets(&mut reader, &[1, 2]).await?;
        self.end(reader).await
    }

    pub(super) async fn goes_on(&self) -> Checked {
        let mut reader = self.subscribe("contract/done", Begin::Next).await?;
        let (first, second) = (self.post(1).await?, self.post(2).await?);
        self.gets(&mut reader, &[1, 2]).await?;
        self.done(&reader, first).await?;
        self.gets(&mut reader, &[2]).await?;
        self.done(&reader, second).await?;
        // Whoever did not hear that it is done says so again, and late.
        self.done(&reader, first).await?;
        self.done(&reader, second).await?;
        self.gets(&mut reader, &[]).await?;
        let (next, parked) = self.bus.standing(reader.name).await.map_err(text)?;
        ensure(next > second && parked == 0, || format!("it stands at {next} with {parked}"))?;
        // What is not there yet cannot be done.
        let early = self.bus.ask(Ask::Done(reader.name.to_owned(), next)).await;
        same(refusal(early)?, Refused::NoPost, "what is done before it is posted")?;
        let early = self.bus.ask(Ask::Done(reader.name.to_owned(), u64::MAX)).await;
        same(refusal(early)?, Refused::NoPost, "what is done before it is posted")?;
        self.post(3).await?;
        self.gets(&mut reader, &[3]).await?;
        self.end(reader).await
    }

    pub(super) async fn repeats(&self) -> Checked {
        let mut reader = self.subscribe("contract/call", Begin::Next).await?;
        self.post(1).await?;
        let given = self.fetch(&mut reader).await?;
        self.post(2).await?;
        for _ in 0..self.config.attempts_max + 2 {
            same(&self.fetch_again(&reader).await?, &given, "what the same call is given")?;
        }
        // That was one attempt.
        self.gets(&mut reader, &[1, 2]).await?;
        reader.call -= 1;
        same(self.fetch_again(&reader).await?, Vec::new(), "what an earlier call is given")?;
        self.end(reader).await
    }

    pub(super) async fn is_claimed(&self) -> Checked {
        let mut one = self.subscribe("contract/claimed", Begin::Next).await?;
        let mut other = self.reader(one.name);
        let first = self.post(1).await?;
        self.post(2).await?;
        self.gets(&mut one, &[1, 2]).await?;
        self.gets(&mut other, &[]).await?;
        self.env.sleep(self.config.claim / 2).await;
        // Whoever gets something done is alive.
        self.done(&one, first).await?;
        self.env.sleep(self.config.claim / 2).await;
        self.gets(&mut other, &[]).await?;
        self.env.sleep(self.config.claim * 2).await;
        self.gets(&mut other, &[2]).await?;
        self.gets(&mut one, &[]).await?;
        self.end(one).await
    }

    pub(super) async fn takes_kinds(&self) -> Checked {
        let mut reader = self.reader("contract/kinds");
        for kinds in [["paid", "refused"], ["refused", "paid"]] {
            self.bus.subscribe(reader.name, &kinds, Begin::Next).await.map_err(text)?;
        }
        let other = self.bus.subscribe(reader.name, &["paid"], Begin::Next).await;
        same(refusal(other)?, Refused::Differs, "other kinds")?;
        // Of these there are more than there is room for: nobody waits for them.
        for _ in 0..=self.config.posts_max {
            self.bus.post_again(self.saying("sent", 1)).await.map_err(text)?;
        }
        for (kind, number) in [("paid", 2), ("sent", 3), ("refused", 4)] {
            self.bus.post_again(self.saying(kind, number)).await.map_err(text)?;
        }
        let given = self.fetch(&mut reader).await?;
        same(numbers(&given), vec![2, 4], "what is of the kinds")?;
        for one in given {
            self.done(&reader, one.position).await?;
        }
        self.gets(&mut reader, &[]).await?;
        self.end(reader).await
    }

    pub(super) async fn holds_up(&self) -> Checked {
        let mut reader = self.subscribe("contract/slow", Begin::Next).await?;
        let post = self.saying(KIND, 0);
        let first = self.bus.post_again(post.clone()).await.map_err(text)?;
        for number in 1..self.config.posts_max {
            self.post(number as u8).await?;
        }
        let full = refusal(self.bus.post_again(self.saying(KIND, 0)).await)?;
        same(full, Refused::Full, "what a full bus says")?;
        let again = self.bus.post_again(post).await.map_err(text)?;
        same(again, first, "what a full bus says of what it has")?;
        self.done(&reader, first).await?;
        self.post(self.config.posts_max as u8).await?;
        let (mut heard, wanted) = (Vec::new(), 1..=self.config.posts_max as u8);
        loop {
            let given = self.fetch(&mut reader).await?;
            let Some(last) = given.last() else { break };
            self.done(&reader, last.position).await?;
            heard.extend(numbers(&given));
        }
        same(heard, wanted.collect(), "what came through a full bus")?;
        self.end(reader).await
    }

    pub(super) async fn refuses(&self) -> Checked {
        let (mut large, mut kind) = (self.saying(KIND, 1), self.saying(KIND, 1));
        large.body = vec![0; BODY_MAX + 1];
        kind.kind = "k".repeat(TEXT_MAX + 1);
        let (none, all) = ("contract/nobody".to_owned(), BTreeSet::new());
        let subscribe = |name: String| Ask::Subscribe(name, all.clone(), Begin::Next);
        let reader = self.subscribe("contract/refusals", Begin::Next).await?;
        let name = reader.name.to_owned();
        for (ask, wanted) in [
            (Ask::Post(large), Refused::TooLarge),
            (Ask::Post(kind), Refused::TooLarge),
            (subscribe(String::new()), Refused::TooLarge),
            (subscribe("n".repeat(TEXT_MAX + 1)), Refused::TooLarge),
            (Ask::Failed(name.clone(), 0, "w".repeat(TEXT_MAX + 1)), Refused::TooLarge),
            (Ask::Fetch { name: none.clone(), reader: 1, call: 1 }, Refused::NoSubscription),
            (Ask::Done(none.clone(), 0), Refused::NoSubscription),
            (Ask::Failed(none.clone(), 0, String::new()), Refused::NoSubscription),
            (Ask::Parked(none.clone(), None), Refused::NoSubscription),
            (Ask::Replay(none.clone(), 0), Refused::NoSubscription),
            (Ask::Drop(none.clone(), 0), Refused::NoSubscription),
            (Ask::Standing(none), Refused::NoSubscription),
            (Ask::Replay(name.clone(), u64::MAX), Refused::NotParked),
            (Ask::Drop(name, u64::MAX), Refused::NotParked),
        ] {
            let what = format!("what is said to {ask:?}");
            let what: String = what.chars().take(80).collect();
            same(refusal(self.bus.ask(ask).await)?, wanted, &what)?;
        }
        self.end(reader).await
    }
}
