//! TLS between clients and members, as any client of HTTPS speaks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What is spoken over the connection (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";

/// What a member shows to clients, and what it asks of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFiles {
    /// Its certificate, and behind it those that lead to a root (PEM).
    pub certificates: PathBuf,
    /// The certificate's private key (PEM).
    pub key: PathBuf,
    /// The roots that clients' certificates lead to (PEM); without them clients need none.
    pub roots: Option<PathBuf>,
}

/// A file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", file.display())]
pub struct TlsError {
    file: PathBuf,
    why: String,
}

fn wrong(file: &Path, why: impl ToString) -> TlsError {
    TlsError { file: file.to_owned(), why: why.to_string() }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found = found.map_err(|error| wrong(file, error))?;
    if found.is_empty() {
        return Err(wrong(file, "there is no certificate in it"));
    }
    Ok(found)
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| wrong(file, error))
}

fn roots(file: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(file)? {
        roots.add(root).map_err(|error| wrong(file, error))?;
    }
    Ok(Arc::new(roots))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The member's side.
pub(super) fn server(files: &ServerFiles) -> Result<TlsAcceptor, TlsError> {
    let unusable = |error| wrong(&files.certificates, error);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?;
    let builder = match &files.roots {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(file)?, provider());
            builder.with_client_cert_verifier(verifier.build().map_err(|e| wrong(file, e))?)
        }
    };
    let own = certificates(&files.certificates)?;
    let mut config = builder.with_single_cert(own, key(&files.key)?).map_err(unusable)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The client's side: which roots it believes, and the certificate and key that it shows.
///
/// # Errors
/// [`TlsError`]: a file cannot be read or used.
pub fn client(believed: &Path, shown: Option<(&Path, &Path)>) -> Result<TlsConnector, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| wrong(believed, error))?
        .with_root_certificates(roots(believed)?);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, private)) => builder
            .with_client_auth_cert(certificates(certificate)?, key(private)?)
            .map_err(|error| wrong(certificate, error))?,
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
