//! Where the members are, and how they are connected to.

use crate::serve::{TlsError, client_tls};
use squall_protocols::store::http::{Connect, Connection, Dialed};
use std::io;
use std::path::Path;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where a member listens for clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    host: String,
    port: u16,
    encrypted: bool,
}

/// What is wrong with endpoints.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is no address.
    #[error("{0:?} is not http://HOST:PORT or https://HOST:PORT")]
    Url(String),
    /// Nobody could be believed.
    #[error("https needs --cacert: the roots that the members' certificates lead to")]
    NoRoots,
    /// There are none.
    #[error("there is no endpoint")]
    None,
    /// A file with certificates is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Endpoint {
    /// Reads `http://HOST:PORT`, `https://HOST:PORT`, or `HOST:PORT`, which is `http`.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn read(url: &str) -> Result<Endpoint, EndpointError> {
        let wrong = || EndpointError::Url(url.to_owned());
        let (encrypted, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            None => (false, url),
            Some(_) => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        // An address of IPv6 stands in brackets.
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.is_empty() || host.contains('/') {
            return Err(wrong());
        }
        Ok(Endpoint { host: host.to_owned(), port, encrypted })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The endpoint as it is written.
    pub fn url(&self) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

/// The members, over sockets.
#[derive(Clone)]
pub struct Endpoints {
    all: Vec<Endpoint>,
    tls: Option<TlsConnector>,
}

impl Endpoints {
    /// The endpoints at these addresses; for `https` with the roots to be believed, and perhaps a
    /// certificate and key to be shown.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn new(
        urls: &[String],
        roots: Option<&Path>,
        shown: Option<(&Path, &Path)>,
    ) -> Result<Endpoints, EndpointError> {
        let all = urls.iter().map(|url| Endpoint::read(url)).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err(EndpointError::None);
        }
        let tls = match (roots, all.iter().any(|endpoint| endpoint.encrypted)) {
            (Some(roots), true) => Some(client_tls(roots, shown)?),
            (None, true) => return Err(EndpointError::NoRoots),
            (_, false) => None,
        };
        Ok(Endpoints { all, tls })
    }

    /// Each endpoint alone.
    pub fn each(&self) -> impl Iterator<Item = (&Endpoint, Endpoints)> {
        self.all.iter().map(|endpoint| {
            (endpoint, Endpoints { all: vec![endpoint.clone()], tls: self.tls.clone() })
        })
    }
}

impl Connect for Endpoints {
    fn count(&self) -> usize {
        self.all.len()
    }

    fn authority(&self, nth: usize) -> String {
        self.all[nth].authority()
    }

    fn connect(&self, nth: usize) -> Dialed<'_> {
        Box::pin(async move {
            let endpoint = &self.all[nth];
            let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = self.tls.as_ref().filter(|_| endpoint.encrypted) else {
                return Ok(Box::new(stream) as Box<dyn Connection>);
            };
            let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
            Ok(Box::new(tls.connect(name, stream).await?) as Box<dyn Connection>)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_they_are_written() {
        let read = |url: &str| Endpoint::read(url).map(|endpoint| endpoint.url()).ok();
        for url in ["http://127.0.0.1:1", "https://db.example.org:8101", "http://[::1]:80"] {
            assert_eq!(read(url).as_deref(), Some(url));
        }
        assert_eq!(read("localhost:80/").as_deref(), Some("http://localhost:80"));
        for wrong in ["", "http://", "http://a", "ftp://a:1", "http://a:x", "http://:1", "::1:80"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let https = ["https://a:1".to_owned()];
        assert!(matches!(Endpoints::new(&https, None, None), Err(EndpointError::NoRoots)));
    }
}
