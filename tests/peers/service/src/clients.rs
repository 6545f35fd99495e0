//! The three ways to put a key: etcd's gRPC, squall's HTTP, and squall's own messages.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use squall_protocols::store::{Command, Output, StoreClient, Txn};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Why there is no figure.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How long a put may take before the run is given up.
const PUT_MAX: Duration = Duration::from_secs(10);

/// Puts one key after the other.
pub(crate) trait Client: Send + 'static {
    /// Puts a key, and gives the store's revision once it is acknowledged.
    fn put(&mut self, key: &str, value: &[u8]) -> impl Future<Output = Result<u64, Failed>> + Send;
}

async fn connect(to: SocketAddr) -> Result<TokioIo<TcpStream>, Failed> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// etcd's gRPC over HTTP/2. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Etcd {
    sender: http2::SendRequest<Full<Bytes>>,
    uri: Uri,
}

impl Etcd {
    pub(crate) async fn connect(to: SocketAddr) -> Result<Etcd, Failed> {
        let io = connect(to).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        let uri = format!("http://{to}/etcdserverpb.KV/Put").parse()?;
        Ok(Etcd { sender, uri })
    }
}

/// A gRPC message of `PutRequest { key = 1, value = 2 }`: a flag and a length before the message.
fn put_request(key: &str, value: &[u8]) -> Bytes {
    let mut message = vec![0; 5];
    for (field, bytes) in [(1, key.as_bytes()), (2, value)] {
        message.push(field << 3 | 2);
        let mut length = bytes.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(bytes);
    }
    let length = (message.len() - 5) as u32;
    message[1..5].copy_from_slice(&length.to_be_bytes());
    message.into()
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
}

/// The revision in `PutResponse { header = 1 }`, which is `ResponseHeader { revision = 3, .. }`.
fn revision_of(message: &[u8]) -> Option<u64> {
    let mut rest = message.get(5..)?;
    let tag = varint(&mut rest)?;
    let length = varint(&mut rest)? as usize;
    let mut header = rest.get(..length).filter(|_| tag == 1 << 3 | 2)?;
    while !header.is_empty() {
        let tag = varint(&mut header)?;
        let number = varint(&mut header)?;
        if tag == 3 << 3 {
            return Some(number);
        }
    }
    None
}

impl Client for Etcd {
    async fn put(&mut self, key: &str, value: &[u8]) -> Result<u64, Failed> {
        let request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(put_request(key, value)))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let body = response.into_body().collect().await?;
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
        if status.is_none_or(|status| status != "0") {
            return Err(format!("etcd answers {:?}", body.trailers()).into());
        }
        revision_of(&body.to_bytes()).ok_or_else(|| "etcd's answer has no revision".into())
    }
}

/// squall's HTTP/1.1, on a connection of its own.
pub(crate) struct Http {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
}

impl Http {
    pub(crate) async fn connect(to: SocketAddr) -> Result<Http, Failed> {
        let (sender, connection) = http1::handshake(connect(to).await?).await?;
        tokio::spawn(connection);
        Ok(Http { sender, host: to.to_string() })
    }

    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failed> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::HOST, &self.host).body(Full::new(body))?;
        self.sender.ready().await?;
        let response: Response<Incoming> = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

impl Client for Http {
    async fn put(&mut self, key: &str, value: &[u8]) -> Result<u64, Failed> {
        let path = format!("/v1/kv/{key}");
        let (status, body) = self.ask(Method::PUT, &path, value.to_vec().into()).await?;
        if status != StatusCode::OK {
            return Err(format!("squall answers {status}: {body:?}").into());
        }
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        answer["revision"].as_u64().ok_or_else(|| "squall's answer has no revision".into())
    }
}

/// squall's own messages. All clients of a node share its connections.
pub(crate) struct Native(pub(crate) StoreClient);

impl Client for Native {
    async fn put(&mut self, key: &str, value: &[u8]) -> Result<u64, Failed> {
        let put = Command::Txn(Txn::put(key, value));
        match self.0.execute(put, PUT_MAX).await? {
            Output::Txn(done) => Ok(done.revision),
            other => Err(format!("squall answers {other:?}").into()),
        }
    }
}
