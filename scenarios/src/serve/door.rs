//! Where clients come in: plain sockets, with TLS or without, for programs in any language.

use squall_env::Env;
use squall_env::sync::semaphore;
use squall_protocols::store::http::{Api, CONNECTIONS_MAX};
use std::io;
use std::net::TcpListener as StdListener;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// How long nobody is taken in when the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections in for as long as it is polled. Beyond as many as the interface serves, they
/// wait in the system's queue.
pub(super) async fn stand_open(
    env: &Env,
    api: &Api,
    listener: StdListener,
    tls: Option<TlsAcceptor>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = semaphore(env, "places for clients", CONNECTIONS_MAX);
    loop {
        let place = places.acquire().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no client can be taken in");
                env.sleep(PAUSE).await;
                continue;
            }
        };
        let (own, api, tls) = (env.clone(), api.clone(), tls.clone());
        env.spawn("client", async move {
            let _place = place;
            serve(&own, &api, stream, tls).await;
        });
    }
}

async fn serve(env: &Env, api: &Api, stream: TcpStream, tls: Option<TlsAcceptor>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small answers may be late");
    }
    let Some(tls) = tls else { return api.serve_connection(stream).await };
    match env.timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
        Ok(Ok(stream)) => api.serve_connection(stream).await,
        Ok(Err(error)) => tracing::debug!(%error, "a client's handshake failed"),
        Err(_) => tracing::debug!("a client's handshake took too long"),
    }
}
