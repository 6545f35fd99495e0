//! TLS 1.3 (RFC 8446) with certificates on both sides.
//!
//! Who connects checks that the other's certificate is signed by one of its roots and bears the
//! name of the node that it wants to reach. Who is connected to checks the signature, and then that
//! the certificate bears the name by which the other greets. No session is resumed, so that both
//! certificates are looked at for every connection.

use crate::config::Tls as Files;
use crate::error::RunError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::{Resumption, verify_server_name};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// What is spoken over the connection (RFC 7301), so that a certificate that is good for other
/// services as well is of no use to connect one to the other.
const PROTOCOL: &[u8] = b"squall";

/// Both sides of a node's connections.
pub(crate) struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

/// The certificate of the other side, which is signed by one of the roots.
pub(crate) struct Leaf(CertificateDer<'static>);

fn wrong(file: &Path, why: impl ToString) -> RunError {
    RunError::Tls { file: file.to_owned(), why: why.to_string() }
}

/// Every certificate in a file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, RunError> {
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found = found.map_err(|error| wrong(file, error))?;
    if found.is_empty() {
        return Err(wrong(file, "there is no certificate in it"));
    }
    Ok(found)
}

impl Tls {
    /// Reads the files. The node's own certificate has to bear its name, unless it is a guest.
    pub(crate) fn new(files: &Files, me: Option<String>) -> Result<Tls, RunError> {
        let own = certificates(&files.certificates)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong(&files.key, e))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.roots)? {
            roots.add(root).map_err(|error| wrong(&files.roots, error))?;
        }
        if let Some(name) = me.filter(|name| !Leaf(own[0].clone()).is_of(name)) {
            return Err(wrong(&files.certificates, format!("it is not a certificate of {name}")));
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let unusable = |error| wrong(&files.certificates, error);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(own.clone(), key.clone_key())
            .map_err(unusable)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = Resumption::disabled();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| wrong(&files.roots, error))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own, key)
            .map_err(unusable)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.send_tls13_tickets = 0;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Tls { connector: TlsConnector::from(client), acceptor: TlsAcceptor::from(server) })
    }

    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        name: String,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }

    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(server::TlsStream<TcpStream>, Leaf)> {
        let stream = self.acceptor.accept(stream).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.ok_or_else(|| io::Error::other("the peer has no certificate"))?;
        let leaf = Leaf(leaf.clone().into_owned());
        Ok((stream, leaf))
    }
}

impl Leaf {
    /// Whether the certificate bears this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        let (Ok(parsed), Ok(name)) =
            (ParsedCertificate::try_from(&self.0), ServerName::try_from(name))
        else {
            return false;
        };
        verify_server_name(&parsed, &name).is_ok()
    }
}

/// Whether a certificate can bear this name: the syntax of DNS (RFC 1123, section 2.1).
pub(crate) fn is_name(name: &str) -> bool {
    matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_)))
}
