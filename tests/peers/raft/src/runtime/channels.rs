//! tokio's bounded channel, oneshot and mutex under openraft's traits.

use openraft_rt::{
    Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Mutex, Oneshot, OneshotSender, SendError,
    TryRecvError,
};
use std::future::Future;
use tokio::sync::{MutexGuard, mpsc, oneshot};

/// A bounded queue from many senders to one receiver.
pub struct Bounded;

pub struct Sending<T>(mpsc::Sender<T>);
pub struct Receiving<T>(mpsc::Receiver<T>);
pub struct WeaklySending<T>(mpsc::WeakSender<T>);

impl Mpsc for Bounded {
    type Sender<T: Send> = Sending<T>;
    type Receiver<T: Send> = Receiving<T>;
    type WeakSender<T: Send> = WeaklySending<T>;

    fn channel<T: Send>(buffer: usize) -> (Sending<T>, Receiving<T>) {
        let (sender, receiver) = mpsc::channel(buffer);
        (Sending(sender), Receiving(receiver))
    }
}

impl<T> Clone for Sending<T> {
    fn clone(&self) -> Sending<T> {
        Sending(self.0.clone())
    }
}

impl<T: Send> MpscSender<Bounded, T> for Sending<T> {
    async fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.send(message).await.map_err(|back| SendError(back.0))
    }

    fn downgrade(&self) -> WeaklySending<T> {
        WeaklySending(self.0.downgrade())
    }
}

impl<T: Send> MpscReceiver<T> for Receiving<T> {
    fn recv(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.0.recv()
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            mpsc::error::TryRecvError::Empty => TryRecvError::Empty,
            mpsc::error::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl<T> Clone for WeaklySending<T> {
    fn clone(&self) -> WeaklySending<T> {
        WeaklySending(self.0.clone())
    }
}

impl<T: Send> MpscWeakSender<Bounded, T> for WeaklySending<T> {
    fn upgrade(&self) -> Option<Sending<T>> {
        self.0.upgrade().map(Sending)
    }
}

/// One value, handed over once.
pub struct Single;

pub struct Giving<T>(oneshot::Sender<T>);

impl Oneshot for Single {
    type Sender<T: Send> = Giving<T>;
    type Receiver<T: Send> = oneshot::Receiver<T>;
    type ReceiverError = oneshot::error::RecvError;

    fn channel<T: Send>() -> (Giving<T>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Giving(sender), receiver)
    }
}

impl<T: Send> OneshotSender<T> for Giving<T> {
    fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

/// A mutex whose waiters are served in order.
pub struct Exclusive<T>(tokio::sync::Mutex<T>);

impl<T: Send + 'static> Mutex<T> for Exclusive<T> {
    type Guard<'a> = MutexGuard<'a, T>;

    fn new(value: T) -> Exclusive<T> {
        Exclusive(tokio::sync::Mutex::new(value))
    }

    fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> + Send {
        self.0.lock()
    }
}
