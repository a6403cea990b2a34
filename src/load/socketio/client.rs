//! What a user holds in hand: a connection with its namespaces, which a task attends.
//!
//! It stands alone because it is all that the interpreter of flows needs to know. Sending never waits for the wire, only for
//! others that wait; what happens is fetched when the user cares.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::arguments::Arguments;
use super::attend::{Attendance, Line, Order};
use super::dial::Dialer;
use super::engine::Generation;
use super::event::{Connected, Event, Refused};
use super::options::Options;
use super::reserved::{Treatment, treatment};
use super::rooms::Emission;
use crate::clock::{Clock, Moment};

/// How long a goodbye may take before the connection is cut.
const PATIENCE: Duration = Duration::from_secs(3);

/// A user's connection. Dropped, it is cut without a word.
#[derive(Debug)]
pub struct Client {
    line: Arc<Line>,
    task: AbortHandle,
    clock: Clock,
    generation: Generation,
}

/// An event that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// When.
    pub at: Moment,
    /// Whether it is sent: an event with a reserved name is not.
    pub treatment: Treatment,
}

/// An acknowledgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged {
    /// When it came.
    pub at: Moment,
    /// What it carries.
    pub arguments: Arguments,
}

/// The connection has ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Gone;

/// Why there is no acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacknowledged {
    /// It did not come in time.
    #[error("acknowledge timeout")]
    TimedOut,
    /// The event was not sent, or the connection was lost before the acknowledgement came.
    #[error("the connection was lost before the acknowledgement came")]
    Lost,
}

/// An acknowledgement that is to come.
#[derive(Debug)]
pub struct Ack(oneshot::Receiver<Acknowledged>);

impl Ack {
    /// Waits for it, so long at most.
    ///
    /// # Errors
    ///
    /// When it does not come.
    pub async fn within(self, longest: Duration) -> Result<Acknowledged, Unacknowledged> {
        match tokio::time::timeout(longest, self.0).await {
            Ok(Ok(acknowledged)) => Ok(acknowledged),
            Ok(Err(_)) => Err(Unacknowledged::Lost),
            Err(_) => Err(Unacknowledged::TimedOut),
        }
    }
}

impl Client {
    /// Connects, namespace `/` included. It is tried once: reconnection is for connections that were there.
    ///
    /// Must be called on the runtime of the driver.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or refuses.
    pub async fn connect(dialer: &Dialer, options: Options) -> Result<(Self, Connected), Refused> {
        let (line, options, clock) = (Arc::<Line>::default(), Arc::new(options), dialer.clock());
        let (attendance, connected) = Box::pin(Attendance::begin(dialer, &options, &line)).await?;
        let task = tokio::spawn(attendance.run()).abort_handle();
        Ok((Self { line, task, clock, generation: connected.generation }, connected))
    }

    /// What the server spoke when the connection was made.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Joins a namespace; that it was joined, or refused, is an event. Nothing happens when that was done before.
    ///
    /// # Errors
    ///
    /// When the connection has ended for good.
    pub async fn join(&self, namespace: &str) -> Result<(), Gone> {
        self.order(Order::Join(namespace.to_owned())).await
    }

    /// Hands an event over to be sent. Its namespace is joined when that was not done before; until it is, and while the
    /// connection is lost, the event waits.
    ///
    /// # Errors
    ///
    /// When the connection has ended for good.
    pub async fn emit(&self, namespace: &str, event: &str, arguments: Arguments) -> Result<Emitted, Gone> {
        self.hand_over(namespace, event, arguments, None).await
    }

    /// As [`Client::emit`], and the server is asked for an acknowledgement.
    ///
    /// # Errors
    ///
    /// When the connection has ended for good.
    pub async fn emit_with_ack(
        &self,
        namespace: &str,
        event: &str,
        arguments: Arguments,
    ) -> Result<(Emitted, Ack), Gone> {
        let (sender, receiver) = oneshot::channel();
        let emitted = self.hand_over(namespace, event, arguments, Some(sender)).await?;
        Ok((emitted, Ack(receiver)))
    }

    async fn hand_over(
        &self,
        namespace: &str,
        event: &str,
        arguments: Arguments,
        ack: Option<oneshot::Sender<Acknowledged>>,
    ) -> Result<Emitted, Gone> {
        let emitted = Emitted { at: self.clock.now(), treatment: treatment(self.generation, event) };
        if emitted.treatment == Treatment::Sent {
            let emission = Emission { namespace: namespace.to_owned(), arguments: arguments.named(event), ack };
            self.order(Order::Emit(emission)).await?;
        }
        Ok(emitted)
    }

    /// Answers an event for which the server asked an acknowledgement.
    ///
    /// # Errors
    ///
    /// When the connection has ended for good.
    pub async fn acknowledge(&self, namespace: &str, id: u64, arguments: Arguments) -> Result<(), Gone> {
        self.order(Order::Acknowledge(namespace.to_owned(), id, arguments)).await
    }

    async fn order(&self, order: Order) -> Result<(), Gone> {
        self.line.post.order(order).await.map_err(|_| Gone)
    }

    /// The next thing that happens; nothing after the end. Nothing is lost when it is not awaited to the end.
    pub async fn next_event(&self) -> Option<Event> {
        self.line.post.next().await
    }

    /// What has happened already.
    #[must_use]
    pub fn happened(&self) -> Option<Event> {
        self.line.post.fetch()
    }

    /// Events from the server that were dropped because more than 1024, or than a MiB, waited to be looked at.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.line.post.lost()
    }

    /// Events that were not sent: their namespace was refused, or too many waited for it.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.line.unsent.load(Relaxed)
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.line.post.is_over()
    }

    /// Leaves all namespaces and closes the connection, once what was handed over before is sent; three seconds at most. What
    /// happened until then can still be fetched.
    pub async fn close(&self) {
        let closing = async {
            if self.order(Order::Close).await.is_ok() {
                self.line.post.ended().await;
            }
        };
        if tokio::time::timeout(PATIENCE, closing).await.is_err() {
            self.task.abort();
            self.line.post.end(None);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
