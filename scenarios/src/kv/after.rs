//! The same service on `Env`: in the world, and with `squall_real` on the system's own sockets and
//! files.

use super::wire::{Answer, Request};
use futures_util::{SinkExt, StreamExt};
use squall_env::disk::DiskError;
use squall_env::platform::{BindError, Closed};
use squall_env::stream::ConnectError;
use squall_env::{Address, Elapsed, Env, HasOutcome, Outcome, Port, Stream, mutant};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Where the service listens.
pub const PORT: Port = Port::named("kv");

/// Where the values are.
pub const FILE: &str = "values.json";

/// Why the server has ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file holds something else, or a connection breaks.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A message or the file is no JSON of ours.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The node has been stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Serves until no more connections can be taken.
///
/// # Errors
/// If the file cannot be read, or the port is taken.
pub async fn serve(env: Env) -> Result<(), ServeError> {
    let store = Arc::new(Mutex::new(Store::open(&env).await?));
    let mut listener = env.listen(PORT)?;
    env.ready();
    loop {
        let stream = listener.accept().await?;
        env.spawn("connection", talk(stream, Arc::clone(&store)));
    }
}

async fn talk(stream: Stream, store: Arc<Mutex<Store>>) -> Result<(), ServeError> {
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    while let Some(frame) = frames.next().await {
        let request = serde_json::from_slice(&frame?)?;
        let answer = store.lock().await.answer(request).await?;
        frames.send(Bytes::from(serde_json::to_vec(&answer)?)).await?;
    }
    Ok(())
}

struct Store {
    env: Env,
    values: BTreeMap<String, String>,
}

impl Store {
    async fn open(env: &Env) -> Result<Store, ServeError> {
        let values = match env.read_file(FILE).await? {
            Some(content) => serde_json::from_slice(&content)?,
            None => BTreeMap::new(),
        };
        Ok(Store { env: env.clone(), values })
    }

    async fn answer(&mut self, request: Request) -> Result<Answer, ServeError> {
        match request {
            Request::Get(key) => Ok(Answer::Value(self.values.get(&key).cloned())),
            Request::Put(key, value) => {
                self.values.insert(key, value);
                self.env.watermark("keys", self.values.len() as u64);
                self.save().await?;
                Ok(Answer::Stored)
            }
        }
    }

    /// Writes another file, syncs it, renames it, and syncs the directory: only then it is stored.
    async fn save(&self) -> Result<(), ServeError> {
        let content = serde_json::to_vec(&self.values)?;
        if mutant!(self.env, "kv/answers-before-sync") {
            // Line by line what it did before.
            let fresh = format!("{FILE}.new");
            let mut file = self.env.open_file(&fresh, true).await?;
            file.truncate(0).await?;
            file.write_at(0, content).await?;
            return Ok(self.env.rename(&fresh, FILE).await?);
        }
        Ok(self.env.replace_file(FILE, content).await?)
    }
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke, or the answer is no answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The answer is too late.
    #[error(transparent)]
    Late(#[from] Elapsed),
}

impl HasOutcome for KvError {
    fn outcome(&self) -> Outcome {
        match self {
            KvError::Connect(error) => error.outcome(),
            KvError::Io(_) | KvError::Late(_) => Outcome::Indeterminate,
        }
    }
}

/// A client with one connection.
pub struct Client {
    frames: Framed<Stream, LengthDelimitedCodec>,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// If no connection comes to stand.
    pub async fn connect(env: &Env, server: Address) -> Result<Client, KvError> {
        let stream = env.connect(server).await?;
        Ok(Client { frames: Framed::new(stream, LengthDelimitedCodec::new()) })
    }

    /// Reads the value under a key.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is no answer.
    pub async fn get(&mut self, key: &str) -> Result<Option<String>, KvError> {
        match self.call(&Request::Get(key.to_owned())).await? {
            Answer::Value(value) => Ok(value),
            Answer::Stored => Err(io::Error::from(ErrorKind::InvalidData).into()),
        }
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is no answer; the value may be stored or not.
    pub async fn put(&mut self, key: &str, value: &str) -> Result<(), KvError> {
        match self.call(&Request::Put(key.to_owned(), value.to_owned())).await? {
            Answer::Stored => Ok(()),
            Answer::Value(_) => Err(io::Error::from(ErrorKind::InvalidData).into()),
        }
    }

    async fn call(&mut self, request: &Request) -> Result<Answer, KvError> {
        let request = serde_json::to_vec(request).map_err(io::Error::from)?;
        self.frames.send(Bytes::from(request)).await?;
        let frame = self.frames.next().await;
        let frame = frame.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))??;
        Ok(serde_json::from_slice(&frame).map_err(io::Error::from)?)
    }
}
