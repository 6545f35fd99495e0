//! Byte streams: what arrives is what was sent, byte for byte and in order; and a connection
//! breaks, waits or is refused only by a fault.

use super::Blind;
use squall::table::Group;
use squall::{Client, Fault, FaultSet, Scenario, Tolerance, conditions};
use squall_env::platform::BindError;
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, Env, Port, Shown, Stream, View};
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONTRACT: &str = "streams carry what was written, and break by faults alone";
const WHOLE: &str = "a whole conversation got through";

/// How many conversations each node begins.
const CALLS: u32 = 30;

/// How long most conversations may take before they are given up.
const PATIENCE: Duration = Duration::from_millis(1_200);

/// How often each thing has happened to a node's connections.
#[derive(Default)]
struct Story {
    refused: u64,
    hung: u64,
    broken: u64,
    silent: u64,
    /// A write had to wait for the reader, or took less than all.
    waited: u64,
    short: u64,
    /// What arrived was not what was sent.
    wrong: Option<String>,
}

/// Nodes that call each other, and check every byte that they hear.
pub fn streams(blind: Blind) -> Scenario {
    blind
        .scenario("streams", CONTRACT)
        .nodes("node", 2..=3, serve)
        .clients("witness", 1..=1, patient_witness)
        .tolerates(Tolerance::nothing().faults_of(FaultSet::of(Group::Stream)))
        .finishes_within(Duration::from_secs(60))
        .sometimes(WHOLE)
        .always(CONTRACT, move || {
            move |view: &View<'_>| {
                let now = conditions().ok_or("no run is under way")?;
                let streams = &now.weather.streams;
                let on = |fault: Fault, ppm: u32| ppm > 0 && blind.knows(fault);
                let dies = on(Fault::HalfOpen, streams.half_open_ppm);
                let breaks = on(Fault::StreamReset, streams.reset_ppm)
                    || on(Fault::ConnectReset, streams.connect_reset_ppm)
                    || dies;
                let presses = streams.back_pressure && blind.knows(Fault::BackPressure);
                let cuts = on(Fault::StreamShortIo, streams.short_io_ppm) || presses;
                let refuses = on(Fault::ConnectRefused, streams.connect_refused_ppm);
                let hangs = on(Fault::ConnectHang, streams.connect_hang_ppm);
                for story in view.changed::<Story>() {
                    if let Some(wrong) = &story.wrong {
                        return Err(wrong.clone());
                    }
                    for (what, count, excused) in [
                        ("was refused", story.refused, refuses),
                        ("got no answer", story.hung, hangs),
                        ("broke", story.broken, breaks),
                        ("fell silent", story.silent, dies),
                        ("had to wait", story.waited, presses),
                        ("took less than all", story.short, cuts),
                    ] {
                        if count > 0 && !excused {
                            return Err(format!("a connection {what} without a fault"));
                        }
                    }
                }
                Ok(())
            }
        })
}

/// Waits for those too who find out late that nobody is there any more.
async fn patient_witness(client: Client) -> Result<(), Infallible> {
    client.after_heal().await;
    client.env().sleep(Duration::from_secs(25)).await;
    Ok(())
}

async fn serve(env: Env) -> Result<(), BindError> {
    let story = env.show("story", Story::default());
    let port = Port::named("talk");
    let mut listener = env.listen(port)?;
    let (own, shown) = (env.clone(), story.clone());
    env.spawn("accept", async move {
        while let Ok(stream) = listener.accept().await {
            let (env, shown) = (own.clone(), shown.clone());
            own.spawn("answer", async move {
                let answered = answer(&env, &shown, stream).await;
                env.trace(|| format!("answers a call: {answered:?}"));
            });
        }
    });
    env.ready();
    let others: Vec<Address> = env.addresses("node", port);
    let others: Vec<Address> = others.into_iter().filter(|to| to.node != env.me()).collect();
    for _ in 0..CALLS {
        env.sleep(Duration::from_micros(env.random_below(200_000))).await;
        let to = others[env.random_below(others.len() as u64) as usize];
        let patient = env.random_below(6) == 0;
        let (own, shown) = (env.clone(), story.clone());
        env.spawn("call", async move {
            let calling = call(&own, &shown, to);
            if patient {
                calling.await;
            } else {
                // Dropping it closes the connection in the middle.
                let _ = own.timeout(PATIENCE, calling).await;
            }
        });
    }
    std::future::pending().await
}

/// The byte at a place of a conversation.
fn byte(id: u64, at: u64) -> u8 {
    let word = (id ^ at >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word.rotate_left(23) >> (at % 8 * 8)) as u8
}

async fn call(env: &Env, shown: &Shown<Story>, to: Address) {
    let stream = match env.connect(to).await {
        Ok(stream) => stream,
        Err(error) => {
            return shown.update(env, |story| match error {
                ConnectError::Refused => story.refused += 1,
                ConnectError::TimedOut => story.hung += 1,
                ConnectError::Reset => story.broken += 1,
                other => story.wrong = Some(format!("there is no connection: {other}")),
            });
        }
    };
    if let Err(error) = talk(env, shown, stream).await {
        shown.update(env, |story| match StreamError::of(&error) {
            StreamError::Reset => story.broken += 1,
            StreamError::Silent => story.silent += 1,
            other => story.wrong = Some(format!("a connection ended: {other}")),
        });
    }
}

/// Says something, and hears the same in other words.
async fn talk(env: &Env, shown: &Shown<Story>, mut stream: Stream) -> io::Result<()> {
    let (id, length) = (env.random(), env.random_below(4_000));
    let body = (0..length).map(|at| byte(id, at));
    let bytes: Vec<u8> = id.to_le_bytes().into_iter().chain(body).collect();
    let mut left = bytes.as_slice();
    while !left.is_empty() {
        let piece = &left[..left.len().min(1 + env.random_below(900) as usize)];
        let before = env.now();
        let taken = stream.write(piece).await?;
        shown.update(env, |story| {
            story.waited += u64::from(env.now() > before);
            story.short += u64::from(taken < piece.len());
        });
        left = &left[taken..];
    }
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let wanted: Vec<u8> = (0..length).map(|at| !byte(id, at)).collect();
    if answer == wanted {
        env.sometimes(WHOLE);
    } else if !wanted.starts_with(&answer) {
        shown.update(env, |story| story.wrong = Some("an answer was another's".to_owned()));
    }
    Ok(())
}

/// Hears a call to its end, and says the same in other words.
async fn answer(env: &Env, shown: &Shown<Story>, mut stream: Stream) -> io::Result<()> {
    let mut heard = Vec::new();
    let ended = stream.read_to_end(&mut heard).await;
    if let Some((id, body)) = heard.split_first_chunk::<8>() {
        let id = u64::from_le_bytes(*id);
        let right = (0u64..).zip(body).all(|(at, found)| *found == byte(id, at));
        if !right {
            shown.update(env, |story| story.wrong = Some("a call was garbled".to_owned()));
        }
        ended?;
        let reply: Vec<u8> = body.iter().map(|byte| !byte).collect();
        stream.write_all(&reply).await?;
        stream.shutdown().await?;
    }
    Ok(())
}
