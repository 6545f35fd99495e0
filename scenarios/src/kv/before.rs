//! The service as it was written for tokio: sockets, tasks and files of the system.

use super::wire::{Answer, Request};
use futures_util::{SinkExt, StreamExt};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Mutex;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Serves until no more connections can be taken.
///
/// # Errors
/// If the file cannot be read, or the listener fails.
pub async fn serve(listener: TcpListener, file: PathBuf) -> io::Result<()> {
    let store = Arc::new(Mutex::new(Store::open(file).await?));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(talk(stream, Arc::clone(&store)));
    }
}

async fn talk(stream: TcpStream, store: Arc<Mutex<Store>>) -> io::Result<()> {
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    while let Some(frame) = frames.next().await {
        let request = serde_json::from_slice(&frame?)?;
        let answer = store.lock().await.answer(request).await?;
        frames.send(Bytes::from(serde_json::to_vec(&answer)?)).await?;
    }
    Ok(())
}

struct Store {
    file: PathBuf,
    values: BTreeMap<String, String>,
}

impl Store {
    async fn open(file: PathBuf) -> io::Result<Store> {
        let values = match tokio::fs::read(&file).await {
            Ok(content) => serde_json::from_slice(&content)?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Store { file, values })
    }

    async fn answer(&mut self, request: Request) -> io::Result<Answer> {
        match request {
            Request::Get(key) => Ok(Answer::Value(self.values.get(&key).cloned())),
            Request::Put(key, value) => {
                self.values.insert(key, value);
                self.save().await?;
                Ok(Answer::Stored)
            }
        }
    }

    /// Writes another file and renames it, so that nobody ever finds half of one.
    async fn save(&self) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        tokio::fs::write(&fresh, serde_json::to_vec(&self.values)?).await?;
        tokio::fs::rename(&fresh, &self.file).await
    }
}

/// A client with one connection.
pub struct Client {
    frames: Framed<TcpStream, LengthDelimitedCodec>,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// If no connection comes to stand.
    pub async fn connect(server: impl ToSocketAddrs) -> io::Result<Client> {
        let stream = TcpStream::connect(server).await?;
        Ok(Client { frames: Framed::new(stream, LengthDelimitedCodec::new()) })
    }

    /// Reads the value under a key.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is no answer.
    pub async fn get(&mut self, key: &str) -> io::Result<Option<String>> {
        match self.call(&Request::Get(key.to_owned())).await? {
            Answer::Value(value) => Ok(value),
            Answer::Stored => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is no answer; the value may be stored or not.
    pub async fn put(&mut self, key: &str, value: &str) -> io::Result<()> {
        match self.call(&Request::Put(key.to_owned(), value.to_owned())).await? {
            Answer::Stored => Ok(()),
            Answer::Value(_) => Err(ErrorKind::InvalidData.into()),
        }
    }

    async fn call(&mut self, request: &Request) -> io::Result<Answer> {
        self.frames.send(Bytes::from(serde_json::to_vec(request)?)).await?;
        let frame = self.frames.next().await.ok_or(ErrorKind::UnexpectedEof)??;
        Ok(serde_json::from_slice(&frame)?)
    }
}
