//! The server as a node.

use super::keyspace::{Command, Effect, Keyspace, Reply};
use serde::{Deserialize, Serialize};
use squall_env::request::{ReplyTo, Responder};
use squall_env::{Address, Either, Env, File, Instant, Messages, Port, codec, race};
use std::fmt::Display;
use std::time::Duration;

/// Where the server takes commands.
pub(super) const SERVICE: &str = "redis";

const REPLICATION: &str = "redis replication";

/// How often replicas ask for what is new.
const PULL: Duration = Duration::from_millis(20);

/// How often the log is synced that is synced about every second.
const SYNC: Duration = Duration::from_secs(1);

/// When the log is synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// There is no log.
    None,
    /// About every second (`appendfsync everysec`).
    EverySecond,
    /// Before anything is answered (`appendfsync always`).
    Always,
}

/// How a server is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// When the log is synced.
    pub persistence: Persistence,
    /// If set, the second node of the role follows the first, and takes over when it has been
    /// silent for so long.
    pub failover: Option<Duration>,
    /// How long a server that starts does not answer.
    pub stays_out: Duration,
}

impl Config {
    /// A server by itself.
    pub fn alone(persistence: Persistence) -> Config {
        Config { persistence, failover: None, stays_out: Duration::ZERO }
    }
}

/// What servers tell each other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Message {
    /// A replica asks for what is new since then.
    Pull { epoch: u64, run: u64, offset: u64 },
    /// The primary of this epoch has done this since.
    Since { epoch: u64, run: u64, offset: u64, effects: Vec<Effect> },
    /// The primary of this epoch has all this.
    All { epoch: u64, run: u64, offset: u64, keys: Keyspace },
}

struct Server {
    env: Env,
    config: Config,
    keys: Keyspace,
    log: Option<File>,
    /// Everything that this server did as a primary since it began to be one.
    backlog: Vec<Effect>,
    /// The stretch of history that it is part of, and how much of it it has.
    run: u64,
    offset: u64,
    epoch: u64,
    is_primary: bool,
    /// When a replica heard of its primary last.
    heard: Instant,
}

/// A node that is such a server.
///
/// # Errors
/// If its disk fails, or the node has stopped.
pub async fn serve(env: Env, config: Config) -> Result<(), String> {
    let mut server = Server::recover(&env, config).await?;
    env.sleep(config.stays_out).await;
    let mut asked = Responder::<Command, Reply>::open(&env, Port::named(SERVICE)).map_err(text)?;
    let mut others = env.messages::<Message>(Port::named(REPLICATION)).map_err(text)?;
    env.ready();
    server.heard = env.now();
    let (mut pull, mut sync) = (env.now() + PULL, env.now() + SYNC);
    loop {
        let ticks = env.sleep_until(pull.min(sync));
        match race(asked.receive(), race(others.receive(), ticks)).await {
            Either::Left(received) => {
                let (command, back) = received.map_err(text)?;
                server.execute(&command, back).await?;
            }
            Either::Right(Either::Left(received)) => {
                let (from, message) = received.map_err(text)?;
                server.hear(from, message, &mut others).await?;
            }
            Either::Right(Either::Right(())) => {
                if env.now() >= sync {
                    sync = env.now() + SYNC;
                    server.sync().await?;
                }
                if env.now() >= pull {
                    pull = env.now() + PULL;
                    server.pull(&mut others);
                }
            }
        }
    }
}

impl Server {
    async fn recover(env: &Env, config: Config) -> Result<Server, String> {
        let mut keys = Keyspace::default();
        let mut log = None;
        if config.persistence != Persistence::None {
            let mut file = env.open_file("appendonly", true).await.map_err(text)?;
            env.sync_directory("").await.map_err(text)?;
            let bytes = file.read_all().await.map_err(text)?;
            let kept = replay(&bytes, &mut keys);
            file.truncate(kept as u64).await.map_err(text)?;
            file.sync().await.map_err(text)?;
            log = Some(file);
        }
        let is_first = env.peers(env.roster().role(env.me())).first() == Some(&env.me());
        Ok(Server {
            env: env.clone(),
            config,
            keys,
            log,
            backlog: Vec::new(),
            run: env.random(),
            offset: 0,
            epoch: 0,
            is_primary: is_first || config.failover.is_none(),
            heard: env.now(),
        })
    }

    async fn execute(&mut self, command: &Command, back: ReplyTo<Reply>) -> Result<(), String> {
        if !self.is_primary {
            back.reply(Reply::ReadOnly);
            return Ok(());
        }
        let now_ms = self.env.wall().as_unix_nanos().div_euclid(1_000_000);
        let (reply, effects) = self.keys.execute(now_ms, command);
        self.env.trace(|| format!("does {command:?} and answers {reply:?}"));
        self.write(&effects).await?;
        self.offset += effects.len() as u64;
        if self.config.failover.is_some() {
            self.backlog.extend(effects);
        }
        back.reply(reply);
        Ok(())
    }

    /// What is done goes to the log before it is answered, and to the disk perhaps later.
    async fn write(&mut self, effects: &[Effect]) -> Result<(), String> {
        let Some(log) = self.log.as_mut().filter(|_| !effects.is_empty()) else { return Ok(()) };
        log.append(records(effects)?).await.map_err(text)?;
        match self.config.persistence {
            Persistence::Always => log.sync().await.map_err(text),
            _ => Ok(()),
        }
    }

    async fn sync(&mut self) -> Result<(), String> {
        match &mut self.log {
            Some(log) => log.sync().await.map_err(text),
            None => Ok(()),
        }
    }

    /// A replica asks for what is new, and takes over if nobody answers for long. A primary asks,
    /// too, whether there is one of a later epoch.
    fn pull(&mut self, others: &mut Messages<Message>) {
        let Some(silence_max) = self.config.failover else { return };
        if !self.is_primary && self.env.now() - self.heard > silence_max {
            self.env.sometimes("a replica took over");
            self.is_primary = true;
            self.epoch += 1;
            (self.run, self.offset) = (self.env.random(), 0);
            self.backlog.clear();
        }
        let (epoch, run, offset) = (self.epoch, self.run, self.offset);
        for to in self.others() {
            others.send(to, &Message::Pull { epoch, run, offset });
        }
    }

    fn others(&self) -> Vec<Address> {
        let role = self.env.roster().role(self.env.me());
        let all = self.env.addresses(role, Port::named(REPLICATION));
        all.into_iter().filter(|address| address.node != self.env.me()).collect()
    }

    async fn hear(
        &mut self,
        from: Address,
        message: Message,
        others: &mut Messages<Message>,
    ) -> Result<(), String> {
        match message {
            Message::Pull { epoch, run, offset } => {
                // A primary that was away learns from whoever has taken over.
                if self.is_primary && self.epoch >= epoch {
                    others.send(from, &self.news(run, offset));
                }
                Ok(())
            }
            Message::Since { epoch, run, offset, effects } => {
                if !self.follows(epoch) || run != self.run || offset > self.offset {
                    return Ok(());
                }
                let known = (self.offset - offset) as usize;
                let new = effects.get(known..).unwrap_or_default();
                new.iter().for_each(|effect| self.keys.apply(effect));
                self.offset += new.len() as u64;
                self.write(new).await
            }
            Message::All { epoch, run, offset, keys } => {
                if self.follows(epoch) && (run, offset) != (self.run, self.offset) {
                    (self.run, self.offset, self.keys) = (run, offset, keys);
                    self.rewrite().await?;
                }
                Ok(())
            }
        }
    }

    /// What a replica does not have that is so far.
    fn news(&self, run: u64, offset: u64) -> Message {
        let begun = self.offset - self.backlog.len() as u64;
        match run == self.run && offset >= begun {
            true => {
                let effects = self.backlog[(offset - begun) as usize..].to_vec();
                Message::Since { epoch: self.epoch, run, offset, effects }
            }
            false => {
                let (run, offset, keys) = (self.run, self.offset, self.keys.clone());
                Message::All { epoch: self.epoch, run, offset, keys }
            }
        }
    }

    /// Whether this server follows the primary of this epoch: from now on, if it did not before.
    fn follows(&mut self, epoch: u64) -> bool {
        if epoch < self.epoch || self.is_primary && epoch == self.epoch {
            return false;
        }
        (self.is_primary, self.epoch) = (false, epoch);
        self.heard = self.env.now();
        true
    }

    /// The log of somebody else's history.
    async fn rewrite(&mut self) -> Result<(), String> {
        let Some(log) = &mut self.log else { return Ok(()) };
        log.truncate(0).await.map_err(text)?;
        let all = self.keys.effects();
        log.append(records(&all)?).await.map_err(text)
    }
}

/// Each effect as its length and a frame with a checksum.
fn records(effects: &[Effect]) -> Result<Vec<u8>, String> {
    let (mut bytes, mut frame) = (Vec::new(), Vec::new());
    for effect in effects {
        codec::encode(effect, &mut frame).map_err(text)?;
        bytes.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes)
}

/// Does what a log says, and says how many of its bytes are whole.
fn replay(bytes: &[u8], keys: &mut Keyspace) -> usize {
    let mut kept = 0;
    while let Some((length, rest)) = bytes[kept..].split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some(Ok(effect)) = rest.get(..length).map(codec::decode) else { break };
        keys.apply(&effect);
        kept += 4 + length;
    }
    kept
}

fn text(error: impl Display) -> String {
    error.to_string()
}
