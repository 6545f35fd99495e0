//! The loads in squall.

use crate::{Load, MESSAGE, PIECE};
use squall::plan::{Plan, RoleNodes};
use squall::{Scenario, Watch, run_plan};
use squall_env::{Env, Listener, Port, Stream};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: Port = Port::named("peers");

/// What the nodes of the run under way are to do: they may own nothing.
static OPERATIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn run(load: Load, operations: u64) {
    OPERATIONS.store(operations, Ordering::Relaxed);
    let scenario = Scenario::new("peers").nodes("server", 1..=1, move |env: Env| async move {
        let listener = env.listen(PORT).map_err(|error| error.to_string())?;
        // The connection ends with the client.
        let _ended = serve(load, listener).await;
        std::future::pending::<Result<(), String>>().await
    });
    let scenario = scenario.clients("client", 1..=1, move |client| async move {
        use_server(load, client.env()).await.map_err(|error| error.to_string())
    });
    let role = |role: &str| RoleNodes { role: role.to_owned(), nodes: 1 };
    let mut plan = Plan::calm(vec![role("server"), role("client")], u64::MAX / 2);
    // A client is as far away as any other node.
    plan.weather.client_latency = plan.weather.latency.clone();
    let outcome = run_plan(&scenario, 1, &plan, Watch { judge: false, ..Watch::default() });
    assert_eq!(outcome.failure, None);
}

async fn serve(load: Load, mut listener: Listener) -> io::Result<()> {
    let (mut message, mut piece) = ([0; MESSAGE], vec![0; PIECE]);
    while let Ok(mut stream) = listener.accept().await {
        match load {
            Load::Bulk => while stream.read(&mut piece).await? > 0 {},
            Load::PingPong | Load::Connect => {
                while stream.read_exact(&mut message).await.is_ok() {
                    message[0] = message[0].wrapping_add(1);
                    stream.write_all(&message).await?;
                }
            }
        }
    }
    Ok(())
}

async fn connect(env: &Env) -> io::Result<Stream> {
    env.connect(env.addresses("server", PORT)[0]).await.map_err(io::Error::other)
}

async fn use_server(load: Load, env: &Env) -> io::Result<()> {
    let operations = OPERATIONS.load(Ordering::Relaxed);
    let mut message = [0; MESSAGE];
    match load {
        Load::PingPong => {
            let mut stream = connect(env).await?;
            for _ in 0..operations / 2 {
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
        }
        Load::Bulk => {
            let (mut stream, piece) = (connect(env).await?, vec![7; PIECE]);
            for _ in 0..operations * (1 << 20) / PIECE as u64 {
                stream.write_all(&piece).await?;
            }
            stream.shutdown().await?;
            // The other end closes once it has read everything.
            let _ = stream.read(&mut message).await?;
        }
        Load::Connect => {
            for _ in 0..operations {
                let mut stream = connect(env).await?;
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
        }
    }
    Ok(())
}
