//! Queues: messages published with durability on, and worked off. The broker is asked over the
//! network stack, SQLite where it is.

use crate::{BYTES, CLIENTS, Failed, ratio, tell};
use squall_env::Env;
use squall_protocols::queue::{
    Backend, Message, MessageId, QueueClient, QueueConfig, QueueError, Session, SqliteQueue,
    Verdict, serve,
};
use std::path::Path;
use std::time::Duration;

const QUEUE: &str = "work";

/// How many messages a consumer has in its hands.
const PREFETCH: u16 = 16;

/// Publishes so many messages, and works them off.
pub(crate) async fn compare(env: &Env, data: &Path, many: u64) -> Result<(), Failed> {
    let own = env.clone();
    env.spawn("broker", async move { serve(own).await });
    let broker = QueueClient::open(env, env.me(), Duration::from_secs(30))?;
    let sqlite = SqliteQueue::open(env, &data.join("queue.sqlite"))?;
    let (published, worked) = load(env, &broker, many).await?;
    let (published_there, worked_there) = load(env, &sqlite, many).await?;
    println!("{many} durable messages of {BYTES} bytes published by {CLIENTS} clients:");
    tell("broker", many, published);
    tell("SQLite", many, published_there);
    ratio("brokers", published, published_there);
    println!("taken by {CLIENTS} consumers, {PREFETCH} at a time, and settled one by one:");
    tell("broker", many, worked);
    tell("SQLite", many, worked_there);
    ratio("brokers", worked, worked_there);
    Ok(())
}

/// How long it takes to publish so many, and to work them off.
async fn load<B: Backend>(env: &Env, queue: &B, many: u64) -> Result<(Duration, Duration), Failed> {
    let config = QueueConfig::default();
    queue.declare(QUEUE, config).await?;
    let each = many / CLIENTS;
    let published = by_all(env, |client, _| {
        let queue = queue.clone();
        async move {
            for number in 0..each {
                let id = MessageId(u128::from(client * each + number));
                queue.publish(QUEUE, Message::new(id, vec![7; BYTES])).await?;
            }
            Ok(())
        }
    });
    let published = published.await?;
    let worked = by_all(env, |_, env| {
        let queue = queue.clone();
        async move {
            let mut session = Session::new(&env, QUEUE, PREFETCH);
            loop {
                let deliveries = queue.receive(&mut session).await?;
                if deliveries.is_empty() {
                    return Ok(());
                }
                for delivery in deliveries {
                    queue.settle(QUEUE, delivery.receipt, Verdict::Ack).await?;
                }
            }
        }
    });
    Ok((published, worked.await?))
}

/// How long all clients take for this.
async fn by_all<F>(env: &Env, work: impl Fn(u64, Env) -> F) -> Result<Duration, Failed>
where
    F: Future<Output = Result<(), QueueError>> + Send + 'static,
{
    let start = env.now();
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| env.spawn("client", work(client, env.clone()))).collect();
    for client in clients {
        client.await??;
    }
    Ok(env.now() - start)
}
